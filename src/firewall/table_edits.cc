#include "firewall/table_edits.h"

#include <span>
#include <vector>

#include "firewall/prefix_set.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

void TableEdits::note(std::span<const wire::Prefix> removed, std::span<const TableEntry> added) {
  for (const wire::Prefix& prefix : removed) last_[prefix] = Fate::kRemoved;
  for (const TableEntry& entry : added) {
    if (!entry.negated) last_[entry.prefix] = Fate::kAdded;
  }
  // Of one prefix that comes with both signs at a time, the negated one counts.
  for (const TableEntry& entry : added) {
    if (entry.negated) last_[entry.prefix] = Fate::kAddedNegated;
  }
}

std::vector<wire::Prefix> TableEdits::removed() const {
  std::vector<wire::Prefix> prefixes;
  for (const auto& [prefix, fate] : last_) {
    if (fate == Fate::kRemoved) prefixes.push_back(prefix);
  }
  return prefixes;
}

std::vector<TableEntry> TableEdits::added() const {
  std::vector<TableEntry> entries;
  for (const auto& [prefix, fate] : last_) {
    if (fate != Fate::kRemoved) entries.push_back({.prefix = prefix, .negated = fate == Fate::kAddedNegated});
  }
  return entries;
}

}  // namespace ringplane::firewall
