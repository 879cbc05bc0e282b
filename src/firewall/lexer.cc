#include "firewall/lexer.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "firewall/ruleset.h"

namespace ringplane::firewall {
namespace {

constexpr bool is_digit(int c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(int c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_name(int c) noexcept {
  return is_letter(c) || is_digit(c) || c == '_';
}

// What may stand inside an unquoted word (pfctl's allowed_in_string, less the characters that can only be mistakes).
constexpr auto kInWord = [] {
  std::array<bool, 256> allowed{};
  for (int c = 0; c < 256; ++c) allowed[static_cast<std::size_t>(c)] = is_name(c);
  for (const char c : std::string_view("-.:*+%&@|~;?[]^")) allowed[static_cast<unsigned char>(c)] = true;
  return allowed;
}();
constexpr bool in_word(int c) noexcept {
  return c >= 0 && kInWord[static_cast<std::size_t>(c)];
}

/// All digits, at most 2^63.
constexpr std::uint64_t number_of(std::string_view digits) noexcept {
  constexpr std::uint64_t kCap = std::uint64_t{1} << 63;
  std::uint64_t value = 0;
  for (const char digit : digits) {
    value = value * 10 + static_cast<std::uint64_t>(digit - '0');
    if (value >= kCap / 16) return kCap;
  }
  return value;
}

}  // namespace

void MacroTable::define(std::string_view name, std::string value) {
  store_.push_back(std::move(value));
  const std::string* kept = &store_.back();
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    found->second = kept;
    return;
  }
  store_.emplace_back(name);
  by_name_.emplace(store_.back(), kept);
}

const std::string* MacroTable::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

int Lexer::peek() {
  if (!macro_.empty()) return static_cast<unsigned char>(macro_.front());
  while (at_ < text_.size() && text_[at_] == '\\') {
    std::size_t end = at_ + 1;
    if (end < text_.size() && text_[end] == '\r') ++end;
    if (end >= text_.size() || text_[end] != '\n') break;
    at_ = end + 1;
    line_start_ = at_;
    ++line_;
  }
  return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : kEof;
}

void Lexer::skip() noexcept {
  if (!macro_.empty()) {
    macro_.remove_prefix(1);
    return;
  }
  if (text_[at_] == '\n') {
    ++line_;
    line_start_ = at_ + 1;
  }
  ++at_;
}

Location Lexer::here() const noexcept {
  if (!macro_.empty()) return macro_where_;
  return {.file = file_, .line = line_, .column = static_cast<std::uint32_t>(at_ - line_start_ + 1)};
}

void Lexer::skip_blanks_and_comments() {
  for (int c = peek(); c != kEof; c = peek()) {
    if (c == ' ' || c == '\t' || c == '\r') {
      skip();
    } else if (c == '#') {
      while (c != kEof && c != '\n') {
        skip();
        c = peek();
      }
    } else {
      return;
    }
  }
}

Token Lexer::make(TokenKind kind, std::string_view text) const noexcept {
  return {.kind = kind, .text = text, .where = token_where_};
}

std::string_view Lexer::keep(std::string text) {
  return words_.emplace_back(std::move(text));
}

Token Lexer::error(std::string sentence) {
  return make(TokenKind::kError, keep(std::move(sentence)));
}

bool Lexer::start_macro() {
  const Location where = here();
  if (!macro_.empty()) {
    error_ = "a macro inside a quoted macro is not replaced; join quoted parts and $names in the definition instead";
    return false;
  }
  ++at_;
  const std::size_t first = at_;
  while (at_ < text_.size() && is_name(static_cast<unsigned char>(text_[at_]))) ++at_;
  const std::string_view name = text_.substr(first, at_ - first);
  if (name.empty()) {
    error_ = "a macro's name must follow '$'";
    return false;
  }
  const std::string* value = macros_.find(name);
  if (value == nullptr) {
    error_ = fmt::format("macro '{}' is not defined", name);
    return false;
  }
  macros_.expanded_bytes += value->size();
  if (macros_.expanded_bytes > kMaxExpandedBytes) {
    error_ = "the macros expand to more than 64 MiB";
    return false;
  }
  macro_ = *value;
  macro_where_ = where;
  return true;
}

Token Lexer::next() {
  skip_blanks_and_comments();
  while (peek() == '$') {
    token_where_ = here();
    if (!start_macro()) {
      if (!macro_.empty()) macro_ = {};
      return error(std::move(error_));
    }
    skip_blanks_and_comments();
  }
  const int c = peek();
  token_where_ = here();
  if (c == kEof) return make(TokenKind::kEnd, "end of file");
  if (c == '\n') {
    skip();
    return make(TokenKind::kNewline, "end of line");
  }
  if (c == '"' || c == '\'') return quoted(static_cast<char>(c));
  if (is_name(c) || c == ':' || c == '*') return word();
  return symbol(c);
}

Token Lexer::quoted(char quote) {
  skip();
  std::string text;
  for (;;) {
    int c = peek();
    if (c == kEof || c == '\n') return error("the quoted text does not end on its line");
    if (c == quote) break;
    skip();
    if (c == '\\') {
      const int escaped = peek();
      if (escaped == quote || escaped == ' ' || escaped == '\t') {
        c = escaped;
        skip();
      }
    }
    if (c == 0) return error("a zero byte inside quotes");
    text += static_cast<char>(c);
  }
  skip();
  return make(TokenKind::kQuoted, keep(std::move(text)));
}

Token Lexer::word() {
  std::string_view text;
  if (macro_.empty()) {
    const std::size_t first = at_;
    while (at_ < text_.size() && in_word(static_cast<unsigned char>(text_[at_]))) ++at_;
    text = text_.substr(first, at_ - first);
  } else {
    std::size_t length = 0;
    while (length < macro_.size() && in_word(static_cast<unsigned char>(macro_[length]))) ++length;
    text = macro_.substr(0, length);
    macro_.remove_prefix(length);
  }
  if (in_word(peek())) {  // goes on after the macro's end or a joined line
    std::string whole(text);
    for (int c = peek(); in_word(c); c = peek()) {
      whole += static_cast<char>(c);
      skip();
    }
    text = keep(std::move(whole));
  }
  Token token = make(TokenKind::kWord, text);
  if (text.find_first_not_of("0123456789") == std::string_view::npos) {
    token.kind = TokenKind::kNumber;
    token.number = number_of(text);
  }
  return token;
}

Token Lexer::symbol(int first) {
  static constexpr std::string_view kSingles = "(){},/!=<>-";
  static constexpr std::string_view kPairs[] = {"!=", "<=", ">=", "><", "<>"};
  skip();
  const std::size_t single = first < 128 ? kSingles.find(static_cast<char>(first)) : std::string_view::npos;
  if (single == std::string_view::npos || first == 0) {
    if (first > ' ' && first < 127) return error(fmt::format("unexpected '{}'", static_cast<char>(first)));
    return error(fmt::format("unexpected byte 0x{:02x}", first));
  }
  const int second = peek();
  for (const std::string_view pair : kPairs) {
    if (pair[0] == first && pair[1] == second) {
      skip();
      return make(TokenKind::kSymbol, pair);
    }
  }
  return make(TokenKind::kSymbol, kSingles.substr(single, 1));
}

}  // namespace ringplane::firewall
