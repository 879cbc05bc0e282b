#include "bench/measure_reload.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <expected>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/heap.h"
#include "base/random.h"
#include "base/result.h"
#include "bench/drive.h"
#include "bench/report.h"
#include "bench/rig.h"
#include "bench/rule_source.h"
#include "bench/traffic.h"
#include "worker/packet_burst.h"
#include "worker/pipeline.h"
#include "worker/worker.h"
#include "worker/worker_tables.h"

namespace ringplane::bench {
namespace {

constexpr std::uint64_t kQuietNs = 500'000'000;

/// Nanoseconds that this thread has had a processor of the machine's operating system for.
std::uint64_t thread_ns() noexcept {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * base::kNanosPerSecond + static_cast<std::uint64_t>(time.tv_nsec);
}

/// The longest time between two bursts, or between a turn's begin and its first burst, or its last burst and its end:
/// by the clock, and by what the thread itself used of it, as other processes take the processor away for longer.
class GapWatch final : public worker::BurstObserver {
 public:
  void on_decided(const worker::PacketBurst& /*burst*/, const worker::WorkerTables& /*tables*/) override { mark(); }
  void begin() noexcept {
    last_ = base::monotonic_ns();
    last_own_ = thread_ns();
  }
  void mark() noexcept {
    const std::uint64_t now = base::monotonic_ns();
    longest_ = std::max(longest_, now - last_);
    last_ = now;
    const std::uint64_t own = thread_ns();
    longest_own_ = std::max(longest_own_, own - last_own_);
    last_own_ = own;
  }
  /// Microseconds; begins anew.
  [[nodiscard]] double take_longest_us() noexcept { return static_cast<double>(std::exchange(longest_, 0)) / 1e3; }
  [[nodiscard]] double take_longest_own_us() noexcept {
    return static_cast<double>(std::exchange(longest_own_, 0)) / 1e3;
  }

 private:
  std::uint64_t last_ = 0;
  std::uint64_t longest_ = 0;
  std::uint64_t last_own_ = 0;
  std::uint64_t longest_own_ = 0;
};

/// Established traffic on the calling thread.
class Traffic {
 public:
  Traffic(Rig& rig, Drive& drive, std::uint64_t seed) : rig_(rig), drive_(drive), random_(seed) {
    segments_.resize(std::size_t{2} * Drive::kStretch);
    rig.worker(0).set_observer(&watch_);
  }
  ~Traffic() { rig_.worker(0).set_observer(nullptr); }
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  void pass() {
    for (Segment& segment : segments_) {
      const std::uint64_t draw = random_();
      segment = {.connection = static_cast<std::uint32_t>(((draw >> 32) * drive_.connections().size()) >> 32),
                 .step = (draw & 1) != 0 ? Step::kData : Step::kReplyData};
    }
    drive_.send(segments_);
    watch_.begin();
    for (std::uint32_t turn = 0; turn < segments_.size() / 256; ++turn) {
      rig_.worker(0).run_once(base::monotonic_ns());
      watch_.mark();
    }
    drive_.take();
  }
  [[nodiscard]] GapWatch& watch() noexcept { return watch_; }

