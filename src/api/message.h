// A request of the API and its response, as values.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace ringplane::api {

class Stream;

namespace status {
inline constexpr int kOk = 200;
inline constexpr int kNotModified = 304;
inline constexpr int kBadRequest = 400;
inline constexpr int kUnauthorized = 401;
inline constexpr int kForbidden = 403;
inline constexpr int kNotFound = 404;
inline constexpr int kMethodNotAllowed = 405;
inline constexpr int kConflict = 409;
inline constexpr int kTooLarge = 413;
inline constexpr int kMisdirected = 421;
inline constexpr int kUnprocessable = 422;
inline constexpr int kFailed = 500;
inline constexpr int kUnavailable = 503;
}  // namespace status

struct Request {
  std::string method;
  std::string path;                          ///< decoded, without the query
  std::map<std::string, std::string> query;  ///< of a name that occurs twice the last
  std::map<std::string, std::string> names;  ///< what stood for the {names} of the route
  std::string content_type;                  ///< without parameters
  std::string body;
  std::string if_none_match;  ///< the header: what the client has already
  bool may_write = true;      ///< false: a way in that is for reading only
  bool is_known = true;       ///< false: has brought no token where one is wanted, and asks for something public

  [[nodiscard]] std::string_view query_or(const std::string& name, std::string_view otherwise) const {
    const auto found = query.find(name);
    return found == query.end() ? otherwise : std::string_view(found->second);
  }
  /// `otherwise` if it is not there; fails with a sentence if it is no number of at most `most`.
  [[nodiscard]] base::Result<std::uint64_t> number_or(const std::string& name, std::uint64_t otherwise,
                                                      std::uint64_t most) const;
  /// The body as a JSON object; an empty body is an empty object.
  [[nodiscard]] base::Result<nlohmann::json> json() const;
};

struct Response {
  int status = status::kOk;
  std::string content_type = "application/json";
  std::string body{};
  std::map<std::string, std::string> headers{};
  std::shared_ptr<Stream> stream{};   ///< goes on after `body`
  std::function<void()> when_sent{};  ///< the client has all of it, or has gone
};

[[nodiscard]] Response json_response(const nlohmann::ordered_json& value, int status = status::kOk);
/// {"error": sentence}
[[nodiscard]] Response error_response(int status, const std::string& sentence);
/// 422 for a bad configuration, 500 for anything else.
[[nodiscard]] Response error_response(const base::Error& error);
/// The value, or the error.
[[nodiscard]] Response response_of(const base::Result<nlohmann::ordered_json>& result);

}  // namespace ringplane::api
