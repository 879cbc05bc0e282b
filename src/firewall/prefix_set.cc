#include "firewall/prefix_set.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/hash.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

// The contents come from the configuration and load stays at or below one half, so a fixed mix is enough.
constexpr std::uint64_t kMix = 0x9e3779b97f4a7c15ULL;

std::uint32_t slot_of(std::uint32_t address, std::uint32_t mask) noexcept {
  return static_cast<std::uint32_t>(base::fold_multiply(address, kMix)) & mask;
}

std::uint32_t slot_of(const wire::IpAddress& address, std::uint32_t mask) noexcept {
  const std::uint64_t upper = base::load64(address.bytes.data());
  const std::uint64_t lower = base::load64(address.bytes.data() + 8);
  return static_cast<std::uint32_t>(base::fold_multiply(upper ^ kMix, lower ^ 0xbf58476d1ce4e5b9ULL)) & mask;
}

std::uint32_t ipv4_mask(unsigned length) noexcept {
  return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
}

template <class Address>
void insert(std::span<Address> slots, std::uint32_t mask, const Address& address) {
  std::uint32_t slot = slot_of(address, mask);
  while (slots[slot] != Address{}) slot = (slot + 1) & mask;
  slots[slot] = address;
}

template <class Address>
bool holds(std::span<const Address> slots, std::uint32_t mask, const Address& address) noexcept {
  for (std::uint32_t slot = slot_of(address, mask); slots[slot] != Address{}; slot = (slot + 1) & mask) {
    if (slots[slot] == address) return true;
  }
  return false;
}

}  // namespace

PrefixSet PrefixSet::build(std::span<const TableEntry> entries) {
  // By level, and in it so that of one prefix the negated entry comes first and stays.
  std::vector<TableEntry> sorted(entries.begin(), entries.end());
  std::ranges::sort(sorted, [](const TableEntry& a, const TableEntry& b) {
    if (a.prefix.family != b.prefix.family) return a.prefix.family < b.prefix.family;
    if (a.prefix.length != b.prefix.length) return a.prefix.length > b.prefix.length;
    const auto upper = [](const TableEntry& entry) { return base::load64(entry.prefix.address.bytes.data()); };
    const auto lower = [](const TableEntry& entry) { return base::load64(entry.prefix.address.bytes.data() + 8); };
    if (upper(a) != upper(b)) return upper(a) < upper(b);
    if (lower(a) != lower(b)) return lower(a) < lower(b);
    return a.negated > b.negated;
  });
  const auto same = std::ranges::unique(sorted, {}, &TableEntry::prefix);
  sorted.erase(same.begin(), same.end());

  PrefixSet set;
  set.size_ = sorted.size();
  for (std::size_t first = 0; first < sorted.size();) {
    std::size_t end = first + 1;
    while (end < sorted.size() && sorted[end].prefix.family == sorted[first].prefix.family &&
           sorted[end].prefix.length == sorted[first].prefix.length) {
      ++end;
    }
    const std::span level = std::span(sorted).subspan(first, end - first);
    const auto negated = std::ranges::partition(level, [](const TableEntry& entry) { return !entry.negated; });
    const std::size_t plain = level.size() - negated.size();
    if (plain > 0) set.add_level(level.front().prefix.family, level.first(plain));
    if (plain < level.size()) set.add_level(level.front().prefix.family, level.subspan(plain));
    first = end;
  }
  return set;
}

