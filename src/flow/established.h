// The short way of conntrack for what most packets are: a segment with ACK and without SYN, FIN or RST, on a TCP flow
// that both sides have established and that was seen from its first SYN. The conditions and the updates are those of
// step() (conntrack.cc), computed without branches that depend on the packet; a segment that fails any condition takes
// the long way, which finds out what to make of it. conntrack_established_test.cc holds the two to each other.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/branchless.h"
#include "flow/flow.h"
#include "wire/packet.h"

namespace ringplane::flow {

/// An acknowledgment this far below what was sent is a late duplicate, whatever the windows: one unscaled window and a
/// jumbo frame.
inline constexpr std::uint32_t kLateAckBytes = 66'000;

/// True: `packet`, which has the flow's key, is such a segment and acceptable, and the flow's windows have moved.
/// False: nothing has changed.
[[nodiscard]] inline bool step_established(Flow& flow, const wire::Packet& packet) noexcept {
  constexpr std::uint8_t kEstablished = static_cast<std::uint8_t>(PeerState::kEstablished);
  constexpr std::uint8_t kJudged =
      wire::tcp_flag::kSyn | wire::tcp_flag::kFin | wire::tcp_flag::kRst | wire::tcp_flag::kAck;
  const std::size_t from = static_cast<std::size_t>(flow.direction_of(packet));
  const std::size_t to = 1 - from;
  const bool ordinary = base::all_hold(packet.is_tcp(), (packet.tcp_flags & kJudged) == wire::tcp_flag::kAck,
                                       (flow.peer[0] & 0x0f) == kEstablished, (flow.peer[1] & 0x0f) == kEstablished,
                                       !flow.has(flow_flag::kPickedUp));
  if (!ordinary) return false;
  // Scales are agreed on by now: no nibble is "unknown".
  const unsigned scale = flow.peer[from] >> 4;
  const std::uint32_t from_window = std::max(std::uint32_t{flow.max_window[from]} << scale, 1U);
  const std::uint32_t to_window = std::max(std::uint32_t{flow.max_window[to]} << (flow.peer[to] >> 4), 1U);
  const std::uint32_t end = packet.tcp_seq + packet.payload_length;
  const auto beyond_allowed = static_cast<std::int32_t>(end - flow.allowed_end[from]);
  const auto above_oldest = static_cast<std::int32_t>(packet.tcp_seq - (flow.sent_end[from] - to_window));
  const std::uint32_t ack_below = flow.sent_end[to] - packet.tcp_ack;
  const bool acceptable =
      base::all_hold(beyond_allowed <= 0, above_oldest >= 0, ack_below <= std::max(2 * from_window, kLateAckBytes));
  if (!acceptable) return false;
  flow.max_window[from] = std::max(flow.max_window[from], packet.tcp_window);
  const auto sent_more = static_cast<std::int32_t>(end - flow.sent_end[from]);
  flow.sent_end[from] = sent_more > 0 ? end : flow.sent_end[from];
  const std::uint32_t allowed = packet.tcp_ack + std::max(std::uint32_t{packet.tcp_window} << scale, 1U);
  const auto allows_more = static_cast<std::int32_t>(allowed - flow.allowed_end[to]);
  flow.allowed_end[to] = allows_more > 0 ? allowed : flow.allowed_end[to];
  return true;
}

}  // namespace ringplane::flow
