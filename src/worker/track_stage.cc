#include <cstdint>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "flow/conntrack.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "wire/flow_key.h"
#include "wire/packet.h"
#include "worker/flow_admission.h"
#include "worker/forwarding.h"
#include "worker/packet_burst.h"
#include "worker/recheck.h"
#include "worker/stages.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

/// The flow ended in the middle of the burst: later packets of it must not use its record, which may be reused.
void forget_flow(PacketBurst& burst, std::uint32_t after_slot, base::FlowId id) noexcept {
  for (std::uint32_t slot = after_slot; slot < burst.frames.size(); ++slot) {
    if (burst.flows[slot] == id) burst.flows[slot] = base::FlowId{};
  }
}

}  // namespace

void track_packet(PacketBurst& burst, std::uint32_t slot, WorkerTables& tables) noexcept {
  const base::FlowId id = burst.flows[slot];
  const wire::Packet& packet = burst.packets[slot];
  const flow::Flow& flow = tables.flows->at(id);
  if (!tables.is_current(flow) && !recheck_flow(id, tables)) {
    forget_flow(burst, slot, id);
    return;
  }
  Outcome& outcome = burst.outcomes[slot];
  outcome.path = flow.path;
  outcome.rule = deciding_rule(tables.paths->at(outcome.path));
  const Egress& egress = tables.snapshot->forwarding.from(burst.frames[slot].port);
  const bool original = flow.direction_of(packet) == wire::Direction::kOriginal;
  if (egress.second_side != (original == flow.has(flow::flow_flag::kOriginalSecondPort))) {
    burst.drop(slot, base::DropReason::wrong_side);
    return;
  }
  const bool was_half_open = flow::is_half_open(flow);
  const flow::StepResult step = tables.flows->track(id, packet, burst.now_ns);
  if (step.restart) {
    tables.flows->erase(id, flow::EndCause::kClosed);
    forget_flow(burst, slot, id);
    outcome = Outcome{};
    return;
  }
  if (step.reason != base::DropReason::none) {
    burst.drop(slot, step.reason);
    return;
  }
  const bool established =
      was_half_open && flow.protocol == wire::protocol::kTcp && !flow::is_half_open(flow) && !flow::is_over(flow);
  if (established && !note_established(id, burst.now_ns, tables)) {
    tables.flows->erase(id);
    forget_flow(burst, slot, id);
    burst.drop(slot, base::DropReason::source_limit);
    return;
  }
  outcome.egress = egress.port;
  outcome.log = flow.has(flow::flow_flag::kLog);
  burst.pass(slot);
}

void track_burst(PacketBurst& burst, WorkerTables& tables) noexcept {
  std::uint64_t wanted = 0;
  for_each_slot(burst.open, [&](std::uint32_t slot) {
    const wire::PacketKind kind = burst.packets[slot].kind;
    if (kind == wire::PacketKind::kFlow || kind == wire::PacketKind::kIcmpError) wanted |= std::uint64_t{1} << slot;
  });
  if (wanted == 0) return;
  tables.flows->find_burst({burst.packets.data(), burst.frames.size()}, {burst.hashes.data(), burst.frames.size()},
                           wanted, {burst.flows.data(), burst.frames.size()});
  for_each_slot(wanted, [&](std::uint32_t slot) {
    if (burst.flows[slot].valid()) track_packet(burst, slot, tables);
  });
}

}  // namespace ringplane::worker