 private:
  Rig& rig_;
  Drive& drive_;
  base::Random random_;
  GapWatch watch_;
  std::vector<Segment> segments_;
};

struct Outcome {
  std::vector<double> gaps;
  std::vector<double> quiet_gaps;
  std::vector<double> own_gaps;
  std::vector<double> quiet_own_gaps;
  std::vector<double> compile_seconds;
};

/// One reload: a second thread compiles and posts, the calling one goes on with traffic until all flows are judged
/// anew.
base::Result<void> reload_once(Rig& rig, Traffic& traffic, const RuleSource& source, std::uint64_t flows,
                               Outcome& outcome) {
  std::atomic<bool> posted{false};
  std::string error;
  double seconds = 0;
  std::jthread control([&] {
    pin_to_processor(1);
    const std::uint64_t begin = base::monotonic_ns();
    auto policy = policy_of(source.name, source.pf_conf);
    seconds = static_cast<double>(base::monotonic_ns() - begin) / 1e9;
    if (!policy) {
      error = policy.error().message;
    } else if (const auto done = rig.reload(std::move(*policy)); !done) {
      error = done.error().message;
    }
    posted.store(true, std::memory_order_release);
    if (!error.empty()) return;
    while (!rig.reloaded()) std::this_thread::sleep_for(std::chrono::microseconds(200));
    rig.carry_over();
  });
  const auto rechecked = [&] { return rig.worker(0).tables().counters.rechecked.get(); };
  const std::uint64_t before = rechecked();
  while (!posted.load(std::memory_order_acquire)) traffic.pass();
  if (!error.empty()) return base::fail(error);
  while (!rig.reloaded() || rechecked() - before < flows) traffic.pass();
  control.join();
  outcome.compile_seconds.push_back(seconds);
  outcome.gaps.push_back(traffic.watch().take_longest_us());
  outcome.own_gaps.push_back(traffic.watch().take_longest_own_us());
  return {};
}

}  // namespace

base::Result<nlohmann::ordered_json> measure_reload(const ReloadOptions& options) {
  base::keep_freed_memory();  // as `run` does
  auto source = find_rules(options.rules);
  if (!source) return std::unexpected(std::move(source.error()));
  auto policy = policy_of(source->name, source->pf_conf);
  if (!policy) return std::unexpected(std::move(policy.error()));
  const auto connections = make_connections((*policy)->ruleset(), options.flows, options.seed);
  if (!connections) return std::unexpected(connections.error());
  nlohmann::ordered_json report{{"bench", "reload"}, {"rules", options.rules}, {"flows", options.flows}};
  report["rule_count"] = (*policy)->rule_count();
  auto made = Rig::create({.flows_per_worker = static_cast<std::uint32_t>(options.flows), .seed = options.seed},
                          std::move(*policy), base::monotonic_ns());
  if (!made) return std::unexpected(std::move(made.error()));
  Rig& rig = **made;
  pin_to_processor(0);
  Drive drive(rig.worker(0), rig.endpoint(0), *connections);
  drive.open_all(Drive::kInFlight);
  drive.clear_totals();
  Outcome outcome;
  {
    Traffic traffic(rig, drive, options.seed);
    for (std::uint32_t repetition = 0; repetition < options.repetitions; ++repetition) {
      const std::uint64_t until = base::monotonic_ns() + kQuietNs;
      while (base::monotonic_ns() < until) traffic.pass();
      outcome.quiet_gaps.push_back(traffic.watch().take_longest_us());
      outcome.quiet_own_gaps.push_back(traffic.watch().take_longest_own_us());
      if (auto done = reload_once(rig, traffic, *source, options.flows, outcome); !done) {
        return std::unexpected(std::move(done.error()));
      }
    }
  }
  const DriveTotals& totals = drive.totals();
  const Spread gap = spread_of(outcome.gaps);
  report["reloads"] = options.repetitions;
  report["packets"] = totals.sent;
  report["packets_lost"] = totals.sent - totals.received;
  report["flows_ended"] = rig.worker(0).tables().counters.recheck_ended.get();
  report["longest_gap_us"] = gap.median;
  report["longest_gap_us_spread"] = json_of(gap);
  report["longest_gap_quiet_us_spread"] = json_of(spread_of(outcome.quiet_gaps));
  report["longest_own_gap_us_spread"] = json_of(spread_of(outcome.own_gaps));
  report["longest_own_gap_quiet_us_spread"] = json_of(spread_of(outcome.quiet_own_gaps));
  report["compile_seconds_spread"] = json_of(spread_of(outcome.compile_seconds));
  report["machine"] = machine_facts();
  if (const std::uint32_t missing = rig.missing_frames(); missing != 0) {
    return base::fail(std::to_string(missing) + " frames are in no pool");
  }
  return report;
}

}  // namespace ringplane::bench
