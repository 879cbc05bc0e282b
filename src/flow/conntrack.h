// Conntrack: what a middlebox believes of a conversation, and which packets fit that belief. One function per
// situation, each edge with its sentence and section (conntrack.cc). No table, no clock: it reads and writes one Flow.
//
// Of TCP it knows per side how far it has sent and how far the other side lets it send, and passes a segment if
//   its end lies at or below what the other side allows, its start not more than one window below what was sent, and
//   its acknowledgment covers nothing that the other side has not sent (RFC 9293 3.10.7.4, RFC 7323 2.3, RFC 5961 5).
// SACK needs nothing: holes are inside the window. What RFC 5961 has an endpoint answer with a challenge ACK passes
// without changing the flow where the endpoint's answer matters (a rebooted peer recovers), and is dropped where only
// a forger gains. A flow made from a segment that is no SYN is checked with the largest scale there is.
#pragma once

#include <cstdint>

#include "base/drop_reason.h"
#include "flow/flow.h"
#include "flow/flow_phase.h"  // IWYU pragma: export
#include "wire/packet.h"

namespace ringplane::flow {

struct StepResult {
  base::DropReason reason = base::DropReason::none;  ///< none: the packet passes
  /// The packet opens a new connection on the addresses and ports of one that is over: end the flow and treat the
  /// packet as one without a flow (rules, new flow). `reason` is none.
  bool restart = false;
};

/// Whether `packet` may make a flow at all: a TCP segment without RST, an ICMP query (not its reply), any UDP or other
/// protocol; never an ICMP error, other ICMP or a later fragment. Whether a TCP segment that is no SYN may is up to the
/// rule's `flags`.
[[nodiscard]] bool can_start_flow(const wire::Packet& packet) noexcept;

/// Sets the conntrack state of a new flow from its first packet, for which can_start_flow() holds.
void start(Flow& flow, const wire::Packet& packet) noexcept;

/// Judges a packet with the key of `flow` (or an ICMP error about it) and moves the flow's state if it passes. Counters
/// and times are the table's (FlowTable::track). Reasons: tcp_out_of_window, tcp_bad_rst, tcp_bad_syn, tcp_bad_state,
/// icmp_mismatch.
[[nodiscard]] StepResult step(Flow& flow, const wire::Packet& packet) noexcept;

}  // namespace ringplane::flow
