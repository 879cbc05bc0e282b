#include "api/origin.h"

#include <algorithm>
#include <cctype>
#include <span>
#include <string>
#include <string_view>

namespace ringplane::api {
namespace {

bool same_name(std::string_view one, std::string_view other) noexcept {
  return std::ranges::equal(one, other,
                            [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

/// "[::1]:8080" -> "[::1]", "localhost:8080" -> "localhost"
std::string_view without_port(std::string_view host) noexcept {
  const auto colon = host.rfind(':');
  const auto bracket = host.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) return host;
  return host.substr(0, colon);
}

}  // namespace

bool is_one_of_our_names(std::string_view host, std::span<const std::string> names) noexcept {
  if (host.empty()) return true;
  const std::string_view name = without_port(host);
  return std::ranges::any_of(names, [name](const std::string& each) { return same_name(name, each); });
}

bool is_our_own_page(std::string_view origin, std::string_view host) noexcept {
  if (origin.empty()) return true;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) return same_name(origin.substr(scheme.size()), host);
  }
  return false;  // "null": a file, or a frame that is shut in
}

}  // namespace ringplane::api
