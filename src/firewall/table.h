// AddressTable: what `table <name>` holds. The longest prefix that holds an address decides; a table says yes if that
// prefix is not negated. A value that never changes: with() and without() give another table that shares all but the
// few changes, so that one entry of a million is changed in microseconds while others go on reading the old table.
// Lookups neither allocate nor throw; any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "firewall/prefix_set.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

class AddressTable {
 public:
  /// An empty table: it holds no address.
  AddressTable() = default;
  /// Of a prefix that is given with and without negation, the negated entry counts.
  [[nodiscard]] static AddressTable build(std::span<const TableEntry> entries);

  /// The prefix is in it, with the sign of `entry`, whatever its sign was. The cost grows with change_count() only.
  [[nodiscard]] AddressTable with(const TableEntry& entry) const { return changed({}, {&entry, 1}); }
  /// The prefix is not in it, with either sign. Likewise.
  [[nodiscard]] AddressTable without(const wire::Prefix& prefix) const { return changed({&prefix, 1}, {}); }
  /// Without the prefixes `removed`, then with the entries `added`; of two for the same prefix the negated one counts.
  [[nodiscard]] AddressTable changed(std::span<const wire::Prefix> removed, std::span<const TableEntry> added) const;
  /// Changes since it was built as a whole. Every lookup pays for there being any; about 4,000 cost a millisecond to
  /// change further, so who has made a thousand should take a folded() table, made aside.
  [[nodiscard]] std::size_t change_count() const noexcept { return added_.size() + removed_.size(); }
  /// The same contents built as a whole; costs what build() costs.
  [[nodiscard]] AddressTable folded() const;

  /// In no order.
  [[nodiscard]] std::vector<TableEntry> entries() const;
  [[nodiscard]] bool contains(wire::Family family, const wire::IpAddress& address) const noexcept {
    const PrefixSet::Longest longest = find(family, address);
    return longest.length >= 0 && !longest.negated;
  }
  /// The longest prefix that holds the address, which decides.
  [[nodiscard]] PrefixSet::Longest find(wire::Family family, const wire::IpAddress& address) const noexcept;
  /// Number of different prefixes.
  [[nodiscard]] std::size_t size() const noexcept { return base_size() + added_.size() - removed_.size(); }
  /// What is shared with other tables is counted too.
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    return (base_ == nullptr ? 0 : base_->memory_bytes()) + added_.memory_bytes() + removed_.memory_bytes();
  }

 private:
  [[nodiscard]] std::size_t base_size() const noexcept { return base_ == nullptr ? 0 : base_->size(); }
  [[nodiscard]] bool base_has(const TableEntry& entry) const noexcept { return base_ != nullptr && base_->has(entry); }

  std::shared_ptr<const PrefixSet> base_;
  PrefixSet added_;    // never what the base has and is not removed
  PrefixSet removed_;  // only what the base has
};

}  // namespace ringplane::firewall
