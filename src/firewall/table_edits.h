// TableEdits: many changes of one table, one after the other, as the one change that comes to the same. Not for the
// burst path.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "firewall/prefix_set.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

class TableEdits {
 public:
  /// Then: without `removed`, then with `added`, as Policy::with_table_change().
  void note(std::span<const wire::Prefix> removed, std::span<const TableEntry> added);
  void clear() { last_.clear(); }
  [[nodiscard]] bool empty() const noexcept { return last_.empty(); }

  /// The one change: what it removes and what it adds.
  [[nodiscard]] std::vector<wire::Prefix> removed() const;
  [[nodiscard]] std::vector<TableEntry> added() const;

 private:
  enum class Fate : std::uint8_t { kRemoved, kAdded, kAddedNegated };
  std::map<wire::Prefix, Fate> last_;
};

}  // namespace ringplane::firewall
