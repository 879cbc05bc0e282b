// KeyBlock: the packets that rules are asked about, side by side, so that many are looked up at a time. Who asks builds
// it once, packet by packet, and keeps it; the classifier copies nothing that it does not look at.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "firewall/decision.h"
#include "firewall/match_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {

/// What a header has, or a rule wants to be there. A rule matches only headers that have all it wants.
enum Want : std::uint32_t {
  kWantIn = 1U << 0,       ///< the packet was received
  kWantOut = 1U << 1,      ///< it is about to be sent
  kWantPorts = 1U << 2,    ///< TCP or UDP, and not a later fragment
  kWantWhole = 1U << 3,    ///< not a later fragment
  kWantNoReply = 1U << 4,  ///< anything but a reply to an ICMP query
  kWantOpens = 1U << 5,    ///< anything but TCP without "flags S/SA", which later fragments do not have
  kWantMore = 1U << 6,     ///< of a rule: it has conditions that are not in its record. Every header has it.
};

/// Four small fields in one number: protocol, Wants, the port that the packet is at, ICMP type (0 if it is not ICMP).
[[nodiscard]] constexpr std::uint32_t traits_of(std::uint32_t protocol, std::uint32_t wants, std::uint32_t port,
                                                std::uint32_t icmp_type) noexcept {
  return protocol | (wants << 8) | (port << 16) | (icmp_type << 24);
}
inline constexpr std::uint32_t kWantTraits = traits_of(0, 0xff, 0, 0);
inline constexpr std::uint32_t kMoreTrait = traits_of(0, kWantMore, 0, 0);

/// What most rules look at, in host order. Addresses of IPv6 are not here.
struct alignas(16) KeyRow {
  std::uint32_t source;
  std::uint32_t destination;
  std::uint32_t ports;   ///< source << 16 | destination; 0 without kWantPorts
  std::uint32_t traits;  ///< of traits_of()
};

/// Elements [0, count) are filled; [0, wide_count) of wide_slots: which of them are IPv6, ascending.
struct KeyBlock {
  static constexpr std::uint32_t kCapacity = 128;

  std::uint32_t count = 0;
  std::uint32_t wide_count = 0;
  alignas(64) std::array<KeyRow, kCapacity> rows;
  alignas(64) std::array<TagId, kCapacity> tags;
  alignas(64) std::array<std::uint8_t, kCapacity> wide_slots;
  std::array<MatchKey, kCapacity> keys;  ///< for conditions that only few rules have

  [[nodiscard]] bool is_full() const noexcept { return count == kCapacity; }
  void clear() noexcept { count = wide_count = 0; }

  /// Not when it is full. `key` has a family. Without branches: what a stream of headers is made of cannot be guessed.
  void add(const MatchKey& key) noexcept {
    constexpr std::uint8_t kSynAck = wire::tcp_flag::kSyn | wire::tcp_flag::kAck;
    const std::uint32_t whole = key.is_fragment ? 0 : 1;
    const std::uint32_t tcp = key.protocol == wire::protocol::kTcp ? 1 : 0;
    const std::uint32_t has_ports = whole & (tcp | (key.protocol == wire::protocol::kUdp ? 1U : 0U));
    const std::uint32_t opens = (tcp ^ 1U) | (whole & ((key.tcp_flags & kSynAck) == wire::tcp_flag::kSyn ? 1U : 0U));
    const auto if_so = [](std::uint32_t bit, Want want) { return std::uint32_t{want} & (0U - bit); };
    const std::uint32_t wants = kWantMore | (key.way == Way::kIn ? kWantIn : kWantOut) | if_so(has_ports, kWantPorts) |
                                if_so(whole, kWantWhole) | if_so(opens, kWantOpens) |
                                if_so(is_icmp_query_reply(key) ? 0U : 1U, kWantNoReply);
    const std::uint32_t i = count++;
    rows[i] = {.source = key.source.ipv4(),
               .destination = key.destination.ipv4(),
               .ports = ((std::uint32_t{key.source_port} << 16) | key.destination_port) & (0U - has_ports),
               .traits = traits_of(key.protocol, wants, key.port.value, key.icmp_type)};
    tags[i] = key.tag;
    keys[i] = key;
    wide_slots[wide_count] = static_cast<std::uint8_t>(i);
    wide_count += key.family == wire::Family::kIpv6 ? 1U : 0U;
  }
};

}  // namespace ringplane::firewall
