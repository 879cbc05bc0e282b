// Conditions that are all worked out, and joined without a jump: where they are cheap and what they say is not to be
// guessed, one branch on the result costs less than one on each.
#pragma once

#include <concepts>

namespace ringplane::base {

/// True if all are. Unlike with `&&` every argument is evaluated.
[[nodiscard]] constexpr bool all_hold(std::same_as<bool> auto... conditions) noexcept {
  return (static_cast<unsigned>(conditions) & ...) != 0;
}

}  // namespace ringplane::base
