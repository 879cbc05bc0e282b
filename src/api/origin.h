// Who a browser asks for. A page of anybody's, open in a browser on this machine, can make that browser ask here: under
// a name of its own that it lets lead to 127.0.0.1, whose answers it may read, or across origins, where it may not read
// but a request that changes something has done so. Programs that are no browser send neither header, or the right one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ringplane::api {

/// `host` (the header Host) is one of `names`, with any port or none, or empty: no browser leaves it out.
[[nodiscard]] bool is_one_of_our_names(std::string_view host, std::span<const std::string> names) noexcept;

/// `origin` (the header Origin) is empty or that of a page from `host` itself.
[[nodiscard]] bool is_our_own_page(std::string_view origin, std::string_view host) noexcept;

}  // namespace ringplane::api
