// Counts as people write them: 10M, 100k, 512.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ringplane::base {

/// Digits and an optional k, M or G (powers of ten); nothing if it is not that or does not fit.
[[nodiscard]] std::optional<std::uint64_t> parse_count(std::string_view text) noexcept;

/// For CLI11: "" or what is wrong with `text`.
[[nodiscard]] std::string check_count(const std::string& text);

}  // namespace ringplane::base
