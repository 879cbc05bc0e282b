// CompiledRule: the conditions of one rule on a packet as numbers. What people read is left out, and so is what does
// not depend on the packet alone: tags and probabilities.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "base/hash.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

/// Of CompiledRule::bits: which conditions there are.
enum RuleBit : std::uint32_t {
  kWayIn = 1U << 0,
  kWayOut = 1U << 1,
  kIpv4 = 1U << 2,
  kIpv6 = 1U << 3,
  kProtocol = 1U << 4,
  kSourcePrefix = 1U << 5,
  kSourceTable = 1U << 6,
  kSourceNegated = 1U << 7,
  kDestinationPrefix = 1U << 8,
  kDestinationTable = 1U << 9,
  kDestinationNegated = 1U << 10,
  kSourcePort = 1U << 11,
  kSourcePortNegated = 1U << 12,
  kDestinationPort = 1U << 13,
  kDestinationPortNegated = 1U << 14,
  kIcmpType = 1U << 15,
  kIcmpCode = 1U << 16,
  kTos = 1U << 17,
  kFragment = 1U << 18,
  kNoIcmpReply = 1U << 19,
  kQuick = 1U << 20,
};

/// The conditions of one rule, packed into a cache line.
struct alignas(64) CompiledRule {
  std::array<std::uint8_t, 16> source{};  ///< of a table: its id, native order, in the first four bytes
  std::array<std::uint8_t, 16> destination{};
  std::uint16_t source_port_low = 0;  ///< low > high: no port
  std::uint16_t source_port_high = 0xffff;
  std::uint16_t destination_port_low = 0;
  std::uint16_t destination_port_high = 0xffff;
  std::uint64_t ports = Rule::kEveryPort;
  std::uint32_t parent = Rule::kNone;  ///< the anchor whose conditions count too
  std::uint32_t bits = 0;
  std::uint8_t source_length = 0;
  std::uint8_t destination_length = 0;
  std::uint8_t protocol = 0;
  std::uint8_t tcp_flags = 0;
  std::uint8_t tcp_flags_mask = 0;
  std::uint8_t icmp_type = 0;
  std::uint8_t icmp_code = 0;
  std::uint8_t tos = 0;
};
static_assert(sizeof(CompiledRule) == 64);

[[nodiscard]] CompiledRule compile(const Rule& rule) noexcept;

/// The tables as they are when a packet is asked about.
struct TableContents {
  const TableList* tables = nullptr;
  const TableOverlay* overlay = nullptr;  ///< nullptr: no table was changed at run time

  [[nodiscard]] bool hold(TableId table, wire::Family family, const wire::IpAddress& address) const noexcept {
    return (overlay != nullptr && overlay->contains(table, family, address)) ||
           (*tables)[table].addresses.contains(family, address);
  }
};

/// Whether the packet meets the rule's own conditions, those of anchors aside.
[[nodiscard]] bool matches(const CompiledRule& rule, const MatchKey& key, const TableContents& tables) noexcept;

/// Of an address that is a table.
[[nodiscard]] inline TableId table_of(const std::array<std::uint8_t, 16>& bytes) noexcept {
  TableId id = kNoTable;
  std::memcpy(&id, bytes.data(), sizeof id);
  return id;
}

[[nodiscard]] inline std::uint64_t load_be64(const std::uint8_t* from) noexcept {
  std::uint64_t value = base::load64(from);
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  return value;
}

[[nodiscard]] inline std::uint32_t load_be32(const std::uint8_t* from) noexcept {
  std::uint32_t value = 0;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  return value;
}

[[nodiscard]] constexpr std::uint64_t top_bits(unsigned count) noexcept {
  if (count == 0) return 0;
  return count >= 64 ? ~std::uint64_t{0} : ~std::uint64_t{0} << (64 - count);
}

}  // namespace ringplane::firewall