void PrefixSet::add_level(wire::Family family, std::span<const TableEntry> entries) {
  const std::size_t slots = std::bit_ceil(entries.size() * 2);
  Level level{.length = entries.front().prefix.length,
              .negated = entries.front().negated,
              .mask = static_cast<std::uint32_t>(slots - 1)};
  if (family == wire::Family::kIpv4) {
    level.first_slot = ipv4_slots_.size();
    ipv4_slots_.resize(level.first_slot + slots);
    const std::span own = std::span(ipv4_slots_).subspan(level.first_slot);
    for (const TableEntry& entry : entries) {
      const std::uint32_t address = entry.prefix.address.ipv4();
      if (address == 0) {
        level.has_zero = true;
      } else {
        insert(own, level.mask, address);
      }
    }
    ipv4_levels_.push_back(level);
    return;
  }
  level.first_slot = ipv6_slots_.size();
  ipv6_slots_.resize(level.first_slot + slots);
  const std::span own = std::span(ipv6_slots_).subspan(level.first_slot);
  for (const TableEntry& entry : entries) {
    if (entry.prefix.address == wire::IpAddress{}) {
      level.has_zero = true;
    } else {
      insert(own, level.mask, entry.prefix.address);
    }
  }
  ipv6_levels_.push_back(level);
}

bool PrefixSet::level_has_ipv4(const Level& level, std::uint32_t address) const noexcept {
  address &= ipv4_mask(level.length);
  if (address == 0) return level.has_zero;
  return holds(std::span(ipv4_slots_).subspan(level.first_slot), level.mask, address);
}

bool PrefixSet::level_has_ipv6(const Level& level, const wire::IpAddress& address) const noexcept {
  const wire::IpAddress masked = wire::Prefix::of(wire::Family::kIpv6, address, level.length).address;
  if (masked == wire::IpAddress{}) return level.has_zero;
  return holds(std::span(ipv6_slots_).subspan(level.first_slot), level.mask, masked);
}

PrefixSet::Longest PrefixSet::find(wire::Family family, const wire::IpAddress& address) const noexcept {
  if (family == wire::Family::kIpv4) {
    const std::uint32_t number = address.ipv4();
    for (const Level& level : ipv4_levels_) {
      if (level_has_ipv4(level, number)) return {.length = level.length, .negated = level.negated};
    }
    return {};
  }
  for (const Level& level : ipv6_levels_) {
    if (level_has_ipv6(level, address)) return {.length = level.length, .negated = level.negated};
  }
  return {};
}

PrefixSet::Longest PrefixSet::find_except(wire::Family family, const wire::IpAddress& address,
                                          const PrefixSet& except) const noexcept {
  for (const Level& level : levels_of(family)) {
    if (!level_has(family, level, address)) continue;
    const TableEntry entry{.prefix = wire::Prefix::of(family, address, level.length), .negated = level.negated};
    if (!except.has(entry)) return {.length = level.length, .negated = level.negated};
  }
  return {};
}

bool PrefixSet::has(const TableEntry& entry) const noexcept {
  for (const Level& level : levels_of(entry.prefix.family)) {
    if (level.length == entry.prefix.length && level.negated == entry.negated) {
      return level_has(entry.prefix.family, level, entry.prefix.address);
    }
  }
  return false;
}

std::vector<TableEntry> PrefixSet::entries() const {
  std::vector<TableEntry> all;
  all.reserve(size_);
  const auto add = [&all](const Level& level, wire::Family family, const wire::IpAddress& address) {
    all.push_back({.prefix = {.family = family, .length = level.length, .address = address}, .negated = level.negated});
  };
  for (const Level& level : ipv4_levels_) {
    if (level.has_zero) add(level, wire::Family::kIpv4, {});
    for (const std::uint32_t slot : std::span(ipv4_slots_).subspan(level.first_slot, std::size_t{level.mask} + 1)) {
      if (slot != 0) add(level, wire::Family::kIpv4, wire::IpAddress::from_ipv4(slot));
    }
  }
  for (const Level& level : ipv6_levels_) {
    if (level.has_zero) add(level, wire::Family::kIpv6, {});
    for (const wire::IpAddress& slot : std::span(ipv6_slots_).subspan(level.first_slot, std::size_t{level.mask} + 1)) {
      if (slot != wire::IpAddress{}) add(level, wire::Family::kIpv6, slot);
    }
  }
  return all;
}

}  // namespace ringplane::firewall
