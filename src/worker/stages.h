// The stages a packet goes through, in this order (pipeline.cc composes them). Each is a pass over a burst: it looks at
// the slots that are still open and closes those it decides. They share nothing but the burst and the worker's tables.
#pragma once

#include "frame/arena.h"
#include "worker/frame_exit.h"
#include "worker/packet_burst.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

/// Sends for the first bytes of every frame: the NIC or another core has written them, and nobody has read them here.
void fetch_burst(const PacketBurst& burst, const frame::Arena& arena) noexcept;

/// Reads the headers (step 4), of plain frames only what most of them need, hashes the keys and sends for their index
/// buckets. Closes what is malformed, and what is not IP.
void decode_burst(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables) noexcept;

/// Makes sure that burst.packets[slot] is read.
void read_packet(PacketBurst& burst, std::uint32_t slot, const frame::Arena& arena,
                 const WorkerTables& tables) noexcept;

/// Hands frames whose flow another worker owns over to it (mailbox_full if that cannot take them). With one worker
/// there is nothing to do.
void steer_burst(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables, FrameExit& exit) noexcept;

/// Finds the flows of the whole burst in the index and sends for their records (step 5).
void find_burst(PacketBurst& burst, const WorkerTables& tables) noexcept;
/// The same for those that may be in their other place in the index; sends for their records.
void find_elsewhere(PacketBurst& burst, const WorkerTables& tables) noexcept;

/// Takes the conntrack step of each packet that has a flow (step 6). Flows of an older snapshot are judged by the
/// present rules first. Leaves open what has no flow, with its packet read.
void track_burst(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables) noexcept;

/// Fills in what was not needed: the packets of plain frames, the outcomes of slots in `goes_on`. For who looks on.
/// Packets that were handed over stay as they are.
void describe_burst(PacketBurst& burst, const frame::Arena& arena, const WorkerTables& tables) noexcept;

/// Asks the rules about every packet that is still open, ingress side and egress side, and makes flows (step 7).
/// Closes all.
void admit_burst(PacketBurst& burst, WorkerTables& tables) noexcept;

/// Counts what was decided and writes the log records.
void account_burst(const PacketBurst& burst, WorkerTables& tables) noexcept;

/// Sends, answers or releases every frame that is still here (step 9). Afterwards the burst owns none.
void forward_burst(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables, FrameExit& exit) noexcept;

}  // namespace ringplane::worker
