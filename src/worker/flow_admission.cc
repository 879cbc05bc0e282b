#include "worker/flow_admission.h"

#include <array>
#include <cstdint>
#include <span>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "flow/source_table.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/flow_record.h"
#include "worker/mailbox.h"
#include "worker/packet_burst.h"
#include "worker/path_decision.h"
#include "worker/rule_paths.h"
#include "worker/slice_jobs.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

using base::DropReason;
using firewall::StateOptions;

/// This worker's part of a limit; 0 stays 0 (none).
std::uint32_t share(std::uint32_t limit, std::uint32_t worker_count) noexcept {
  return (limit + worker_count - 1) / worker_count;
}

bool tracks_sources(const StateOptions& options) noexcept {
  return options.source_track != firewall::SourceTrack::kNone;
}

flow::SourceLimits limits_of(const StateOptions& options, std::uint32_t worker_count) noexcept {
  return {.max_sources = share(options.max_src_nodes, worker_count),
          .max_flows = share(options.max_src_states, worker_count),
          .max_connections = share(options.max_src_conn, worker_count),
          .rate_count = share(options.max_src_conn_rate_count, worker_count),
          .rate_seconds = options.max_src_conn_rate_seconds};
}

base::RuleId scope_of(base::RuleId rule, const StateOptions& options) noexcept {
  return options.source_track == firewall::SourceTrack::kRule ? rule : base::RuleId{};
}

const StateOptions* options_of(base::RuleId rule, const WorkerTables& tables) noexcept {
  if (!rule.valid()) return nullptr;
  const firewall::Ruleset& ruleset = tables.policy().ruleset();
  return ruleset.state_options_of(ruleset.rule(rule));
}

/// Calls f(rule, options) for the rules of a pair that have state options, each once; stops when f says false.
template <class F>
bool for_each_limited(base::RulePathId id, const WorkerTables& tables, F&& f) noexcept {
  if (!tables.paths->has_options(id)) return true;
  const RulePath& path = tables.paths->at(id);
  for (const base::RuleId rule : {path.in, path.out != path.in ? path.out : base::RuleId{}}) {
    if (const StateOptions* options = options_of(rule, tables)) {
      if (!f(rule, *options)) return false;
    }
  }
  return true;
}

flow::SourceTable::Begun begin_source(base::RuleId rule, const StateOptions& options, const wire::HostAddress& source,
                                      bool enforce, WorkerTables& tables) noexcept {
  const flow::SourceLimits limits = enforce ? limits_of(options, tables.worker_count) : flow::SourceLimits{};
  const auto begun =
      tables.sources->begin_flow(scope_of(rule, options), source, limits, tables.paths->sources_of(rule));
  if (begun == flow::SourceTable::Begun::kFirst) ++tables.paths->sources_of(rule);
  return begun;
}

void end_source(base::RuleId rule, const StateOptions& options, const wire::HostAddress& source, bool was_connection,
                WorkerTables& tables) noexcept {
  if (tables.sources->end_flow(scope_of(rule, options), source, was_connection)) --tables.paths->sources_of(rule);
}

/// Opens the source accounts of both rules, or none of them.
DropReason begin_sources(base::RulePathId path, const wire::HostAddress& source, bool enforce,
                         WorkerTables& tables) noexcept {
  base::RuleId begun_rule;
  const bool all = for_each_limited(path, tables, [&](base::RuleId rule, const StateOptions& options) {
    if (!tracks_sources(options)) return true;
    const auto begun = begin_source(rule, options, source, enforce, tables);
    const bool ok = begun == flow::SourceTable::Begun::kFirst || begun == flow::SourceTable::Begun::kAnother;
    if (ok) begun_rule = rule;
    return ok;
  });
  if (all) return DropReason::none;
  if (begun_rule.valid()) end_source(begun_rule, *options_of(begun_rule, tables), source, false, tables);
  return DropReason::source_limit;
}

bool below_max(base::RulePathId path, const WorkerTables& tables) noexcept {
  return for_each_limited(path, tables, [&](base::RuleId rule, const StateOptions& options) {
    return options.max == 0 || tables.paths->states_of(rule) < share(options.max, tables.worker_count);
  });
}

/// Of two rules with timeouts of their own those of the ingress side count.
std::uint8_t timeout_set_of(const PathDecision& decision, const WorkerTables& tables) noexcept {
  for (const firewall::Decision& side : {decision.in, decision.out}) {
    if (!side.rule.valid()) continue;
    const firewall::Rule& rule = tables.policy().rule(side.rule);
    if (rule.state_options == firewall::Rule::kNone) continue;
    const std::uint8_t set = tables.snapshot->timeout_set_of_options[rule.state_options];
    if (set != 0) return set;
  }
  return 0;
}

flow::FlowSetup setup_of(const PathDecision& decision, base::RulePathId path, bool second_side,
                         const WorkerTables& tables) noexcept {
  const bool has_options = tables.paths->has_options(path);
  std::uint8_t flags = 0;
  if (second_side) flags |= flow::flow_flag::kOriginalSecondPort;
  if (decision.log() == firewall::LogKind::kLogAll) flags |= flow::flow_flag::kLog;
  return {.path = path,
          .generation = tables.snapshot->generation,
          .timeout_set = has_options ? timeout_set_of(decision, tables) : std::uint8_t{0},
          .worker_flags = flags};
}

