#include "worker/pipeline.h"

#include <cstdint>

#include "worker/packet_burst.h"
#include "worker/recheck.h"
#include "worker/stage_clock.h"
#include "worker/stages.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

void Pipeline::advance(std::uint64_t now_ns) {
  PacketBurst& next = bursts_[next_];
  PacketBurst& current = bursts_[1 - next_];
  next.now_ns = now_ns;

  fetch_burst(next, arena_);
  find_burst(current, tables_);
  tables_.lap(Stage::kFind);
  decode_burst(next, arena_, tables_);
  tables_.lap(Stage::kDecode);
  find_elsewhere(current, tables_);
  tables_.lap(Stage::kFind);
  steer_burst(next, arena_, tables_, exit_);
  tables_.lap(Stage::kSteer);

  if (tables_.rechecking) recheck_burst(current, tables_);
  track_burst(current, arena_, tables_);
  tables_.lap(Stage::kTrack);
  admit_burst(current, tables_);
  tables_.lap(Stage::kAdmit);
  account_burst(current, tables_);
  tables_.lap(Stage::kAccount);
  if (observer_ != nullptr && !current.frames.empty()) {
    describe_burst(current, arena_, tables_);
    observer_->on_decided(current, tables_);
  }
  forward_burst(current, arena_, tables_, exit_);
  tables_.lap(Stage::kForward);
  next_ = 1 - next_;
}

void Pipeline::drain(std::uint64_t now_ns) {
  while (!bursts_[1 - next_].frames.empty()) advance(now_ns);
}

}  // namespace ringplane::worker
