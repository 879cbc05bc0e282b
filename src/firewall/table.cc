#include "firewall/table.h"

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "firewall/prefix_set.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

std::vector<TableEntry> entries_but(const PrefixSet& set, const std::vector<wire::Prefix>& sorted) {
  std::vector<TableEntry> entries = set.entries();
  std::erase_if(entries,
                [&sorted](const TableEntry& entry) { return std::ranges::binary_search(sorted, entry.prefix); });
  return entries;
}

}  // namespace

AddressTable AddressTable::build(std::span<const TableEntry> entries) {
  AddressTable table;
  table.base_ = std::make_shared<const PrefixSet>(PrefixSet::build(entries));
  return table;
}

AddressTable AddressTable::changed(std::span<const wire::Prefix> removed, std::span<const TableEntry> added) const {
  std::vector<TableEntry> wanted(added.begin(), added.end());
  std::ranges::sort(wanted, [](const TableEntry& a, const TableEntry& b) {
    return a.prefix != b.prefix ? a.prefix < b.prefix : a.negated > b.negated;
  });
  const auto same = std::ranges::unique(wanted, {}, &TableEntry::prefix);
  wanted.erase(same.begin(), same.end());
  std::vector<wire::Prefix> touched(removed.begin(), removed.end());
  for (const TableEntry& entry : wanted) touched.push_back(entry.prefix);
  std::ranges::sort(touched);
  const auto twice = std::ranges::unique(touched);
  touched.erase(twice.begin(), twice.end());

  std::vector<TableEntry> more = entries_but(added_, touched);
  std::vector<TableEntry> less = entries_but(removed_, touched);
  // Of what is touched, the base counts only where it says what is wanted.
  for (const wire::Prefix& prefix : touched) {
    const auto known = std::ranges::lower_bound(wanted, prefix, {}, &TableEntry::prefix);
    const bool stays = known != wanted.end() && known->prefix == prefix;
    for (const bool negated : {false, true}) {
      const TableEntry entry{.prefix = prefix, .negated = negated};
      const bool is_wanted = stays && known->negated == negated;
      if (is_wanted && !base_has(entry)) more.push_back(entry);
      if (!is_wanted && base_has(entry)) less.push_back(entry);
    }
  }
  AddressTable table;
  table.base_ = base_;
  table.added_ = PrefixSet::build(more);
  table.removed_ = PrefixSet::build(less);
  return table;
}

std::vector<TableEntry> AddressTable::entries() const {
  std::vector<TableEntry> entries = added_.entries();
  if (base_ == nullptr) return entries;
  for (const TableEntry& entry : base_->entries()) {
    if (removed_.size() == 0 || !removed_.has(entry)) entries.push_back(entry);
  }
  return entries;
}

AddressTable AddressTable::folded() const {
  return build(entries());
}

PrefixSet::Longest AddressTable::find(wire::Family family, const wire::IpAddress& address) const noexcept {
  PrefixSet::Longest longest;
  if (base_ != nullptr) {
    longest = removed_.size() == 0 ? base_->find(family, address) : base_->find_except(family, address, removed_);
  }
  if (added_.size() != 0) {
    const PrefixSet::Longest added = added_.find(family, address);
    if (added.length > longest.length) longest = added;
  }
  return longest;
}

}  // namespace ringplane::firewall
