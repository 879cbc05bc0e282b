#include "bench/measure_connect.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/mapped_memory.h"
#include "base/result.h"
#include "bench/drive.h"
#include "bench/report.h"
#include "bench/rig.h"
#include "bench/traffic.h"
#include "firewall/policy.h"
#include "flow/flow_table.h"
#include "frame/spsc_ring.h"
#include "worker/flow_record.h"

namespace ringplane::bench {
namespace {

/// Connections that take the same step in one pass; four steps of the client fill a stretch.
constexpr std::uint64_t kGroup = Drive::kStretch / 4;
/// pf's tcp.closed is 90 s; a little more, as timers are coarse.
constexpr std::uint64_t kClosedNs = 100'000'000'000;
constexpr std::uint64_t kSteps = 3;  // of a handshake, or of an end

base::Result<void> check(const DriveTotals& totals, const Rig& rig) {
  if (totals.sent == totals.received && totals.sent_sum == totals.received_sum && rig.dropped() == 0) return {};
  return base::fail("of " + std::to_string(totals.sent) + " packets " + std::to_string(totals.received) +
                    " came out; dropped: " + rig.drops_text());
}

/// Seconds of the worker to take in all connections.
base::Result<double> fill(Rig& rig, std::span<const Connection> connections) {
  Drive drive(rig.worker(0), rig.endpoint(0), connections);
  drive.open_all(Drive::kInFlight);
  if (auto checked = check(drive.totals(), rig); !checked) return std::unexpected(std::move(checked.error()));
  if (rig.live_flows() != connections.size()) {
    return base::fail("only " + std::to_string(rig.live_flows()) + " of " + std::to_string(connections.size()) +
                      " connections are in the table");
  }
  return static_cast<double>(drive.totals().worker_ns) / 1e9;
}

/// A window over the circle of all connections: those inside are open.
class Churn {
 public:
  Churn(Rig& rig, std::span<const Connection> connections, std::uint64_t open, std::uint64_t spare)
      : drive_(rig.worker(0), rig.endpoint(0), connections),
        records_(rig.worker(0).tables().flow_records.get()),
        total_(connections.size()),
        open_(open),
        next_(open) {
    ns_per_group_ = kClosedNs * kGroup / spare + 1;
  }

  /// One group begins, the oldest ends; steps of one connection are in different passes.
  void step() {
    segments_.clear();
    add(0, Step::kSyn);
    add(1, Step::kSynAck);
    add(2, Step::kAck);
    const std::uint64_t age = open_ / kGroup;
    add(age, Step::kFin);
    add(age + 1, Step::kFinAck);
    add(age + 2, Step::kLastAck);
    now_ += ns_per_group_;
    drive_.pass_at(segments_, now_);
    next_ += kGroup;
    take_flow_records();
  }
  /// Flows reported as ended.
  [[nodiscard]] std::uint64_t flow_records() const noexcept { return flow_records_; }
  [[nodiscard]] Drive& drive() noexcept { return drive_; }

 private:
  /// As the main thread of the data process does beside the worker; not measured.
  void take_flow_records() {
    if (records_ == nullptr) return;
    worker::FlowRecord record;
    while (records_->pop(record)) ++flow_records_;
  }
  /// The group that began `age` groups ago.
  void add(std::uint64_t age, Step step) {
    // What the fill has opened is in the window from the start.
    const std::uint64_t first = next_ - age * kGroup;
    const bool opened_by_fill = age > 0 && age < kSteps && first < open_;
    const bool ended_before = age >= open_ / kGroup && next_ < open_ + (age - open_ / kGroup) * kGroup;
    if (opened_by_fill || ended_before) return;
    for (std::uint64_t i = first; i < first + kGroup; ++i) {
      segments_.push_back({.connection = static_cast<std::uint32_t>(i % total_), .step = step});
    }
  }

