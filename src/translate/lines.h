// What the readers of lines share: numbers of lines in errors, words in quotes, limits on what a hostile input can
// cost.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/result.h"

namespace ringplane::translate {

/// Larger inputs are refused: no ruleset of a running kernel is.
inline constexpr std::size_t kMaxInputBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMaxLineBytes = std::size_t{64} << 10;

/// The lines of a text one after the other, without their ends.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  [[nodiscard]] bool next(std::string_view& line) noexcept;
  [[nodiscard]] std::size_t number() const noexcept { return number_; }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

/// "NAME:LINE: sentence".
[[nodiscard]] base::Error error_at(const std::string& name, std::size_t line, const std::string& sentence);

/// Words between blanks; those in double quotes without them, \" and \\ inside as the program escapes them. Nothing if
/// a quote is not closed.
[[nodiscard]] std::optional<std::vector<std::string>> words_of(std::string_view line);

/// The whole of `text` as a number of at most `max`; 0x... too.
[[nodiscard]] std::optional<std::uint32_t> number_in(std::string_view text, std::uint32_t max);

/// For a comment of pf.conf: one line, printable, of at most `longest` characters.
[[nodiscard]] std::string shown(std::string_view text, std::size_t longest = 160);
/// Printable, and nothing that pf would read otherwise between quotes.
[[nodiscard]] bool is_quotable(std::string_view text) noexcept;

}  // namespace ringplane::translate
