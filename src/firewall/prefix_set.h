// PrefixSet: prefixes of both families, some of them negated, of which the longest that holds an address is looked for.
// Immutable after build(); any thread.
//
// One open-addressed set of addresses per (family, length, sign), asked from the longest length down: at most as many
// probes as there are different lengths, about 8 bytes per IPv4 entry. Lookups neither allocate nor throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "wire/ip_address.h"

namespace ringplane::firewall {

struct TableEntry {
  wire::Prefix prefix{};
  bool negated = false;
  [[nodiscard]] constexpr auto operator<=>(const TableEntry&) const noexcept = default;
};

class PrefixSet {
 public:
  /// The longest prefix that holds an address.
  struct Longest {
    int length = -1;  ///< -1: none
    bool negated = false;
  };

  /// An empty set: it holds no address.
  PrefixSet() = default;
  /// Of a prefix that is given with and without negation, the negated entry counts.
  [[nodiscard]] static PrefixSet build(std::span<const TableEntry> entries);

  [[nodiscard]] Longest find(wire::Family family, const wire::IpAddress& address) const noexcept;
  /// As if this set had no prefix that `except` has.
  [[nodiscard]] Longest find_except(wire::Family family, const wire::IpAddress& address,
                                    const PrefixSet& except) const noexcept;
  /// With the same sign.
  [[nodiscard]] bool has(const TableEntry& entry) const noexcept;
  [[nodiscard]] std::vector<TableEntry> entries() const;
  /// Number of different prefixes.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    return (ipv4_slots_.capacity() * sizeof(std::uint32_t)) + (ipv6_slots_.capacity() * sizeof(wire::IpAddress)) +
           ((ipv4_levels_.capacity() + ipv6_levels_.capacity()) * sizeof(Level));
  }

 private:
  struct Level {
    std::uint8_t length = 0;
    bool negated = false;
    bool has_zero = false;   // an empty slot is 0, so the address 0 is told by this bit
    std::uint32_t mask = 0;  // slots - 1
    std::size_t first_slot = 0;
  };
  template <class Address>
  static Level* add_level(std::vector<Level>& levels, std::vector<Address>& slots, std::size_t entries);
  /// False: it was there.
  bool insert(const wire::Prefix& prefix, Level& level);
  [[nodiscard]] bool level_has_ipv4(const Level& level, std::uint32_t address) const noexcept;
  [[nodiscard]] bool level_has_ipv6(const Level& level, const wire::IpAddress& address) const noexcept;
  [[nodiscard]] bool level_has(wire::Family family, const Level& level, const wire::IpAddress& address) const noexcept {
    return family == wire::Family::kIpv4 ? level_has_ipv4(level, address.ipv4()) : level_has_ipv6(level, address);
  }
  [[nodiscard]] const std::vector<Level>& levels_of(wire::Family family) const noexcept {
    return family == wire::Family::kIpv4 ? ipv4_levels_ : ipv6_levels_;
  }

  std::vector<Level> ipv4_levels_;  // longest first
  std::vector<Level> ipv6_levels_;
  std::vector<std::uint32_t> ipv4_slots_;
  std::vector<wire::IpAddress> ipv6_slots_;
  std::size_t size_ = 0;
};

}  // namespace ringplane::firewall
