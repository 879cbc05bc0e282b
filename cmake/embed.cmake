# A file as a function that returns its bytes: cmake -DINPUT=... -DOUTPUT=....cc -DHEADER=control/openapi.h -DNAMESPACE=ringplane::control -DFUNCTION=openapi_text -P embed.cmake
file(READ "${INPUT}" bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "#include \"${HEADER}\"\n
#include <iterator>
#include <string_view>
namespace ${NAMESPACE} {
namespace {
constexpr unsigned char kBytes[] = {
${bytes}};
}  // namespace
std::string_view ${FUNCTION}() noexcept {
  return {reinterpret_cast<const char*>(kBytes), std::size(kBytes)};
}
}  // namespace ${NAMESPACE}
")
