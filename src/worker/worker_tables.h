// WorkerTables: what one worker knows, beside the frames it holds: the snapshot it works by, its flows, its counts.
// The stages of the pipeline are functions over a burst and this. Owner thread only, but for the counters.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/hash.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/token_bucket.h"
#include "base/vector_width.h"
#include "firewall/table_overlay.h"
#include "flow/flow_table.h"
#include "flow/source_table.h"
#include "frame/spsc_ring.h"
#include "worker/flow_record.h"
#include "worker/log_record.h"
#include "worker/mailbox.h"
#include "worker/questions.h"
#include "worker/rule_paths.h"
#include "worker/snapshot.h"
#include "worker/stage_clock.h"
#include "worker/worker_counters.h"

namespace ringplane::worker {

/// To the control thread: `overload` has put an address into a table; the other workers must hear of it.
struct OverloadEvent {
  std::uint16_t generation = 0;  ///< of the snapshot that `table` is of
  TableAddition addition;
};

/// `overload ... flush`: end the flows of one source, slice by slice.
struct FlushJob {
  wire::HostAddress source;
  base::RuleId rule;  ///< none: of every rule (flush global)
  std::uint32_t cursor = 0;
};

/// Flushes that wait for their turn, oldest first. Full: the next one is counted as overload_lost; its source is in
/// the table all the same.
struct FlushJobs {
  static constexpr std::uint32_t kCapacity = 64;
  std::array<FlushJob, kCapacity> job;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

struct WorkerTables {
  /// `kept`: where to count, if that is to outlive the worker.
  explicit WorkerTables(WorkerCounters* kept = nullptr)
      : own_counters(kept == nullptr ? std::make_unique<WorkerCounters>() : nullptr),
        counters(kept == nullptr ? *own_counters : *kept) {}

  base::WorkerId id;
  std::uint32_t worker_count = 1;
  base::HashSecret secret{};
  base::Random random{0};
  base::VectorWidth vectors = base::widest_vectors();

  const Snapshot* snapshot = nullptr;
  RulePaths* paths = nullptr;
  std::unique_ptr<flow::FlowTable> flows;
  std::unique_ptr<flow::SourceTable> sources;
  std::unique_ptr<firewall::TableOverlay> overlay;
  FlushJobs flushes;
  bool rechecking = false;  ///< flows of an older generation may be about (recheck.h)
  std::unique_ptr<Questions> questions = std::make_unique<Questions>();

  base::TokenBucket log_tokens{0};
  base::TokenBucket reply_tokens{0};
  std::unique_ptr<frame::SpscRing<LogRecord>> log;
  std::unique_ptr<frame::SpscRing<OverloadEvent>> overloads;
  std::unique_ptr<frame::SpscRing<FlowRecord>> flow_records;  ///< nullptr: nobody wants them
  std::unique_ptr<WorkerCounters> own_counters;
  WorkerCounters& counters;
  StageClock* clock = nullptr;  ///< if there is one, counts the cycles of each stage

  void lap(Stage stage) const noexcept {
    if (clock != nullptr) [[unlikely]]
      clock->lap(stage);
  }
  [[nodiscard]] const firewall::Policy& policy() const noexcept { return *snapshot->policy; }
  [[nodiscard]] bool is_current(const flow::Flow& flow) const noexcept {
    return flow.generation == snapshot->generation;
  }
  /// The worker that owns the flow with this hash; the flow index uses the lower bits.
  [[nodiscard]] base::WorkerId owner_of(std::uint64_t hash) const noexcept {
    return {static_cast<std::uint8_t>(((hash >> 48) * worker_count) >> 16)};
  }
};

}  // namespace ringplane::worker
