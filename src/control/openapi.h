// docs/reference/openapi.json, as the API serves it.
#pragma once

#include <string_view>

namespace ringplane::control {

[[nodiscard]] std::string_view openapi_text() noexcept;

}  // namespace ringplane::control
