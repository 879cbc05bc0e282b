#include "bench/measure_latency.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "bench/drive.h"
#include "bench/report.h"
#include "bench/rig.h"
#include "bench/traffic.h"
#include "firewall/policy.h"
#include "worker/worker.h"

namespace ringplane::bench {
namespace {

constexpr std::uint64_t kLatencyInFlight = 512;
/// The time of sending lies in the padding of the frame, which the data plane forwards as it is.
constexpr std::size_t kStampOffset = 54;
constexpr std::size_t kStampBytes = 6;
/// No turn of the worker at half load, and no round of the sender, works this long.
constexpr std::uint64_t kStolenNs = 20'000;
/// So that no ring overflows when a processor is stolen; at half load there are a few dozen inside.
constexpr std::uint64_t kMostInside = 448;
/// What piled up meanwhile has gone by then.
constexpr std::uint64_t kAftermathNs = 100'000;

/// Latencies in steps of 10 ns, up to a millisecond.
class Histogram {
 public:
  void add(std::uint64_t nanoseconds) noexcept { ++counts_[std::min(nanoseconds / kStep, counts_.size() - 1)]; }
  [[nodiscard]] std::uint64_t size() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts_) sum += count;
    return sum;
  }
  [[nodiscard]] double microseconds_at(double share) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(size()));
    std::uint64_t sum = 0;
    std::size_t at = 0;
    while (at + 1 < counts_.size() && (sum += counts_[at]) <= wanted) ++at;
    return static_cast<double>((at + 1) * kStep) / 1e3;
  }

 private:
  static constexpr std::uint64_t kStep = 10;
  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(100'000);
};

struct Seen {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t ns = 0;
  Histogram kept;
  Histogram all;
};

/// The worker on a thread and processor of its own until this ends.
class RunningWorker {
 public:
  explicit RunningWorker(worker::Worker& worker)
      : thread_([this, &worker](const std::stop_token& stop) {
          pin_to_processor(1);
          std::uint64_t before = base::monotonic_ns();
          while (!stop.stop_requested()) {
            worker.run_once(before);
            const std::uint64_t now = base::monotonic_ns();
            if (now - before > kStolenNs) note_stolen(now);
            before = now;
          }
        }) {}
  void note_stolen(std::uint64_t now) noexcept { stolen_until_.store(now + kAftermathNs, std::memory_order_relaxed); }
  [[nodiscard]] bool was_stolen(std::uint64_t now) const noexcept {
    return now < stolen_until_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> stolen_until_{0};
  std::jthread thread_;
};

class Sender {
 public:
  Sender(Endpoint& endpoint, const std::vector<Connection>& connections, RunningWorker& worker, std::uint64_t seed)
      : endpoint_(endpoint), connections_(connections), worker_(worker), random_(seed) {}

  /// Sends at `per_ns` packets a nanosecond (0: as fast as they are taken) for a time, then waits for the last one.
  Seen run(double per_ns, double seconds) {
    Seen seen;
    const std::uint64_t begin = base::monotonic_ns();
    const auto until = begin + static_cast<std::uint64_t>(seconds * 1e9);
    std::uint64_t before = begin;
    for (std::uint64_t now = begin; now < until; now = base::monotonic_ns()) {
      if (now - before > kStolenNs) worker_.note_stolen(now);
      before = now;
      const auto due =
          per_ns == 0 ? seen.sent + kBurst : static_cast<std::uint64_t>(static_cast<double>(now - begin) * per_ns);
      // After a theft the schedule goes on from now: what could not be sent is not made up for.
      if (due > seen.sent + skipped_ + std::uint64_t{4} * kBurst && per_ns != 0) skipped_ = due - seen.sent - kBurst;
      const std::uint64_t wanted = per_ns == 0 ? kBurst : due - std::min(due, seen.sent + skipped_);
      if (wanted > 0 && seen.sent - seen.received <= kMostInside)
        send(static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, kBurst)), seen);
      take(seen);
    }
    seen.ns = base::monotonic_ns() - begin;
    const std::uint64_t patience = base::monotonic_ns() + 100'000'000;
    while (seen.received < seen.sent && base::monotonic_ns() < patience) take(seen);
    skipped_ = 0;
    return seen;
  }

  /// All handshakes, a few at a time.
  bool open_all() {
    Seen seen;
    for (std::size_t first = 0; first < connections_.size(); first += kLatencyInFlight) {
      const std::size_t count = std::min<std::size_t>(kLatencyInFlight, connections_.size() - first);
      for (const Step step : {Step::kSyn, Step::kSynAck, Step::kAck}) {
        if (!step_all(first, count, step, seen)) return false;
      }
    }
    return true;
  }

 private:
  bool step_all(std::size_t first, std::size_t count, Step step, Seen& seen) {
    const std::uint64_t patience = base::monotonic_ns() + 5'000'000'000;
    for (std::size_t done = 0; done < count;) {
      done += endpoint_.send(
          from_client(step) ? kLan : kWan, static_cast<std::uint32_t>(std::min<std::size_t>(kBurst, count - done)),
          [&](std::uint8_t* bytes, std::uint32_t i) { writer_.write(bytes, connections_[first + done + i], step); });
      take(seen);
      if (base::monotonic_ns() > patience) return false;
    }
    seen.sent += count;
    while (seen.received < seen.sent && base::monotonic_ns() < patience) take(seen);
    return seen.received == seen.sent;
  }
  void send(std::uint32_t count, Seen& seen) {
    const std::uint64_t now = base::monotonic_ns();
    seen.sent += endpoint_.send(kLan, count, [&](std::uint8_t* bytes, std::uint32_t) {
      writer_.write(bytes, connections_[random_.below(connections_.size())], Step::kData);
      std::memcpy(bytes + kStampOffset, &now, kStampBytes);
    });
  }
  void take(Seen& seen) {
    std::array<std::uint64_t, kBurst> stamps;
    std::uint32_t count = 0;
    const auto look = [&](const std::uint8_t* bytes) {
      stamps[count] = 0;
      std::memcpy(&stamps[count++], bytes + kStampOffset, kStampBytes);
    };
    for (const base::PortId port : {kWan, kLan}) {
      count = 0;
      endpoint_.take(port, look);
      const std::uint64_t now = base::monotonic_ns();
      const bool stolen = worker_.was_stolen(now);
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint64_t inside = (now - stamps[i]) & ((std::uint64_t{1} << (8 * kStampBytes)) - 1);
        seen.all.add(inside);
        if (!stolen) seen.kept.add(inside);
      }
      seen.received += count;
    }
    endpoint_.read_mail();
  }

  Endpoint& endpoint_;
  const std::vector<Connection>& connections_;
  RunningWorker& worker_;
  base::Random random_;
  FrameWriter writer_;
  std::uint64_t skipped_ = 0;
};

