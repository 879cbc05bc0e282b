// What tables are made of, as text: the format of `table ... file "path"` and of lists that come while the rules run.
// Words apart by blanks, commas or line ends: an address, a prefix, a range (first-last, without blanks), each with a
// `!` before it if it is negated. `#` and `;` begin comments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "firewall/prefix_set.h"

namespace ringplane::firewall {

struct TableTextError {
  std::uint32_t line = 1;  ///< both count from 1
  std::uint32_t column = 1;
  std::string what;
};

struct TableText {
  std::vector<TableEntry> entries;  ///< as they stand there; ranges as prefixes
  std::vector<TableTextError> errors;
};

/// The order in which people are shown entries.
[[nodiscard]] inline bool comes_before(const TableEntry& one, const TableEntry& other) noexcept {
  const auto& [a, b] = std::tie(one.prefix, other.prefix);
  return std::tie(a.family, a.address, a.length, one.negated) < std::tie(b.family, b.address, b.length, other.negated);
}
/// All of it, and everything that is wrong with it.
[[nodiscard]] TableText parse_table_text(std::string_view text);

}  // namespace ringplane::firewall
