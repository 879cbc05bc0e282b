#include <cstdint>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "frame/arena.h"
#include "worker/frame_exit.h"
#include "worker/packet_burst.h"
#include "worker/stages.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

void steer_burst(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables, FrameExit& exit) noexcept {
  if (tables.worker_count == 1) return;
  // Only what can have a flow has an owner; the rest is decided where it arrived.
  for_each_slot(burst.open & burst.tracked, [&](std::uint32_t slot) {
    const base::WorkerId owner = tables.owner_of(burst.hashes[slot]);
    if (owner == tables.id) return;
    if (exit.hand_over(owner, burst.frames[slot])) {
      burst.outcomes[slot].verdict = Verdict::kHandedOver;
      burst.close(slot);
    } else {
      read_packet(burst, slot, arena, tables);  // for the log
      burst.drop(slot, base::DropReason::mailbox_full);
    }
  });
}

}  // namespace ringplane::worker