  Drive drive_;
  frame::SpscRing<worker::FlowRecord>* records_;  // nullptr: none are made
  std::uint64_t flow_records_ = 0;
  std::uint64_t total_;
  std::uint64_t open_;
  std::uint64_t next_;  // connection that begins next, counted on without end
  std::uint64_t now_ = base::monotonic_ns();
  std::uint64_t ns_per_group_;
  std::vector<Segment> segments_;
};

base::Result<Spread> measure_churn(Rig& rig, Churn& churn, const ConnectOptions& options, std::uint64_t spare) {
  // Until flows expire as fast as they end.
  for (std::uint64_t i = 0; i < 2 * spare / kGroup; ++i) churn.step();
  std::vector<double> rates;
  for (std::uint32_t repetition = 0; repetition < options.repetitions; ++repetition) {
    churn.drive().clear_totals();
    std::uint64_t connections = 0;
    while (static_cast<double>(churn.drive().totals().worker_ns) < options.seconds * 1e9) {
      churn.step();
      connections += kGroup;
    }
    const DriveTotals& totals = churn.drive().totals();
    if (auto checked = check(totals, rig); !checked) return std::unexpected(std::move(checked.error()));
    rates.push_back(static_cast<double>(connections) * 1e9 / static_cast<double>(totals.worker_ns));
  }
  return spread_of(std::move(rates));
}

}  // namespace

base::Result<nlohmann::ordered_json> measure_connect(const ConnectOptions& options,
                                                     std::shared_ptr<const firewall::Policy> policy) {
  nlohmann::ordered_json report{
      {"bench", "connect"}, {"flows", options.flows}, {"rules", policy->rule_count()}, {"seed", options.seed}};
  const std::uint64_t open = std::max(options.flows / kGroup, 8 * kSteps) * kGroup;
  const std::uint64_t spare = std::max(open / 8 / kGroup, 4 * kSteps) * kGroup;
  const std::uint64_t total = open + 3 * spare;
  const auto connections = make_connections(policy->ruleset(), total, options.seed);
  if (!connections) return std::unexpected(connections.error());
  std::vector<double> fills;
  std::unique_ptr<Rig> rig;
  for (std::uint32_t repetition = 0; repetition < options.repetitions; ++repetition) {
    rig.reset();
    auto made = Rig::create({.flows_per_worker = static_cast<std::uint32_t>(open + 2 * spare),
                             .seed = options.seed,
                             .flow_records = options.flow_records},
                            policy, base::monotonic_ns());
    if (!made) return std::unexpected(std::move(made.error()));
    rig = std::move(*made);
    const auto seconds = fill(*rig, std::span(*connections).first(open));
    if (!seconds) return std::unexpected(seconds.error());
    fills.push_back(static_cast<double>(open) / *seconds);
  }
  Churn churn(*rig, *connections, open, spare);
  auto churned = measure_churn(*rig, churn, options, spare);
  if (!churned) return std::unexpected(std::move(churned.error()));
  const std::uint64_t live = rig->live_flows();
  if (live < open || live > open + 2 * spare) {
    return base::fail(std::to_string(live) + " flows are in the table; " + std::to_string(open) +
                      " are open and at most " + std::to_string(2 * spare) + " should wait to expire");
  }
  const Spread filled = spread_of(std::move(fills));
  report["connections_per_s"] = rounded(filled.median);
  report["connections_per_s_spread"] = json_of(filled);
  report["churn_connections_per_s"] = rounded(churned->median);
  report["churn_connections_per_s_spread"] = json_of(*churned);
  report["live_flows"] = live;
  if (options.flow_records) {
    if (const std::uint64_t lost = rig->worker(0).tables().counters.flow_records_lost.get(); lost != 0) {
      return base::fail(std::to_string(lost) + " records of ended flows were lost");
    }
    report["flow_records"] = churn.flow_records();
  }
  report["bytes_per_flow"] =
      rounded(static_cast<double>(rig->flow_table_bytes()) / static_cast<double>(open + 2 * spare));
  report["pages"] = std::string(base::name_of(rig->worker(0).tables().flows->pages()));
  report["machine"] = machine_facts();
  if (const std::uint32_t missing = rig->missing_frames(); missing != 0) {
    return base::fail(std::to_string(missing) + " frames are in no pool");
  }
  return report;
}

}  // namespace ringplane::bench
