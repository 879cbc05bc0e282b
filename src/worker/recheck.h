// Recheck: flows that an older snapshot let in, judged by the present rules. A flow is judged when its next packet
// comes, or when the sweep that runs after each reload gets to it, whichever is first. A flow that the new rules let
// pass stays, under its new rules; one that they block, or that they would not keep state for, ends. After a reload
// nearly every packet meets a flow that is still to be judged, so both ways go by bursts: asked one at a time, the
// rules hold a burst up for ten times as long as it takes otherwise.
#pragma once

#include <cstdint>
#include <span>

#include "base/ids.h"
#include "worker/packet_burst.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

/// `id` is of an older generation. True: it stays and is of the present one. False: it has been erased.
[[nodiscard]] bool recheck_flow(base::FlowId id, WorkerTables& tables) noexcept;

/// The same for `ids`, at most PacketBurst::kCapacity; they may name a flow twice, or one that has ended.
void recheck_flows(std::span<const base::FlowId> ids, WorkerTables& tables) noexcept;

/// While tables.rechecking: judges the flows that the packets of a burst probably belong to (find_burst).
void recheck_burst(const PacketBurst& burst, WorkerTables& tables) noexcept;

/// Judges the next `count` records from `cursor` on; returns the cursor to go on with, 0 when all were seen.
[[nodiscard]] std::uint32_t recheck_slice(std::uint32_t cursor, std::uint32_t count, WorkerTables& tables) noexcept;

}  // namespace ringplane::worker
