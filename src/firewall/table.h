// AddressTable: what `table <name>` holds: prefixes of both families, some of them negated. The longest prefix that
// holds an address decides; a table says yes if that prefix is not negated. Immutable after build().
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

class AddressTable {
 public:
  /// An empty table: it holds no address.
  AddressTable() = default;
  /// Of a prefix that is given with and without negation, the negated entry counts.
  [[nodiscard]] static AddressTable build(std::span<const TableEntry> entries);

  [[nodiscard]] bool contains(wire::Family family, const wire::IpAddress& address) const noexcept;
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
  void add_level(wire::Family family, std::span<const TableEntry> entries);
  [[nodiscard]] bool level_has_ipv4(const Level& level, std::uint32_t address) const noexcept;
  [[nodiscard]] bool level_has_ipv6(const Level& level, const wire::IpAddress& address) const noexcept;

  std::vector<Level> ipv4_levels_;  // longest first
  std::vector<Level> ipv6_levels_;
  std::vector<std::uint32_t> ipv4_slots_;
  std::vector<wire::IpAddress> ipv6_slots_;
  std::size_t size_ = 0;
};

}  // namespace ringplane::firewall
