#include "api/message.h"

#include <charconv>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace ringplane::api {

base::Result<std::uint64_t> Request::number_or(const std::string& name, std::uint64_t otherwise,
                                               std::uint64_t most) const {
  const auto found = query.find(name);
  if (found == query.end()) return otherwise;
  const std::string& text = found->second;
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size() || value > most)
    return base::fail("'" + name + "' must be a number from 0 to " + std::to_string(most));
  return value;
}

base::Result<nlohmann::json> Request::json() const {
  if (body.empty()) return nlohmann::json::object();
  auto value = nlohmann::json::parse(body, nullptr, false);
  if (!value.is_object()) return base::fail("the body must be a JSON object");
  return value;
}

Response json_response(const nlohmann::ordered_json& value, int status) {
  return {.status = status,
          .content_type = "application/json",
          .body = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
          .headers = {},
          .stream = nullptr};
}

Response error_response(int status, const std::string& sentence) {
  return json_response({{"error", sentence}}, status);
}

Response error_response(const base::Error& error) {
  return error_response(error.kind == base::ErrorKind::kBadConfiguration ? status::kUnprocessable : status::kFailed,
                        error.message);
}

Response response_of(const base::Result<nlohmann::ordered_json>& result) {
  return result ? json_response(*result) : error_response(result.error());
}

}  // namespace ringplane::api
