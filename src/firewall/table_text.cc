#include "firewall/table_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "firewall/address_range.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

constexpr std::size_t kShownOfWord = 60;
constexpr std::size_t kMostReserved = std::size_t{1} << 20;  // a text of empty lines is to cost no memory

bool is_between_words(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == ',';
}

/// Appends the entries of one word; a sentence if it is none.
std::string add_word(std::string_view word, bool negated, TableText& text) {
  if (const auto prefix = wire::parse_prefix(word)) {
    text.entries.push_back({.prefix = *prefix, .negated = negated});
    return {};
  }
  const std::size_t dash = word.find('-');
  const auto first = wire::parse_host_address(word.substr(0, dash));
  const auto last = dash == std::string_view::npos ? std::nullopt : wire::parse_host_address(word.substr(dash + 1));
  if (!first || !last) return fmt::format("'{}' is no address, prefix or range", word.substr(0, kShownOfWord));
  if (first->family != last->family || last->address < first->address) {
    return fmt::format("the range '{}' ends before it begins", word.substr(0, kShownOfWord));
  }
  for (const wire::Prefix& prefix : prefixes_of_range(*first, *last)) {
    text.entries.push_back({.prefix = prefix, .negated = negated});
  }
  return {};
}

}  // namespace

TableText parse_table_text(std::string_view text) {
  TableText read;
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  read.entries.reserve(std::min(lines, kMostReserved));
  std::uint32_t line = 1;
  std::size_t line_start = 0;
  bool negated = false;
  const auto report = [&](std::size_t at, std::string what) {
    read.errors.push_back(
        {.line = line, .column = static_cast<std::uint32_t>(at - line_start + 1), .what = std::move(what)});
  };
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '\n') {
      if (std::exchange(negated, false)) report(at, "'!' stands before no address");
      ++line;
      line_start = ++at;
    } else if (is_between_words(text[at])) {
      ++at;
    } else if (text[at] == '!') {
      negated = true;
      ++at;
    } else if (text[at] == '#' || text[at] == ';') {
      while (at < text.size() && text[at] != '\n') ++at;
    } else {
      const std::size_t first = at;
      while (at < text.size() && text[at] != '\n' && text[at] != '#' && !is_between_words(text[at])) ++at;
      std::string what = add_word(text.substr(first, at - first), std::exchange(negated, false), read);
      if (!what.empty()) report(first, std::move(what));
    }
  }
  if (negated) report(text.size(), "'!' stands before no address");
  return read;
}

}  // namespace ringplane::firewall