struct Figures {
  std::vector<double> p50, p99, p999;
  void add(const Histogram& histogram) {
    p50.push_back(histogram.microseconds_at(0.5));
    p99.push_back(histogram.microseconds_at(0.99));
    p999.push_back(histogram.microseconds_at(0.999));
  }
};

}  // namespace

base::Result<nlohmann::ordered_json> measure_latency(const LatencyOptions& options,
                                                     std::shared_ptr<const firewall::Policy> policy) {
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return base::fail("latency is measured from a second processor; there is one");
  nlohmann::ordered_json report{{"bench", "latency"}, {"flows", options.flows}, {"rules", policy->rule_count()}};
  const auto connections = make_connections(policy->ruleset(), options.flows, options.seed);
  if (!connections) return std::unexpected(connections.error());
  auto made = Rig::create(
      {.flows_per_worker = static_cast<std::uint32_t>(options.flows), .own_pools = true, .seed = options.seed},
      std::move(policy), base::monotonic_ns());
  if (!made) return std::unexpected(std::move(made.error()));
  Rig& rig = **made;
  Figures kept;
  Figures all;
  std::vector<double> highest;
  std::vector<double> rates;
  std::uint64_t left_out = 0;
  std::uint64_t packets = 0;
  {
    RunningWorker running(rig.worker(0));
    pin_to_processor(0);
    Sender sender(rig.endpoint(0), *connections, running, options.seed);
    if (!sender.open_all()) return base::fail("connections were not established; dropped: " + rig.drops_text());
    for (std::uint32_t repetition = 0; repetition < options.repetitions; ++repetition) {
      const Seen full = sender.run(0, options.seconds / 4);
      const double rate = static_cast<double>(full.received) / static_cast<double>(full.ns);
      const Seen seen = sender.run(rate * options.share, options.seconds);
      if (seen.received != seen.sent || full.received != full.sent) {
        return base::fail("of " + std::to_string(seen.sent) + " packets " + std::to_string(seen.received) +
                          " came out; dropped: " + rig.drops_text());
      }
      highest.push_back(rate * 1e3);
      rates.push_back(static_cast<double>(seen.sent) * 1e3 / static_cast<double>(seen.ns));
      kept.add(seen.kept);
      all.add(seen.all);
      packets += seen.received;
      left_out += seen.received - seen.kept.size();
    }
  }
  report["highest_mpps_spread"] = json_of(spread_of(highest));
  report["mpps"] = spread_of(rates).median;
  for (const auto& [name, figures] : {std::pair{"", &kept}, std::pair{"all_", &all}}) {
    report[std::string(name) + "p50_us"] = spread_of(figures->p50).median;
    report[std::string(name) + "p99_us"] = spread_of(figures->p99).median;
    report[std::string(name) + "p999_us"] = spread_of(figures->p999).median;
    report[std::string(name) + "p999_us_spread"] = json_of(spread_of(figures->p999));
  }
  report["packets"] = packets;
  report["packets_left_out"] = left_out;
  report["machine"] = machine_facts();
  if (const std::uint32_t missing = rig.missing_frames(); missing != 0) {
    return base::fail(std::to_string(missing) + " frames are in no pool");
  }
  return report;
}

}  // namespace ringplane::bench
