// pf.conf's words. Macros are replaced while characters are read, so "$lan:network" is one word; a backslash before a
// line end joins lines, also in comments; quotes protect everything. Token texts are views into the source, into a
// macro's value or into the lexer's own store: they live as long as the WordStore, the macros and the source text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "firewall/ruleset.h"

namespace ringplane::firewall {

enum class TokenKind : std::uint8_t {
  kEnd,
  kNewline,
  kWord,
  kQuoted,
  kNumber,
  kSymbol,  ///< `text` is one of ( ) { } , / ! = < > - != <= >= >< <>
  kError,   ///< `text` is a sentence about it
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;
  std::uint64_t number = 0;  ///< kNumber; too large ones are capped at 2^63
  Location where;

  [[nodiscard]] bool is(std::string_view word) const noexcept {
    return (kind == TokenKind::kWord || kind == TokenKind::kSymbol) && text == word;
  }
  [[nodiscard]] bool is_symbol(char symbol) const noexcept {
    return kind == TokenKind::kSymbol && text.size() == 1 && text[0] == symbol;
  }
  [[nodiscard]] bool ends_statement() const noexcept { return kind == TokenKind::kEnd || kind == TokenKind::kNewline; }
};

/// Macros by name. A value, once given, stays where it is, so that tokens may point into it.
class MacroTable {
 public:
  void define(std::string_view name, std::string value);
  /// nullptr: not defined.
  [[nodiscard]] const std::string* find(std::string_view name) const;
  /// All that was expanded so far, in bytes; the lexers of one parse share it to keep expansion bounded.
  std::size_t expanded_bytes = 0;

 private:
  std::deque<std::string> store_;
  std::unordered_map<std::string_view, const std::string*> by_name_;
};

class Lexer {
 public:
  Lexer(std::string_view text, std::uint32_t file, MacroTable& macros, std::deque<std::string>& words)
      : text_(text), file_(file), macros_(macros), words_(words) {}

  [[nodiscard]] Token next();

  static constexpr std::size_t kMaxExpandedBytes = std::size_t{64} << 20;

 private:
  static constexpr int kEof = -1;

  /// The character at the reading position, after joining lines; a macro's value is read before the text goes on.
  [[nodiscard]] int peek();
  void skip() noexcept;
  [[nodiscard]] Location here() const noexcept;
  void skip_blanks_and_comments();
  [[nodiscard]] Token make(TokenKind kind, std::string_view text) const noexcept;
  [[nodiscard]] Token error(std::string sentence);
  [[nodiscard]] Token quoted(char quote);
  [[nodiscard]] Token word();
  [[nodiscard]] Token symbol(int first);
  /// False: there is no such macro; the sentence is in `error_`.
  [[nodiscard]] bool start_macro();
  std::string_view keep(std::string text);

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
  std::uint32_t file_;
  std::string_view macro_;  // what is left of the macro being read
  Location macro_where_;
  Location token_where_;
  std::string error_;
  MacroTable& macros_;
  std::deque<std::string>& words_;
};

}  // namespace ringplane::firewall
