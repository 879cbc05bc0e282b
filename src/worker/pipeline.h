// The pipeline: the order of the stages, and nothing else.
#pragma once

#include "frame/arena.h"
#include "worker/frame_exit.h"
#include "worker/packet_burst.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

/// Sees each burst after everything was decided and before frames leave; for `replay` and tests. One call per burst.
class BurstObserver {
 public:
  BurstObserver() = default;
  BurstObserver(const BurstObserver&) = delete;
  BurstObserver& operator=(const BurstObserver&) = delete;
  virtual ~BurstObserver() = default;
  virtual void on_decided(const PacketBurst& burst, const WorkerTables& tables) = 0;
};

/// Takes the frames of `burst`; afterwards it is empty. `burst.now_ns` is the time of the turn.
void run_pipeline(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables, FrameExit& exit,
                  BurstObserver* observer);

}  // namespace ringplane::worker