wire::HostAddress original_source(const flow::FlowTable& flows, base::FlowId id) noexcept {
  const wire::FlowKey key = flows.key_of(id);
  return {key.family, key.address[flows.at(id).has(flow::flow_flag::kOriginalUpper) ? 1 : 0]};
}

/// The source has gone too far: into the table with it, here and (by way of the control thread) at the other workers.
void overload(base::RuleId rule, const StateOptions& options, const wire::HostAddress& source,
              WorkerTables& tables) noexcept {
  if (options.overload == firewall::kNoTable) return;
  const TableAddition addition{.table = options.overload,
                               .host = source,
                               .flush = options.flush != firewall::Flush::kNone,
                               .flush_rule = options.flush == firewall::Flush::kRule ? rule : base::RuleId{}};
  const auto inserted = tables.overlay->insert(addition.table, addition.host);
  if (inserted == firewall::TableOverlay::Inserted::kFull) tables.counters.overload_lost.add(1);
  if (inserted == firewall::TableOverlay::Inserted::kNew) tables.counters.overloaded.add(1);
  // An address that is there already is news only for its flows.
  const bool is_news = inserted == firewall::TableOverlay::Inserted::kNew || addition.flush;
  if (is_news &&
      !tables.overloads->push(OverloadEvent{.generation = tables.snapshot->generation, .addition = addition})) {
    tables.counters.overload_lost.add(1);
  }
  if (addition.flush) begin_flush(addition, tables);
}

}  // namespace

DropReason admit_flow(PacketBurst& burst, std::uint32_t slot, const PathDecision& decision,
                      WorkerTables& tables) noexcept {
  const Outcome& outcome = burst.outcomes[slot];
  const wire::Packet& packet = burst.packets[slot];
  if (!outcome.path.valid()) return DropReason::flow_table_full;
  const base::RulePathId path = outcome.path;
  if (!below_max(path, tables)) return DropReason::state_limit;
  const wire::HostAddress source{packet.family, packet.source};
  if (const DropReason reason = begin_sources(path, source, true, tables); reason != DropReason::none) return reason;
  const bool second_side = tables.snapshot->forwarding.from(burst.frames[slot].port).second_side;
  // Nothing of its key was found, and what this burst has made since was looked through.
  const flow::InsertResult made = tables.flows->begin(
      packet, burst.hashes[slot], setup_of(decision, outcome.path, second_side, tables), burst.now_ns);
  if (made.outcome != flow::InsertOutcome::kInserted) {
    for_each_limited(path, tables, [&](base::RuleId rule, const StateOptions& options) {
      if (tracks_sources(options)) end_source(rule, options, source, false, tables);
      return true;
    });
    return DropReason::flow_table_full;
  }
  tables.paths->flow_began(outcome.path);
  burst.flows[slot] = made.id;
  return DropReason::none;
}

flow::FlowSetup adopt_flow(const wire::HostAddress& source, const PathDecision& decision, base::RulePathId path,
                           bool second_side, WorkerTables& tables) noexcept {
  tables.paths->flow_adopted(path);
  // Never refused but for a full table of sources; then the flow simply is not counted.
  static_cast<void>(begin_sources(path, source, false, tables));
  return setup_of(decision, path, second_side, tables);
}

bool note_established(base::FlowId id, std::uint64_t now_ns, WorkerTables& tables) noexcept {
  const flow::Flow& flow = tables.flows->at(id);
  const base::RulePathId path = flow.path;
  bool counted = false;
  bool beyond = false;
  for_each_limited(path, tables, [&](base::RuleId rule, const StateOptions& options) {
    if (!tracks_sources(options)) return true;
    const wire::HostAddress source = original_source(*tables.flows, id);
    counted = true;
    if (tables.sources->begin_connection(scope_of(rule, options), source, limits_of(options, tables.worker_count),
                                         now_ns)) {
      beyond = true;
      overload(rule, options, source, tables);
    }
    return true;
  });
  if (!counted) return true;
  const auto flags =
      static_cast<std::uint8_t>((flow.flags & flow::flow_flag::kWorkerFlags) | flow::flow_flag::kConnectionCounted);
  tables.flows->set_rules(
      id, {.path = flow.path, .generation = flow.generation, .timeout_set = flow.timeout_set, .worker_flags = flags});
  return !beyond;
}

void close_accounts(void* context, const flow::FlowTable& flows, std::span<const flow::EndedFlow> ended) noexcept {
  auto& tables = *static_cast<WorkerTables*>(context);
  if (tables.flow_records != nullptr) report_ends(ended, tables);
  // The accounts of a flow of an older snapshot went with that.
  for (const flow::EndedFlow& end : ended) {
    const flow::Flow& flow = flows.at(end.id);
    if (tables.is_current(flow)) tables.paths->prefetch(flow.path);
  }
  for (const flow::EndedFlow& end : ended) {
    const flow::Flow& flow = flows.at(end.id);
    if (!tables.is_current(flow)) continue;
    tables.paths->flow_ended(flow.path);
    for_each_limited(flow.path, tables, [&](base::RuleId rule, const StateOptions& options) {
      if (tracks_sources(options)) {
        end_source(rule, options, original_source(flows, end.id), flow.has(flow::flow_flag::kConnectionCounted),
                   tables);
      }
      return true;
    });
  }
}

}  // namespace ringplane::worker
