#include "control/dashboard_routes.h"

#include <functional>
#include <string>
#include <string_view>

#include <fmt/core.h>

#include "api/message.h"
#include "api/router.h"

namespace ringplane::control {
namespace {

/// The page loads nothing from elsewhere, runs no script but its own file, and is framed by nobody. Its styles are a
/// file too; those that the charts set through the object model are not concerned.
constexpr const char* kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A route that answers with `bytes`, or that the client has them already.
api::Router::Answer file_answer(std::string_view bytes, const char* type) {
  const std::string tag = fmt::format("\"{:016x}\"", std::hash<std::string_view>()(bytes));
  return [bytes, type, tag](const api::Request& request) {
    const bool has_it = request.if_none_match == tag;
    return api::Response{.status = has_it ? api::status::kNotModified : api::status::kOk,
                         .content_type = type,
                         .body = has_it ? "" : std::string(bytes),
                         .headers = {{"Cache-Control", "no-cache"},
                                     {"Content-Security-Policy", kContentPolicy},
                                     {"Cross-Origin-Opener-Policy", "same-origin"},
                                     {"ETag", tag},
                                     {"Referrer-Policy", "no-referrer"}}};
  };
}

}  // namespace

bool is_of_dashboard(std::string_view path) noexcept {
  return path == "/" || path == "/app.js" || path == "/app.css";
}

void add_dashboard_routes(api::Router& router) {
  router.get("/", file_answer(dashboard_html(), "text/html; charset=utf-8"));
#ifdef RINGPLANE_DASHBOARD
  router.get("/app.js", file_answer(dashboard_js(), "text/javascript; charset=utf-8"));
  router.get("/app.css", file_answer(dashboard_css(), "text/css; charset=utf-8"));
#endif
}

}  // namespace ringplane::control
