#include "worker/flow_record.h"

#include <cstdint>
#include <span>
#include <utility>

#include "base/ids.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "wire/flow_key.h"
#include "worker/flow_admission.h"
#include "worker/forwarding.h"
#include "worker/rule_paths.h"
#include "worker/snapshot.h"
#include "worker/worker_counters.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

static_assert(static_cast<int>(FlowEnd::kTimeout) == std::to_underlying(flow::EndCause::kTimeout) &&
              static_cast<int>(FlowEnd::kClosed) == std::to_underlying(flow::EndCause::kClosed) &&
              static_cast<int>(FlowEnd::kEvicted) == std::to_underlying(flow::EndCause::kEvicted) &&
              static_cast<int>(FlowEnd::kErased) == std::to_underlying(flow::EndCause::kErased));

}  // namespace

FlowRecord flow_record_of(base::FlowId id, FlowEnd end, const WorkerTables& tables) noexcept {
  const flow::Flow& flow = tables.flows->at(id);
  const flow::FlowTotals totals = tables.flows->totals(id);
  const bool second_side = flow.has(flow::flow_flag::kOriginalSecondPort);
  const auto domain = static_cast<std::uint8_t>(flow.zone >> 24);
  const Forwarding& forwarding = tables.snapshot->forwarding;
  const bool judged = tables.is_current(flow) && flow.path.valid();
  return {.key = tables.flows->key_of(id),
          .packets = totals.packets,
          .bytes = totals.bytes,
          .began = totals.began,
          .last_seen = flow.last_seen,
          .rule = judged ? deciding_rule(tables.paths->at(flow.path)) : base::RuleId{},
          .generation = tables.snapshot->generation,
          .state = {flow.state(wire::Direction::kOriginal), flow.state(wire::Direction::kReply)},
          .port = forwarding.side(domain, second_side),
          .peer_port = forwarding.side(domain, !second_side),
          .original_upper = flow.has(flow::flow_flag::kOriginalUpper),
          .end = end};
}

void report_ends(std::span<const flow::EndedFlow> ended, WorkerTables& tables) noexcept {
  for (const flow::EndedFlow& each : ended) {
    const FlowRecord record = flow_record_of(each.id, static_cast<FlowEnd>(each.cause), tables);
    if (!tables.flow_records->push(record)) tables.counters.flow_records_lost.add(1);
  }
}

}  // namespace ringplane::worker
