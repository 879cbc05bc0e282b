// The short way of conntrack for what most packets are: a segment with ACK and without SYN, FIN or RST, on a TCP flow
// that both sides have established and that was seen from its first SYN; and a UDP datagram on a flow that both sides
// have spoken on. What must hold of the flow is compared as whole words, and conditions and updates are computed
// without branches that depend on the packet, so that there is one branch to predict. A packet that fails any condition
// takes the long way (step(), conntrack.cc), which finds out what to make of it; established_test.cc holds the two to
// each other.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/branchless.h"
#include "base/hash.h"
#include "flow/flow.h"
#include "wire/flow_key.h"
#include "wire/packet.h"
#include "wire/plain_headers.h"

namespace ringplane::flow {

/// An acknowledgment this far below what was sent is a late duplicate, whatever the windows: one unscaled window and a
/// jumbo frame.
inline constexpr std::uint32_t kLateAckBytes = 66'000;

/// What a packet on the short way says, IPv4 only; TCP's words as in wire::PlainHeaders.
struct EstablishedPacket {
  std::uint64_t addresses = 0;
  std::uint64_t ports_and_zone = 0;
  std::uint32_t ip_length = 0;
  std::uint32_t seq = 0;
  std::uint32_t end = 0;
  std::uint32_t ack = 0;
  std::uint32_t window = 0;
  bool from_upper = false;
  bool second_side = false;  ///< came in by the second port of its domain

  [[nodiscard]] static EstablishedPacket of(const wire::PlainHeaders& headers, std::size_t i,
                                            bool second_side) noexcept {
    return {.addresses = headers.addresses[i],
            .ports_and_zone = headers.ports_and_zone[i],
            .ip_length = headers.ip_length[i],
            .seq = headers.seq[i],
            .end = headers.end[i],
            .ack = headers.ack[i],
            .window = headers.window[i],
            .from_upper = (headers.from_upper >> i & 1) != 0,
            .second_side = second_side};
  }
};

/// What must hold of a flow beside its addresses, ports and zone, as one word of Flow and a mask: the protocol, that it
/// is IPv4, live, not picked up in the middle, that its packets are not logged one by one, and its generation.
struct EstablishedFlow {
  static constexpr std::uint64_t kMask =
      0xffff'0000'ffffULL | std::uint64_t{flow_flag::kLive | flow_flag::kPickedUp | flow_flag::kLog} << 16;
  std::uint64_t word;
  std::uint16_t peers;  ///< the states of both sides

  [[nodiscard]] static constexpr EstablishedFlow tcp(std::uint16_t generation) noexcept {
    return of(wire::protocol::kTcp, PeerState::kEstablished, generation);
  }
  [[nodiscard]] static constexpr EstablishedFlow udp(std::uint16_t generation) noexcept {
    return of(wire::protocol::kUdp, PeerState::kMultiple, generation);
  }

 private:
  static constexpr EstablishedFlow of(std::uint8_t protocol, PeerState state, std::uint16_t generation) noexcept {
    return {.word = protocol | std::uint64_t{static_cast<std::uint8_t>(wire::Family::kIpv4)} << 8 |
                    std::uint64_t{flow_flag::kLive} << 16 | std::uint64_t{generation} << 32,
            .peers = static_cast<std::uint16_t>(static_cast<unsigned>(state) * 0x0101U)};
  }
};
static_assert(std::endian::native == std::endian::little && offsetof(Flow, family) == offsetof(Flow, protocol) + 1 &&
              offsetof(Flow, flags) == offsetof(Flow, protocol) + 2 &&
              offsetof(Flow, generation) == offsetof(Flow, protocol) + 4 && offsetof(Flow, peer) % 2 == 0);

/// Zero: `packet` belongs to `flow`, came in on the side it should, and nothing but counters and TCP's windows can
/// change.
[[nodiscard, gnu::always_inline]] inline std::uint64_t differs(const Flow& flow, const EstablishedPacket& packet,
                                                               const EstablishedFlow& wanted) noexcept {
  const std::uint64_t word = base::load64(&flow.protocol);
  const auto flags = static_cast<unsigned>(word >> 16);
  static_assert(flow_flag::kOriginalUpper == 1U << 1 && flow_flag::kOriginalSecondPort == 1U << 5);
  // The original side is at the second port, the packet came in there, the packet is of the original side: any two
  // decide the third.
  const unsigned side = (flags >> 1 ^ flags >> 5 ^ unsigned{packet.from_upper} ^ unsigned{packet.second_side}) & 1U;
  const auto peers = static_cast<unsigned>(flow.peer[0] | flow.peer[1] << 8) & 0x0f0fU;
  return (flow.addresses ^ packet.addresses) | (base::load64(flow.port.data()) ^ packet.ports_and_zone) |
         ((word & EstablishedFlow::kMask) ^ wanted.word) | side | (peers ^ wanted.peers);
}

/// The index of the packet's sender in the arrays of `flow`.
[[nodiscard]] inline std::size_t sender_of(const Flow& flow, const EstablishedPacket& packet) noexcept {
  return (flow.flags >> 1 ^ unsigned{packet.from_upper}) & 1U;
}

/// True: `packet` is a segment of `flow` as above and acceptable, and the flow's windows have moved. False: nothing has
/// changed.
[[nodiscard, gnu::always_inline]] inline bool step_established(Flow& flow, const EstablishedPacket& packet,
                                                               const EstablishedFlow& wanted) noexcept {
  const std::size_t from = sender_of(flow, packet);
  const std::size_t to = 1 - from;
  // Scales are agreed on by now: no nibble is "unknown".
  const unsigned scale = flow.peer[from] >> 4;
  const std::uint32_t from_window = std::max(std::uint32_t{flow.max_window[from]} << scale, 1U);
  const std::uint32_t to_window = std::max(std::uint32_t{flow.max_window[to]} << (flow.peer[to] >> 4), 1U);
  const std::uint32_t sent_end = flow.sent_end[from];
  const std::uint32_t allowed_end = flow.allowed_end[to];
  const auto beyond_allowed = static_cast<std::int32_t>(packet.end - flow.allowed_end[from]);
  const auto above_oldest = static_cast<std::int32_t>(packet.seq - (sent_end - to_window));
  const std::uint32_t ack_below = flow.sent_end[to] - packet.ack;
  const bool acceptable = base::all_hold(differs(flow, packet, wanted) == 0, beyond_allowed <= 0, above_oldest >= 0,
                                         ack_below <= std::max(2 * from_window, kLateAckBytes));
  if (!acceptable) [[unlikely]]
    return false;
  flow.max_window[from] = static_cast<std::uint16_t>(std::max(std::uint32_t{flow.max_window[from]}, packet.window));
  const auto sent_more = static_cast<std::int32_t>(packet.end - sent_end);
  flow.sent_end[from] = sent_more > 0 ? packet.end : sent_end;
  const std::uint32_t allowed = packet.ack + std::max(packet.window << scale, 1U);
  const auto allows_more = static_cast<std::int32_t>(allowed - allowed_end);
  flow.allowed_end[to] = allows_more > 0 ? allowed : allowed_end;
  return true;
}

}  // namespace ringplane::flow
