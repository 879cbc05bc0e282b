// Flow admission: a new flow against the limits of the rules that let it in (`max`, `max-src-*`), its entry into the
// table, and the accounts that go with its life: live flows per rule, flows and connections per source. What ends a
// flow (timeout, eviction, reload) comes back here through the table's end hook.
//
// Limits are shared out: with n workers each enforces the n-th part, rounded up, since flows spread over workers evenly
// by their hash (docs/reference/pf.conf.md).
#pragma once

#include <span>

#include "base/drop_reason.h"
#include "worker/packet_burst.h"
#include "worker/path_decision.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

/// Makes the flow of the packet in `slot`, whose path is in its outcome, and sets burst.flows[slot]; or says why not:
/// state_limit, source_limit, flow_table_full.
[[nodiscard]] base::DropReason admit_flow(PacketBurst& burst, std::uint32_t slot, const PathDecision& decision,
                                          WorkerTables& tables) noexcept;

/// The conntrack step of the packet in `slot`, whose flow is burst.flows[slot]; see track_burst(). Leaves the slot open
/// if the flow ended under it.
void track_packet(PacketBurst& burst, std::uint32_t slot, WorkerTables& tables) noexcept;

/// The TCP connection of flow `id` is established: if its rules track sources, counts it against the limits of its
/// source; beyond them the source goes into the `overload` table. Once per flow. False: it is beyond a limit and must
/// not be (as OpenBSD's pf, which purges the state and drops the packet).
[[nodiscard]] bool note_established(base::FlowId id, std::uint64_t now_ns, WorkerTables& tables) noexcept;

/// Bookkeeping of a flow that exists already and is now held by `decision` (a reload): its accounts are opened, no
/// limit is enforced. Returns what goes into its record.
[[nodiscard]] flow::FlowSetup adopt_flow(const wire::HostAddress& source, const PathDecision& decision,
                                         base::RulePathId path, bool second_side, WorkerTables& tables) noexcept;

/// The end hook: `context` is the WorkerTables.
void close_accounts(void* context, const flow::FlowTable& flows, std::span<const flow::EndedFlow> ended) noexcept;

/// The rule that `show flows` and the logs name for a path.
[[nodiscard]] inline base::RuleId deciding_rule(const RulePath& path) noexcept {
  return path.in.valid() ? path.in : path.out;
}
/// The rule that a log line names for a packet: the one that decided now, or that let its flow in.
[[nodiscard]] inline base::RuleId rule_of(const Outcome& outcome, const WorkerTables& tables) noexcept {
  if (outcome.rule.valid() || !outcome.path.valid()) return outcome.rule;
  return deciding_rule(tables.paths->at(outcome.path));
}

}  // namespace ringplane::worker
