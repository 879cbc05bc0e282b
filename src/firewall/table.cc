#include "firewall/table.h"

#include <memory>
#include <span>
#include <vector>

#include "firewall/prefix_set.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

std::vector<TableEntry> entries_but(const PrefixSet& set, const wire::Prefix& prefix) {
  std::vector<TableEntry> entries = set.entries();
  std::erase_if(entries, [&prefix](const TableEntry& entry) { return entry.prefix == prefix; });
  return entries;
}

}  // namespace

AddressTable AddressTable::build(std::span<const TableEntry> entries) {
  AddressTable table;
  table.base_ = std::make_shared<const PrefixSet>(PrefixSet::build(entries));
  return table;
}

AddressTable AddressTable::changed(std::span<const TableEntry> added, std::span<const TableEntry> removed) const {
  AddressTable table;
  table.base_ = base_;
  table.added_ = PrefixSet::build(added);
  table.removed_ = PrefixSet::build(removed);
  return table;
}

AddressTable AddressTable::with(const TableEntry& entry) const {
  const TableEntry opposite{.prefix = entry.prefix, .negated = !entry.negated};
  std::vector<TableEntry> added = entries_but(added_, entry.prefix);
  std::vector<TableEntry> removed = entries_but(removed_, entry.prefix);
  if (!base_has(entry)) added.push_back(entry);
  if (base_has(opposite)) removed.push_back(opposite);
  return changed(added, removed);
}

AddressTable AddressTable::without(const wire::Prefix& prefix) const {
  const std::vector<TableEntry> added = entries_but(added_, prefix);
  std::vector<TableEntry> removed = entries_but(removed_, prefix);
  for (const bool negated : {false, true}) {
    const TableEntry entry{.prefix = prefix, .negated = negated};
    if (base_has(entry)) removed.push_back(entry);
  }
  return changed(added, removed);
}

AddressTable AddressTable::folded() const {
  std::vector<TableEntry> entries = added_.entries();
  if (base_ != nullptr) {
    for (const TableEntry& entry : base_->entries()) {
      if (!removed_.has(entry)) entries.push_back(entry);
    }
  }
  return build(entries);
}

bool AddressTable::contains(wire::Family family, const wire::IpAddress& address) const noexcept {
  PrefixSet::Longest longest;
  if (base_ != nullptr) {
    longest = removed_.size() == 0 ? base_->find(family, address) : base_->find_except(family, address, removed_);
  }
  if (added_.size() != 0) {
    const PrefixSet::Longest added = added_.find(family, address);
    if (added.length > longest.length) longest = added;
  }
  return longest.length >= 0 && !longest.negated;
}

}  // namespace ringplane::firewall
