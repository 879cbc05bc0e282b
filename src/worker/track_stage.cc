#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "flow/conntrack.h"
#include "flow/established_lanes.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "flow/timeouts.h"
#include "frame/arena.h"
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

namespace {

/// Loops of their own: a prefetch that misses the TLB holds up what is behind it, and the shorter the loop, the more of
/// them are under way. Spread between other work they hold that up: 25 M packets/s at 1 M flows instead of 29.
/// (Inlined, and not by for_each_slot: g++ 12 takes a function that only prefetches for one that does nothing, and
/// drops calls of it.)
[[gnu::always_inline]] inline void send_for_flows(const PacketBurst& burst, std::uint64_t found,
                                                  const WorkerTables& tables) noexcept {
  for (std::uint64_t rest = found; rest != 0; rest &= rest - 1) {
    __builtin_prefetch(tables.flows->place_of(burst.flows[static_cast<std::size_t>(std::countr_zero(rest))]));
  }
  for (std::uint64_t rest = found & burst.ipv6; rest != 0; rest &= rest - 1) {
    __builtin_prefetch(tables.flows->addresses_of(burst.flows[static_cast<std::size_t>(std::countr_zero(rest))]));
  }
}

}  // namespace

void find_burst(PacketBurst& burst, const WorkerTables& tables) noexcept {
  burst.tracked &= burst.open;
  burst.found = burst.elsewhere = 0;
  if (burst.tracked == 0) return;
  const std::size_t size = burst.frames.size();
  const flow::FlowTable::Likely likely =
      tables.flows->look_up({burst.hashes.data(), size}, burst.tracked, tables.vectors, {burst.flows.data(), size});
  burst.found = likely.found;
  burst.elsewhere = likely.elsewhere;
  for (std::uint64_t rest = likely.elsewhere; rest != 0; rest &= rest - 1) {
    __builtin_prefetch(tables.flows->other_place_of(burst.hashes[static_cast<std::size_t>(std::countr_zero(rest))]));
  }
  send_for_flows(burst, likely.found, tables);
}

void find_elsewhere(PacketBurst& burst, const WorkerTables& tables) noexcept {
  if (burst.elsewhere == 0) return;
  const std::size_t size = burst.frames.size();
  const std::uint64_t found =
      tables.flows->look_up_elsewhere({burst.hashes.data(), size}, burst.elsewhere, {burst.flows.data(), size});
  burst.found |= found;
  send_for_flows(burst, found, tables);
}

namespace {

/// Sixteen slots from `first` on: the common cases at once (an established connection, or one over UDP that both sides
/// have spoken on, goes on), the others one after the other.
void track_sixteen(PacketBurst& burst, std::size_t first, const frame::Arena& arena, WorkerTables& tables) noexcept {
  const flow::EstablishedBurst established{.headers = burst.headers,
                                           .second_side = burst.second_side,
                                           .likely = burst.flows,
                                           .generation = tables.snapshot->generation,
                                           .now = flow::tick_of(burst.now_ns)};
  const auto wanted = static_cast<std::uint16_t>((burst.found & burst.unread & burst.open) >> first);
  const std::uint64_t tracked =
      tables.flows->track_established(established, first, wanted, tables.vectors, &burst.paths[first]);
  burst.goes_on |= tracked << first;
  burst.open &= ~(tracked << first);
  for (std::uint64_t rest = tracked; rest != 0; rest &= rest - 1) {
    tables.paths->prefetch(burst.paths[first + static_cast<std::size_t>(std::countr_zero(rest))]);
  }
  for_each_slot(burst.open & (std::uint64_t{0xffff} << first), [&](std::uint32_t slot) {
    read_packet(burst, slot, arena, tables);
    if (burst.flows[slot].valid()) track_packet(burst, slot, tables);
  });
}

}  // namespace

void track_burst(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables) noexcept {
  for (std::size_t first = 0; first < burst.frames.size(); first += 16) track_sixteen(burst, first, arena, tables);
}

void describe_burst(PacketBurst& burst, const frame::Arena& arena, const WorkerTables& tables) noexcept {
  // What was handed over is another worker's by now.
  std::uint64_t ours = burst.goes_on;
  for_each_slot(burst.all() & ~burst.goes_on, [&](std::uint32_t slot) {
    ours |= std::uint64_t{burst.outcomes[slot].verdict != Verdict::kHandedOver} << slot;
  });
  for_each_slot(ours, [&](std::uint32_t slot) { read_packet(burst, slot, arena, tables); });
  for_each_slot(burst.goes_on, [&](std::uint32_t slot) {
    burst.outcomes[slot] = {.verdict = Verdict::kPass,
                            .egress = tables.snapshot->forwarding.from(burst.frames[slot].port).port,
                            .path = burst.paths[slot],
                            .rule = {}};
  });
}

}  // namespace ringplane::worker
