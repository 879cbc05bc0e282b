# The dashboard (web/), as three files in the program. Its packages come by `npm ci` into the build folder; nothing is
# written into the sources.
option(RINGPLANE_DASHBOARD "Build the dashboard into the program (needs node and npm)" ON)

# ringplane_dashboard(target): dashboard_html(), dashboard_js(), dashboard_css() of control/dashboard_routes.h; without
# the option only the first, a page that says so.
function(ringplane_dashboard target)
  set(web "${CMAKE_SOURCE_DIR}/web")
  if(NOT RINGPLANE_DASHBOARD)
    ringplane_embed(${target} "${web}/absent.html" dashboard_routes.h dashboard_html)
    return()
  endif()
  find_program(RINGPLANE_NODE NAMES node nodejs)
  find_program(RINGPLANE_NPM npm)
  if(NOT RINGPLANE_NODE OR NOT RINGPLANE_NPM)
    message(FATAL_ERROR "The dashboard needs node and npm, which are not here: `packaging/install-dependencies.sh build` "
      "installs them, -DRINGPLANE_DASHBOARD=OFF builds without it.")
  endif()
  set(built "${CMAKE_BINARY_DIR}/web")
  set(packages "${built}/node_modules/.package-lock.json")
  add_custom_command(OUTPUT "${packages}"
    COMMAND "${CMAKE_COMMAND}" "-DNPM=${RINGPLANE_NPM}" "-DFROM=${web}" "-DINTO=${built}"
      -P "${CMAKE_SOURCE_DIR}/cmake/npm_ci.cmake"
    DEPENDS "${web}/package.json" "${web}/package-lock.json" "${web}/.npmrc" "${CMAKE_SOURCE_DIR}/cmake/npm_ci.cmake"
    COMMENT "Packages of the dashboard" VERBATIM)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${web}/src/*.js" "${web}/src/*.jsx" "${web}/src/*.css")
  set(files "${built}/dist/index.html" "${built}/dist/app.js" "${built}/dist/app.css")
  add_custom_command(OUTPUT ${files}
    COMMAND "${RINGPLANE_NODE}" "${web}/build.mjs" "${built}/node_modules" "${built}/dist"
    DEPENDS "${packages}" "${web}/build.mjs" "${web}/index.html" ${sources}
    COMMENT "Dashboard" VERBATIM)
  foreach(kind IN ITEMS html js css)
    list(POP_FRONT files file)
    ringplane_embed(${target} "${file}" dashboard_routes.h dashboard_${kind})
  endforeach()
  target_compile_definitions(${target} PUBLIC RINGPLANE_DASHBOARD)
endfunction()
