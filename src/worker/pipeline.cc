#include "worker/pipeline.h"

#include "frame/arena.h"
#include "worker/frame_exit.h"
#include "worker/packet_burst.h"
#include "worker/stages.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

void run_pipeline(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables, FrameExit& exit,
                  BurstObserver* observer) {
  decode_burst(burst, arena, tables);
  steer_burst(burst, tables, exit);
  track_burst(burst, tables);
  admit_burst(burst, tables);
  account_burst(burst, tables);
  if (observer != nullptr) observer->on_decided(burst, tables);
  forward_burst(burst, arena, tables, exit);
}

}  // namespace ringplane::worker
