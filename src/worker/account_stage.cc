#include <cstddef>
#include <cstdint>

#include "base/drop_reason.h"
#include "frame/frame.h"
#include "wire/packet.h"
#include "worker/flow_admission.h"
#include "worker/log_record.h"
#include "worker/packet_burst.h"
#include "worker/rule_paths.h"
#include "worker/stages.h"
#include "worker/worker_counters.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

LogRecord to_record(const PacketBurst& burst, std::uint32_t slot, const WorkerTables& tables) noexcept {
  const wire::Packet& packet = burst.packets[slot];
  const Outcome& outcome = burst.outcomes[slot];
  const frame::Frame& frame = burst.frames[slot];
  return {.now_ns = burst.now_ns,
          .source = packet.source,
          .destination = packet.destination,
          .source_port = packet.source_port,
          .destination_port = packet.destination_port,
          .length = static_cast<std::uint16_t>(frame.length),
          .generation = tables.snapshot->generation,
          .rule = rule_of(outcome, tables),
          .port = frame.port,
          .family = packet.family,
          .protocol = packet.protocol,
          .icmp_type = packet.icmp_type,
          .icmp_code = packet.icmp_code,
          .verdict = outcome.verdict,
          .reason = outcome.reason};
}

}  // namespace

void account_burst(const PacketBurst& burst, WorkerTables& tables) noexcept {
  WorkerCounters& counters = tables.counters;
  std::uint64_t handed_over = 0;
  for_each_slot(burst.goes_on, [&](std::uint32_t slot) {
    RulePath& path = tables.paths->at(burst.paths[slot]);
    path.packets.add(1);
    path.bytes.add(burst.headers.ip_length[slot]);
  });
  for_each_slot(burst.all() & ~burst.goes_on, [&](std::uint32_t slot) {
    const Outcome& outcome = burst.outcomes[slot];
    if (outcome.verdict == Verdict::kHandedOver) {
      ++handed_over;
      return;
    }
    const bool dropped = outcome.verdict != Verdict::kPass;
    if (dropped) counters.dropped[static_cast<std::size_t>(outcome.reason)].add(1);
    const bool judged_by_rules = outcome.reason == base::DropReason::none ||
                                 outcome.reason == base::DropReason::rule_block ||
                                 outcome.reason == base::DropReason::ip_options;
    if (outcome.path.valid() && judged_by_rules) {
      RulePath& path = tables.paths->at(outcome.path);
      path.packets.add(1);
      path.bytes.add(burst.headers.ip_length[slot]);
    }
    if (!dropped && !outcome.log) return;
    if (!tables.log_tokens.take(burst.now_ns) || !tables.log->push(to_record(burst, slot, tables)))
      counters.log_lost.add(1);
  });
  counters.packets.add(burst.frames.size() - handed_over);
  counters.handed_over.add(handed_over);
}

}  // namespace ringplane::worker
