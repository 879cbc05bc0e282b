// FlowPhase: what follows from a flow's conntrack state alone: which timeout applies, and whether it may go to make
// room. Asked for each new flow, each change of state, each flow that the timers look at; so it is one load from a
// table that the compiler makes of the rules below.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "flow/flow.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"
#include "wire/packet.h"

namespace ringplane::flow {

struct FlowPhase {
  TimeoutClass timeout;  ///< the class whose timeout applies now, as pf does it
  bool half_open;  ///< not yet answered: TCP whose SYNs are not both acknowledged; others with packets one way only
  bool over;       ///< TCP closed by both sides or reset

  [[nodiscard]] constexpr bool expendable() const noexcept { return half_open || over; }
};

namespace phase {

enum class Kind : std::uint8_t { kTcp, kUdp, kIcmp, kOther };

[[nodiscard]] constexpr Kind kind_of(std::uint8_t protocol) noexcept {
  if (protocol == wire::protocol::kTcp) return Kind::kTcp;
  if (protocol == wire::protocol::kUdp) return Kind::kUdp;
  return protocol == wire::protocol::kIcmp || protocol == wire::protocol::kIcmp6 ? Kind::kIcmp : Kind::kOther;
}

[[nodiscard]] constexpr TimeoutClass tcp_timeout(bool first, bool over, PeerState original, PeerState reply) noexcept {
  if (first) return TimeoutClass::kTcpFirst;
  if (over) return TimeoutClass::kTcpClosed;
  if (std::min(original, reply) >= PeerState::kClosing) return TimeoutClass::kTcpFinWait;
  if (std::min(original, reply) < PeerState::kEstablished) return TimeoutClass::kTcpOpening;
  if (std::max(original, reply) >= PeerState::kClosing) return TimeoutClass::kTcpClosing;
  return TimeoutClass::kTcpEstablished;
}

[[nodiscard]] constexpr FlowPhase follow(Kind kind, bool first, PeerState original, PeerState reply) noexcept {
  const bool answered = reply != PeerState::kNoTraffic;
  const bool multiple = std::min(original, reply) == PeerState::kMultiple;
  switch (kind) {
    case Kind::kTcp: {
      const bool over = std::min(original, reply) >= PeerState::kFinWait2;
      const bool half_open = std::min(original, reply) < PeerState::kEstablished;
      return {tcp_timeout(first, over, original, reply), half_open, over};
    }
    case Kind::kUdp:
      if (first) return {TimeoutClass::kUdpFirst, !answered, false};
      return {multiple ? TimeoutClass::kUdpMultiple : TimeoutClass::kUdpSingle, !answered, false};
    case Kind::kIcmp: return {answered ? TimeoutClass::kIcmpError : TimeoutClass::kIcmpFirst, !answered, false};
    case Kind::kOther: break;
  }
  if (first) return {TimeoutClass::kOtherFirst, !answered, false};
  return {multiple ? TimeoutClass::kOtherMultiple : TimeoutClass::kOtherSingle, !answered, false};
}

/// By kind (2 bits), first packet (1), state of the original side (3), of the reply side (3).
[[nodiscard]] constexpr std::size_t place_of(Kind kind, bool first, unsigned original, unsigned reply) noexcept {
  return static_cast<std::size_t>(kind) << 7 | std::size_t{first} << 6 | std::size_t{original} << 3 | reply;
}

/// One byte each: the timeout class, 0x10 if half-open, 0x20 if over.
inline constexpr auto kTable = [] {
  std::array<std::uint8_t, 512> table{};
  for (const Kind kind : {Kind::kTcp, Kind::kUdp, Kind::kIcmp, Kind::kOther}) {
    for (unsigned state = 0; state < 128; ++state) {
      const unsigned original = state >> 3 & 7;
      const unsigned reply = state & 7;
      const FlowPhase phase =
          follow(kind, state >= 64, static_cast<PeerState>(original), static_cast<PeerState>(reply));
      table[place_of(kind, state >= 64, original, reply)] = static_cast<std::uint8_t>(
          static_cast<unsigned>(phase.timeout) | (phase.half_open ? 0x10U : 0U) | (phase.over ? 0x20U : 0U));
    }
  }
  return table;
}();
static_assert(kTimeoutClassCount <= 16);

}  // namespace phase

[[nodiscard]] inline FlowPhase phase_of(const Flow& flow) noexcept {
  const std::uint8_t entry = phase::kTable[phase::place_of(
      phase::kind_of(flow.protocol), flow.has(flow_flag::kFirstPacket), flow.peer[0] & 7U, flow.peer[1] & 7U)];
  return {static_cast<TimeoutClass>(entry & 0x0f), (entry & 0x10) != 0, (entry & 0x20) != 0};
}
[[nodiscard]] inline bool is_half_open(const Flow& flow) noexcept {
  return phase_of(flow).half_open;
}
[[nodiscard]] inline bool is_over(const Flow& flow) noexcept {
  return phase_of(flow).over;
}
[[nodiscard]] inline TimeoutClass timeout_class(const Flow& flow) noexcept {
  return phase_of(flow).timeout;
}

}  // namespace ringplane::flow
