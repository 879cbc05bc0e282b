// The pipeline: the order of the stages, and nothing else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "frame/arena.h"
#include "worker/frame_exit.h"
#include "worker/packet_burst.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

/// Sees each burst after everything was decided and before frames leave; for taps, `replay` and tests. One call per
/// burst.
class BurstObserver {
 public:
  BurstObserver() = default;
  BurstObserver(const BurstObserver&) = delete;
  BurstObserver& operator=(const BurstObserver&) = delete;
  virtual ~BurstObserver() = default;
  virtual void on_decided(const PacketBurst& burst, const WorkerTables& tables) = 0;
};

/// Two bursts are under way at a time, so that what one waits for (a frame's bytes, an index bucket, a flow's record:
/// each a read from memory) is on its way while the other is worked on. They are decided one after the other, in the
/// order in which they came.
class Pipeline {
 public:
  Pipeline(const frame::Arena& arena, WorkerTables& tables, FrameExit& exit) noexcept
      : arena_(arena), tables_(tables), exit_(exit) {}

  /// Where the next frames are to be received; empty.
  [[nodiscard]] PacketBurst& next() noexcept { return bursts_[next_]; }
  /// Takes the frames of next() into the pipeline and takes those before them to their end. `now_ns`: of the turn.
  void advance(std::uint64_t now_ns);
  /// Takes all frames to their end; before anything else touches the tables.
  void drain(std::uint64_t now_ns);
  void set_observer(BurstObserver* observer) noexcept { observer_ = observer; }

 private:
  const frame::Arena& arena_;
  WorkerTables& tables_;
  FrameExit& exit_;
  BurstObserver* observer_ = nullptr;
  std::array<PacketBurst, 2> bursts_;
  std::size_t next_ = 0;
};

}  // namespace ringplane::worker
