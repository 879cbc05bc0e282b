// The dashboard as the API serves it: three files that web/ makes, with no secret in them. Everybody who comes in gets
// them; what they show they ask for like everybody else, with the token where one is wanted.
#pragma once

#include <string_view>

#include "api/router.h"

namespace ringplane::control {

/// The page; of a build without a dashboard, one that says so.
[[nodiscard]] std::string_view dashboard_html() noexcept;
#ifdef RINGPLANE_DASHBOARD
[[nodiscard]] std::string_view dashboard_js() noexcept;
[[nodiscard]] std::string_view dashboard_css() noexcept;
#endif

[[nodiscard]] bool is_of_dashboard(std::string_view path) noexcept;
void add_dashboard_routes(api::Router& router);

}  // namespace ringplane::control
