// FaultPort: a bad cable. It wraps any port and loses, duplicates, corrupts or reorders what passes, by seeded chance,
// so that the same seed on the same packets does the same harm. Each direction of each queue has its own dice.
//
// A lost frame goes back to its pool; a duplicate is a copy in a frame of the queue's pool (none left: no duplicate); a
// corrupted one has one bit flipped; a reordered one is held back until `reorder_depth` more have passed or as many
// flushes, whichever is first, so that the last packet of a conversation is late, not lost.
// Threads: as the wrapped port. Counters of a queue are those of the queue that it wraps.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/counter.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/port.h"

namespace ringplane::port {

/// Probabilities in [0, 1] for each packet.
struct FaultRates {
  double loss = 0;
  double duplicate = 0;
  double corrupt = 0;
  double reorder = 0;
};

struct FaultOptions {
  FaultRates receive{};
  FaultRates transmit{};
  std::uint32_t reorder_depth = 4;  ///< packets (or flushes) by which a reordered packet is late; 1 to 64
  std::uint64_t seed = 1;
};

/// What was done so far; written by the queue's owner, read by anyone.
struct FaultCounters {
  base::Counter lost, duplicated, corrupted, reordered;
};

class FaultPort final : public Port {
 public:
  /// `arena` outlives the port.
  FaultPort(std::unique_ptr<Port> inner, const frame::Arena& arena, const FaultOptions& options);

  [[nodiscard]] std::uint32_t queue_count() const noexcept override { return inner_->queue_count(); }
  [[nodiscard]] base::Result<std::unique_ptr<Queue>> open_queue(std::uint32_t index, frame::FramePool& pool) override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] MacAddress mac() const noexcept override { return inner_->mac(); }
  [[nodiscard]] std::uint32_t mtu() const noexcept override { return inner_->mtu(); }
  [[nodiscard]] LinkState link_state() override { return inner_->link_state(); }

  /// Of queue `index`, both directions together.
  [[nodiscard]] const FaultCounters& faults(std::uint32_t index) const noexcept { return counters_[index]; }

 private:
  const std::unique_ptr<Port> inner_;
  const frame::Arena& arena_;
  const FaultOptions options_;
  const std::unique_ptr<FaultCounters[]> counters_;  // one for each queue
};

}  // namespace ringplane::port
