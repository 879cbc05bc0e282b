// Recheck: flows that an older snapshot let in, judged by the present rules. A flow is judged when its next packet
// comes, or when the sweep that runs after each reload gets to it, whichever is first. A flow that the new rules let
// pass stays, under its new rules; one that they block, or that they would not keep state for, ends.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

/// `id` is of an older generation. True: it stays and is of the present one. False: it has been erased.
[[nodiscard]] bool recheck_flow(base::FlowId id, WorkerTables& tables) noexcept;

/// Judges the next `count` records from `cursor` on; returns the cursor to go on with, 0 when all were seen.
[[nodiscard]] std::uint32_t recheck_slice(std::uint32_t cursor, std::uint32_t count, WorkerTables& tables) noexcept;

}  // namespace ringplane::worker
