#include "firewall/table_finder.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "firewall/prefix_set.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

// The contents come from the configuration and load stays at or below one half, so a fixed mix is enough.
std::size_t home_of(const wire::IpAddress& address) noexcept {
  const std::uint64_t upper = base::load64(address.bytes.data());
  const std::uint64_t lower = base::load64(address.bytes.data() + 8);
  return base::fold_multiply(upper ^ 0x9e3779b97f4a7c15ULL, lower ^ 0xbf58476d1ce4e5b9ULL);
}

/// Gathers different ids as long as there is room.
class Gathering {
 public:
  explicit Gathering(TableFinder::Found& found) noexcept : found_(found) {}
  void add(std::span<const TableId> tables) noexcept {
    for (const TableId table : tables) {
      const auto known = std::span(found_).first(count_);
      if (std::ranges::find(known, table) != known.end()) continue;
      if (count_ == found_.size()) {
        is_full_ = true;
        return;
      }
      found_[count_++] = table;
    }
  }
  [[nodiscard]] bool is_full() const noexcept { return is_full_; }
  [[nodiscard]] std::span<const TableId> tables() const noexcept { return std::span(found_).first(count_); }

 private:
  TableFinder::Found& found_;
  std::size_t count_ = 0;
  bool is_full_ = false;
};

}  // namespace

TableFinder::TableFinder(const TableList& tables, std::vector<TableId> used) : used_(std::move(used)) {
  std::vector<TableId> by_size = used_;
  std::ranges::sort(by_size, {}, [&tables](TableId id) { return std::pair(tables[id].addresses.size(), id); });
  std::vector<Entry> ipv4;
  std::vector<Entry> ipv6;
  for (const TableId id : by_size) {
    const AddressTable& addresses = tables[id].addresses;
    if (ipv4.size() + ipv6.size() + addresses.size() > kMaxPrefixes) {
      always_.push_back(id);
      continue;
    }
    for (const TableEntry& entry : addresses.entries()) {
      if (entry.negated) continue;
      (entry.prefix.family == wire::Family::kIpv4 ? ipv4 : ipv6)
          .push_back({.length = entry.prefix.length, .address = entry.prefix.address, .table = id});
    }
  }
  add_levels(ipv4, ipv4_levels_);
  add_levels(ipv6, ipv6_levels_);
}

void TableFinder::add_levels(std::vector<Entry>& entries, std::vector<Level>& levels) {
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    if (a.length != b.length) return a.length > b.length;
    return a.address != b.address ? a.address < b.address : a.table < b.table;
  });
  for (std::size_t first = 0; first < entries.size();) {
    std::size_t end = first + 1;
    while (end < entries.size() && entries[end].length == entries[first].length) ++end;
    add_level(std::span(entries).subspan(first, end - first), levels);
    first = end;
  }
}

void TableFinder::add_level(std::span<const Entry> entries, std::vector<Level>& levels) {
  const std::size_t size = std::bit_ceil(entries.size() * 2);
  const Level level{.length = entries.front().length, .mask = size - 1, .first_slot = slots_.size()};
  slots_.resize(slots_.size() + size);
  std::size_t at = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i == 0 || entries[i - 1].address != entries[i].address) {
      at = home_of(entries[i].address) & level.mask;
      while (slots_[level.first_slot + at].count != 0) at = (at + 1) & level.mask;
      slots_[level.first_slot + at] = {.address = entries[i].address,
                                       .first = static_cast<std::uint32_t>(refs_.size())};
    }
    ++slots_[level.first_slot + at].count;
    refs_.push_back(entries[i].table);
  }
  levels.push_back(level);
}

std::span<const TableId> TableFinder::tables_of(const Level& level, const wire::IpAddress& address) const noexcept {
  for (std::size_t at = home_of(address) & level.mask;; at = (at + 1) & level.mask) {
    const Slot& slot = slots_[level.first_slot + at];
    if (slot.count == 0) return {};
    if (slot.address == address) return std::span(refs_).subspan(slot.first, slot.count);
  }
}

std::span<const TableId> TableFinder::find(wire::Family family, const wire::IpAddress& address,
                                           const TableOverlay* overlay, std::span<const TableId> changed,
                                           Found& found) const noexcept {
  Gathering gathering(found);
  gathering.add(always_);
  gathering.add(changed);
  if (overlay != nullptr && overlay->size() != 0) {
    Found held;
    const std::size_t count = overlay->tables_of({.family = family, .address = address}, held);
    if (count > held.size()) return used_;
    gathering.add(std::span(held).first(count));
  }
  for (const Level& level : family == wire::Family::kIpv4 ? ipv4_levels_ : ipv6_levels_) {
    gathering.add(tables_of(level, wire::Prefix::of(family, address, level.length).address));
  }
  return gathering.is_full() ? std::span<const TableId>(used_) : gathering.tables();
}

std::size_t TableFinder::memory_bytes() const noexcept {
  return (used_.capacity() + always_.capacity() + refs_.capacity()) * sizeof(TableId) +
         slots_.capacity() * sizeof(Slot) + (ipv4_levels_.capacity() + ipv6_levels_.capacity()) * sizeof(Level);
}

}  // namespace ringplane::firewall
