#include "worker/slice_jobs.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/ids.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"
#include "worker/mailbox.h"
#include "worker/rule_paths.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

namespace {

bool is_full(const FlowDump& dump) noexcept {
  return dump.records.size() == dump.records.capacity();
}

void write_out(base::FlowId id, std::uint64_t now_ns, const WorkerTables& tables, FlowDump& dump) noexcept {
  flow::FlowDetails details = tables.flows->details(id, now_ns);
  // Rules of an older snapshot mean nothing to the reader.
  if (!tables.is_current(tables.flows->at(id))) details.path = {};
  dump.records.push_back(details);
}

}  // namespace

bool dump_slice(std::uint32_t count, std::uint64_t now_ns, WorkerTables& tables, FlowDump& dump) noexcept {
  for (; dump.again_seen < dump.again.size() && !is_full(dump) && count > 0; --count) {
    const base::FlowId id = dump.again[dump.again_seen++];
    if (tables.flows->at(id).has(flow::flow_flag::kLive)) write_out(id, now_ns, tables, dump);
  }
  if (is_full(dump)) return true;
  count = std::min(count, dump.most);
  if (count == 0) return dump.most == 0;
  const flow::Tick now = flow::tick_of(now_ns);
  base::FlowId no_room;
  const std::uint32_t begin = dump.cursor;
  const std::uint32_t next = tables.flows->visit_slice(begin, count, [&](base::FlowId id) {
    if (flow::Tick{now - tables.flows->at(id).last_seen} * flow::kTickNs > dump.idle_ns || no_room.valid()) return;
    if (is_full(dump)) {
      no_room = id;
    } else {
      write_out(id, now_ns, tables, dump);
    }
  });
  dump.cursor = no_room.valid() ? no_room.value : next;
  dump.most -= dump.cursor > begin ? dump.cursor - begin : count;
  return dump.cursor == 0 || dump.most == 0 || is_full(dump);
}

void begin_flush(const TableAddition& addition, WorkerTables& tables) noexcept {
  FlushJobs& flushes = tables.flushes;
  if (flushes.count == FlushJobs::kCapacity) {
    tables.counters.overload_lost.add(1);
    return;
  }
  flushes.job[(flushes.first + flushes.count) % FlushJobs::kCapacity] = {
      .source = addition.host, .rule = addition.flush_rule, .cursor = 0};
  ++flushes.count;
}

void flush_slice(std::uint32_t count, WorkerTables& tables) noexcept {
  FlushJob& job = tables.flushes.job[tables.flushes.first];
  job.cursor = tables.flows->visit_slice(job.cursor, count, [&](base::FlowId id) {
    const flow::Flow& flow = tables.flows->at(id);
    const wire::FlowKey key = tables.flows->key_of(id);
    const std::size_t original = flow.has(flow::flow_flag::kOriginalUpper) ? 1 : 0;
    if (key.family != job.source.family || key.address[original] != job.source.address) return;
    if (job.rule.valid()) {
      if (!tables.is_current(flow)) return;
      const RulePath& path = tables.paths->at(flow.path);
      if (path.in != job.rule && path.out != job.rule) return;
    }
    tables.flows->erase(id);
  });
  if (job.cursor != 0) return;
  tables.flushes.first = (tables.flushes.first + 1) % FlushJobs::kCapacity;
  --tables.flushes.count;
}

}  // namespace ringplane::worker
