#include "worker/pipeline.h"

#include "frame/arena.h"
#include "worker/frame_exit.h"
#include "worker/packet_burst.h"
#include "worker/stage_clock.h"
#include "worker/stages.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

void run_pipeline(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables, FrameExit& exit,
                  BurstObserver* observer) {
  decode_burst(burst, arena, tables);
  tables.lap(Stage::kDecode);
  steer_burst(burst, tables, exit);
  tables.lap(Stage::kSteer);
  track_burst(burst, tables);
  tables.lap(Stage::kTrack);
  admit_burst(burst, tables);
  tables.lap(Stage::kAdmit);
  account_burst(burst, tables);
  tables.lap(Stage::kAccount);
  if (observer != nullptr) observer->on_decided(burst, tables);
  forward_burst(burst, arena, tables, exit);
  tables.lap(Stage::kForward);
}

}  // namespace ringplane::worker
