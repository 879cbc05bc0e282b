# The packages of web/package-lock.json, exactly these, into a folder: cmake -DNPM=... -DFROM=web -DINTO=build/web -P npm_ci.cmake
file(COPY "${FROM}/package.json" "${FROM}/package-lock.json" "${FROM}/.npmrc" DESTINATION "${INTO}")
execute_process(COMMAND "${NPM}" ci WORKING_DIRECTORY "${INTO}" RESULT_VARIABLE code OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "npm ci failed:\n${said}\nIf its registry cannot be reached from here: -DRINGPLANE_DASHBOARD=OFF "
    "builds without the dashboard, and a build folder that has the packages already goes on without it.")
endif()
file(TOUCH "${INTO}/node_modules/.package-lock.json")  # older than package.json, it would be made again
