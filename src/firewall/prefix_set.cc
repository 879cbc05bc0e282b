#include "firewall/prefix_set.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
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

/// False: it was there.
template <class Address>
bool put(std::span<Address> slots, std::uint32_t mask, const Address& address) {
  std::uint32_t slot = slot_of(address, mask);
  for (; slots[slot] != Address{}; slot = (slot + 1) & mask) {
    if (slots[slot] == address) return false;
  }
  slots[slot] = address;
  return true;
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
  constexpr std::size_t kLengths = 129;
  struct Place {
    std::size_t entries = 0;
    Level* level = nullptr;
  };
  std::array<std::array<Place, 2>, kLengths * 2> places{};  // by length and family, then by sign: the negated first
  const auto both_signs = [&places](const wire::Prefix& prefix) -> std::array<Place, 2>& {
    return places[std::size_t{prefix.length} * 2 + (prefix.family == wire::Family::kIpv4 ? 0 : 1)];
  };
  for (const TableEntry& entry : entries) ++both_signs(entry.prefix)[entry.negated ? 0 : 1].entries;

  PrefixSet set;
  set.ipv4_levels_.reserve(kLengths * 2);  // places point there
  set.ipv6_levels_.reserve(kLengths * 2);
  for (std::size_t i = places.size(); i-- > 0;) {
    for (const bool negated : {true, false}) {
      Place& place = places[i][negated ? 0 : 1];
      if (place.entries == 0) continue;
      const auto length = static_cast<std::uint8_t>(i / 2);
      place.level = i % 2 == 0 ? add_level(set.ipv4_levels_, set.ipv4_slots_, place.entries)
                               : add_level(set.ipv6_levels_, set.ipv6_slots_, place.entries);
      place.level->length = length;
      place.level->negated = negated;
    }
  }
  // The negated ones first, so that of a prefix with both signs the other is left out.
  for (const bool negated : {true, false}) {
    for (const TableEntry& entry : entries) {
      if (entry.negated != negated) continue;
      const auto& [no, yes] = both_signs(entry.prefix);
      const wire::Prefix& prefix = entry.prefix;
      if (!negated && no.level != nullptr && set.level_has(prefix.family, *no.level, prefix.address)) continue;
      if (set.insert(prefix, negated ? *no.level : *yes.level)) ++set.size_;
    }
  }
  set.ipv4_levels_.shrink_to_fit();
  set.ipv6_levels_.shrink_to_fit();
  return set;
}

template <class Address>
PrefixSet::Level* PrefixSet::add_level(std::vector<Level>& levels, std::vector<Address>& slots, std::size_t entries) {
  const std::size_t own = std::bit_ceil(entries * 2);
  levels.push_back({.mask = static_cast<std::uint32_t>(own - 1), .first_slot = slots.size()});
  slots.resize(slots.size() + own);
  return &levels.back();
}

bool PrefixSet::insert(const wire::Prefix& prefix, Level& level) {
  if (prefix.address == wire::IpAddress{}) return !std::exchange(level.has_zero, true);
  if (prefix.family == wire::Family::kIpv4) {
    return put(std::span(ipv4_slots_).subspan(level.first_slot), level.mask, prefix.address.ipv4());
  }
  return put(std::span(ipv6_slots_).subspan(level.first_slot), level.mask, prefix.address);
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
