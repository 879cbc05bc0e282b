// FlowKey: what makes two packets belong to one conversation. Both directions give the same key: endpoint 0 is the
// lower of the two (by an order of our own), and who sent a given packet stands beside the key, in Packet::from_upper.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/hash.h"
#include "wire/ip_address.h"

namespace ringplane::wire {

/// Who speaks, seen from the flow: `original` is the direction of the packet that made it.
enum class Direction : std::uint8_t { kOriginal = 0, kReply = 1 };
[[nodiscard]] constexpr Direction opposite(Direction direction) noexcept {
  return direction == Direction::kOriginal ? Direction::kReply : Direction::kOriginal;
}

/// A conversation must not be mistaken for one with the same addresses in another VLAN or on another pair of ports:
/// bits 31..24 forwarding domain, 23..12 outer VLAN id, 11..0 inner VLAN id (0: no tag).
using Zone = std::uint32_t;
[[nodiscard]] constexpr Zone make_zone(std::uint8_t domain, std::uint16_t outer_vlan,
                                       std::uint16_t inner_vlan) noexcept {
  return (Zone{domain} << 24) | (Zone{outer_vlan} << 12) | inner_vlan;
}

/// The hash of an IPv4 key, of which most words are zero: both addresses in one word (endpoint 0 in the upper half),
/// both ports and the zone in another.
[[nodiscard]] inline std::uint64_t hash_ipv4(std::uint64_t addresses, std::uint64_t ports_and_zone,
                                             std::uint8_t protocol, const base::HashSecret& secret) noexcept {
  const std::uint64_t state = base::fold_multiply(addresses ^ secret.word[1], ports_and_zone ^ secret.word[2]);
  return base::fold_multiply(state ^ secret.word[3] ^ protocol, secret.word[1] | 1);
}

struct FlowKey {
  std::array<IpAddress, 2> address;
  /// Host order. ICMP echo: the identifier in both. Protocols without ports: 0.
  std::array<std::uint16_t, 2> port{};
  Zone zone = 0;
  std::uint8_t protocol = 0;
  Family family = Family::kNone;
  std::array<std::uint8_t, 6> zero{};  // padding, named so that it is hashed and compared as zero

  [[nodiscard]] bool operator==(const FlowKey& other) const noexcept {
    return std::memcmp(this, &other, sizeof *this) == 0;
  }
  /// Of an IPv4 key: endpoint 0 in the upper half, each as its bytes lie in memory.
  [[nodiscard]] std::uint64_t packed_ipv4() const noexcept {
    return (base::load64(address[0].bytes.data()) << 32) | (base::load64(address[1].bytes.data()) & 0xffff'ffff);
  }
  [[nodiscard]] std::uint64_t ports_and_zone() const noexcept { return base::load64(port.data()); }
  [[nodiscard]] std::uint64_t hash(const base::HashSecret& secret) const noexcept {
    return family == Family::kIpv4 ? hash_ipv4(packed_ipv4(), ports_and_zone(), protocol, secret)
                                   : base::keyed_hash<48>(this, secret);
  }
};
static_assert(offsetof(FlowKey, zone) == offsetof(FlowKey, port) + 4 &&
              offsetof(FlowKey, zero) == offsetof(FlowKey, protocol) + 2);
static_assert(sizeof(FlowKey) == 48 && std::is_trivially_copyable_v<FlowKey>);

/// Orders the endpoints of `key` (filled as [0] source, [1] destination); returns true if they were exchanged, that is,
/// if the source is now endpoint 1.
[[nodiscard]] inline bool canonicalize(FlowKey& key) noexcept {
  // Addresses as two words each: once per packet, so no call of memcmp. Any total order will do.
  const auto word = [&key](std::size_t endpoint, std::size_t half) {
    return base::load64(key.address[endpoint].bytes.data() + 8 * half);
  };
  const std::uint64_t first[] = {word(0, 0), word(0, 1), key.port[0]};
  const std::uint64_t second[] = {word(1, 0), word(1, 1), key.port[1]};
  std::size_t i = 0;
  while (i < 2 && first[i] == second[i]) ++i;
  if (first[i] <= second[i]) return false;
  std::swap(key.address[0], key.address[1]);
  std::swap(key.port[0], key.port[1]);
  return true;
}

}  // namespace ringplane::wire
