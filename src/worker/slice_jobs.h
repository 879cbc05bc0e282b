// Work over all flows that must not hold up a packet: done in slices, a few records a turn.
#pragma once

#include <cstdint>

#include "worker/mailbox.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

/// Goes on with `dump` by `count` records at most; true when it is done: all were seen, or there is no room for more.
[[nodiscard]] bool dump_slice(std::uint32_t count, std::uint64_t now_ns, WorkerTables& tables, FlowDump& dump) noexcept;

/// Begins to end the flows of the host of `addition`, which has `flush`: one after the other with those that
/// already wait (FlushJobs).
void begin_flush(const TableAddition& addition, WorkerTables& tables) noexcept;

/// Goes on with the first of tables.flushes, of which there is at least one.
void flush_slice(std::uint32_t count, WorkerTables& tables) noexcept;

}  // namespace ringplane::worker
