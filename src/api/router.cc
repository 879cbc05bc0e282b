#include "api/router.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/message.h"

namespace ringplane::api {
namespace {

/// Up to the next '/', which is taken with it.
std::string_view next_part(std::string_view& rest) noexcept {
  const auto end = rest.find('/');
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

bool matches(std::string_view pattern, std::string_view path, std::map<std::string, std::string>& names) {
  names.clear();
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = next_part(pattern);
    const std::string_view part = next_part(path);
    if (wanted.starts_with('{')) {
      if (part.empty()) return false;
      names.emplace(wanted.substr(1, wanted.size() - 2), part);
    } else if (part != wanted) {
      return false;
    }
  }
  return pattern.empty() && path.empty();
}

}  // namespace

Response Router::answer(Request request) const {
  // libmicrohttpd leaves the body of an answer to HEAD away.
  const std::string_view method = request.method == "HEAD" ? std::string_view("GET") : std::string_view(request.method);
  std::string others;
  for (const Route& route : routes_) {
    if (!matches(route.path, request.path, request.names)) continue;
    if (route.method != method) {
      others += (others.empty() ? "" : ", ") + route.method;
      continue;
    }
    if (route.writes && !request.may_write)
      return error_response(status::kForbidden, "this way in is for reading only: see control.http_writes");
    return route.answer(request);
  }
  if (others.empty())
    return error_response(status::kNotFound, "there is no " + request.path + ": see /v1/openapi.json");
  Response response = error_response(status::kMethodNotAllowed, request.path + " knows only: " + others);
  response.headers["Allow"] = others;
  return response;
}

std::vector<std::string> Router::names() const {
  std::vector<std::string> names;
  for (const Route& route : routes_) names.push_back(route.method + " " + route.path);
  return names;
}

}  // namespace ringplane::api
