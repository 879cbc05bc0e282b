// Text that goes to a terminal: every byte from outside passes clean() on its way, so that a rule's label can neither
// move the cursor nor set the window's title. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ringplane::top {

/// As printable UTF-8 (or ASCII, if that is all the terminal takes): what is no character, controls the terminal,
/// changes the direction of writing or takes no column of its own becomes '?'.
[[nodiscard]] std::string clean(std::string_view text, bool ascii = false);
/// Columns that clean text takes: two for the wide characters of East Asia and for emoji.
[[nodiscard]] std::size_t width_of(std::string_view clean_text) noexcept;

enum class Side : std::uint8_t { kLeft, kRight };
/// clean(text) in exactly `width` columns: padded at the other side, or cut, which a '~' at its end tells.
[[nodiscard]] std::string fit(std::string_view text, std::size_t width, Side side = Side::kLeft, bool ascii = false);

/// In at most five columns, to three figures from 100,000 on: "0.3", "42", "99999", "123k", "1.23M", "12.3G". None:
/// "-".
[[nodiscard]] std::string amount_text(std::optional<double> amount);
/// In at most five columns: "59s", "12m", "3h", "45d".
[[nodiscard]] std::string age_text(std::uint64_t seconds);
/// "0:01:02", "12d 3:04:05"
[[nodiscard]] std::string uptime_text(std::uint64_t seconds);

/// Appends `character` as UTF-8.
void append(std::string& text, char32_t character);
/// Takes the last character away.
void chop(std::string& text);

}  // namespace ringplane::top
