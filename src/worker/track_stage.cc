#include <cstddef>
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
void track_packet(PacketBurst& burst, std::uint32_t slot, WorkerTables& tables) noexcept {
  const wire::Packet& packet = burst.packets[slot];
  const base::FlowId id = burst.flows[slot] = tables.flows->confirm(burst.flows[slot], packet.key, burst.hashes[slot]);
  if (!id.valid()) return;
  const flow::Flow& flow = tables.flows->at(id);
  if (!tables.is_current(flow) && !recheck_flow(id, tables)) {
    burst.flows[slot] = base::FlowId{};
    return;
  }
  Outcome& outcome = burst.outcomes[slot];
  outcome.path = flow.path;
  tables.paths->prefetch(outcome.path);
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
    burst.flows[slot] = base::FlowId{};
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
    burst.flows[slot] = base::FlowId{};
    burst.drop(slot, base::DropReason::source_limit);
    return;
  }
  outcome.egress = egress.port;
  outcome.log = flow.has(flow::flow_flag::kLog);
  burst.pass(slot);
}

/// The common case of track_packet(): an established connection goes on. False: it is another, nothing was done.
bool track_established(PacketBurst& burst, std::uint32_t slot, WorkerTables& tables) noexcept {
  const wire::Packet& packet = burst.packets[slot];
  const base::FlowId id = burst.flows[slot];
  if (!tables.flows->holds(id, packet.key, burst.hashes[slot])) return false;
  const flow::Flow& flow = tables.flows->at(id);
  const Egress& egress = tables.snapshot->forwarding.from(burst.frames[slot].port);
  const bool original = flow.direction_of(packet) == wire::Direction::kOriginal;
  const bool right_side = egress.second_side == (original == flow.has(flow::flow_flag::kOriginalSecondPort));
  if (!(tables.is_current(flow) & right_side)) return false;
  if (!tables.flows->track_established(id, packet, burst.now_ns)) return false;
  Outcome& outcome = burst.outcomes[slot];
  outcome.path = flow.path;
  tables.paths->prefetch(outcome.path);
  outcome.egress = egress.port;
  outcome.log = flow.has(flow::flow_flag::kLog);
  burst.pass(slot);
  return true;
}

void find_burst(PacketBurst& burst, const WorkerTables& tables) noexcept {
  burst.tracked = 0;
  for_each_slot(burst.open, [&](std::uint32_t slot) {
    const wire::PacketKind kind = burst.packets[slot].kind;
    const bool has_flow = kind == wire::PacketKind::kFlow || kind == wire::PacketKind::kIcmpError;
    burst.tracked |= std::uint64_t{has_flow} << slot;
  });
  if (burst.tracked == 0) return;
  const std::size_t size = burst.frames.size();
  tables.flows->look_up({burst.packets.data(), size}, {burst.hashes.data(), size}, burst.tracked,
                        {burst.flows.data(), size});
}

void track_burst(PacketBurst& burst, WorkerTables& tables) noexcept {
  for_each_slot(burst.tracked & burst.open, [&](std::uint32_t slot) {
    if (burst.flows[slot].valid() && !track_established(burst, slot, tables)) track_packet(burst, slot, tables);
  });
}

}  // namespace ringplane::worker
