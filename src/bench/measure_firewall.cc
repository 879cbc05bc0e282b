#include "bench/measure_firewall.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/mapped_memory.h"
#include "base/random.h"
#include "base/result.h"
#include "bench/drive.h"
#include "bench/probe.h"
#include "bench/report.h"
#include "bench/rig.h"
#include "bench/traffic.h"
#include "firewall/policy.h"
#include "flow/flow_table.h"
#include "wire/decode.h"
#include "wire/packet.h"
#include "worker/stage_clock.h"
#include "worker/worker.h"
#include "worker/worker_tables.h"

namespace ringplane::bench {
namespace {

constexpr double kNanosPerSecond = 1e9;
constexpr std::uint64_t kFirewallInFlight = 65'536;
constexpr std::uint64_t kProbeLookups = 1U << 20;

/// What a NIC with a symmetric hash does: every connection arrives at the worker that owns it.
std::vector<std::vector<Connection>> by_owner(const std::vector<Connection>& connections, Rig& rig) {
  std::vector<std::vector<Connection>> shares(rig.size());
  const FrameWriter writer;
  const worker::WorkerTables& tables = rig.worker(0).tables();
  for (const Connection& connection : connections) {
    std::array<std::uint8_t, 64> frame;
    writer.write(frame.data(), connection, Step::kSyn);
    wire::Packet packet;
    // The frame is our own and whole.
    static_cast<void>(wire::decode({frame.data(), kFrameBytes}, 1, packet));
    shares[tables.owner_of(packet.key.hash(tables.secret)).value].push_back(connection);
  }
  return shares;
}

struct Share {
  std::vector<double> mpps;     // by repetition
  std::vector<double> outside;  // nanoseconds a packet of generator and sink
  DriveTotals totals;           // of the last repetition
};

/// One repetition on the calling thread.
void repeat(Drive& drive, const FirewallOptions& options, base::Random& random, Share& share) {
  std::vector<Segment> segments(std::size_t{2} * Drive::kStretch);
  drive.clear_totals();
  const auto until = static_cast<std::uint64_t>(options.seconds * kNanosPerSecond);
  while (drive.totals().worker_ns < until) {
    for (Segment& segment : segments) {
      const std::uint64_t draw = random();
      segment = {.connection = static_cast<std::uint32_t>(((draw >> 32) * drive.connections().size()) >> 32),
                 .step = (draw & 1) != 0 ? Step::kData : Step::kReplyData};
    }
    drive.pass(segments);
  }
  const DriveTotals& totals = drive.totals();
  const auto packets = static_cast<double>(totals.received);
  share.mpps.push_back(packets * 1e3 / static_cast<double>(totals.worker_ns));
  share.outside.push_back(static_cast<double>(totals.outside_ns) / packets);
  share.totals = totals;
}

/// The workers of a rig, each driven by a thread of its own, and what they have done so far.
class Crew {
 public:
  Crew(const FirewallOptions& options, Rig& rig, const std::vector<std::vector<Connection>>& connections)
      : options_(options), rig_(rig), clocks_(rig.size()), shares_(rig.size()) {
    for (std::size_t i = 0; i < rig.size(); ++i) {
      drives_.emplace_back(rig.worker(i), rig.endpoint(i), connections[i]);
      randoms_.emplace_back(options.seed + 100 + i);
    }
  }

  /// Opens all connections by their handshakes.
  base::Result<void> establish() {
    on_all([&](std::size_t i) { drives_[i].open_all(kFirewallInFlight); });
    for (const Drive& drive : drives_) through_ += drive.totals().received;
    if (rig_.live_flows() == options_.flows && through_ == 3 * options_.flows) return {};
    return base::fail("only " + std::to_string(rig_.live_flows()) + " of " + std::to_string(options_.flows) +
                      " connections were established by these rules; dropped: " + rig_.drops_text());
  }

  /// One repetition on all workers; counted among the results unless it is there to warm up.
  base::Result<void> run(bool warm_up) {
    std::vector<Share> now(shares_.size());
    on_all([&](std::size_t i) { repeat(drives_[i], options_, randoms_[i], now[i]); });
    for (std::size_t i = 0; i < now.size(); ++i) {
      const DriveTotals& totals = now[i].totals;
      if (totals.sent != totals.received || totals.sent_sum != totals.received_sum) {
        return base::fail("of " + std::to_string(totals.sent) + " packets " + std::to_string(totals.received) +
                          " came out; dropped: " + rig_.drops_text());
      }
      through_ += totals.received;
      if (warm_up) continue;
      shares_[i].mpps.push_back(now[i].mpps.front());
      shares_[i].outside.push_back(now[i].outside.front());
    }
    return {};
  }

  /// One more repetition with the stage clocks on: they cost a little themselves, so it is not among the measured ones.
  base::Result<nlohmann::ordered_json> cycles_by_stage() {
    for (std::size_t i = 0; i < rig_.size(); ++i) rig_.worker(i).tables().clock = &clocks_[i];
    const std::uint64_t before = through_;
    if (auto ran = run(true); !ran) return std::unexpected(std::move(ran.error()));
    const auto packets = static_cast<double>(through_ - before);
    nlohmann::ordered_json split;
    double all = 0;
    for (std::size_t stage = 0; stage < worker::kStageNames.size(); ++stage) {
      double cycles = 0;
      for (const auto& clock : clocks_) cycles += static_cast<double>(clock.cycles(static_cast<worker::Stage>(stage)));
      split[std::string(worker::kStageNames[stage])] = std::round(cycles / packets * 10) / 10;
      all += cycles / packets;
    }
    split["all"] = std::round(all * 10) / 10;
    return split;
  }

  /// Every packet that came out must stand in the counters of its flow and of its rules; returns how many there were.
  base::Result<std::uint64_t> check_counters() {
    const std::uint64_t by_flow = rig_.packets_by_flow(base::monotonic_ns());
    const std::uint64_t by_rule = rig_.packets_by_rule();
    if (by_flow == through_ && by_rule == through_ && rig_.dropped() == 0) return through_;
    return base::fail("counters are wrong: " + std::to_string(through_) + " packets, " + std::to_string(by_flow) +
                      " counted by flows, " + std::to_string(by_rule) + " by rules; dropped: " + rig_.drops_text());
  }

  /// By repetition, over all workers.
  [[nodiscard]] Spread mpps() const {
    std::vector<double> sums(options_.repetitions, 0.0);
    for (const Share& share : shares_) {
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += share.mpps[i];
    }
    return spread_of(std::move(sums));
  }
  [[nodiscard]] Spread outside_ns() const {
    std::vector<double> all;
    for (const Share& share : shares_) all.insert(all.end(), share.outside.begin(), share.outside.end());
    return spread_of(std::move(all));
  }

 private:
  template <class Act>
  void on_all(Act&& act) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < drives_.size(); ++i) {
      threads.emplace_back([&act, i] {
        pin_to_processor(static_cast<std::uint32_t>(i));
        act(i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  const FirewallOptions& options_;
  Rig& rig_;
  std::vector<worker::StageClock> clocks_;
  std::vector<Share> shares_;
  std::vector<Drive> drives_;
  std::vector<base::Random> randoms_;
  std::uint64_t through_ = 0;  // packets that came out, handshakes too
};

/// Millions of lookups a second.
base::Result<double> run_probe(LookupProbe& probe, base::Random& random) {
  const std::uint64_t begin = base::monotonic_ns();
  if (probe.run(kProbeLookups, random) != kProbeLookups) return base::fail("the lookup probe lost a record");
  return static_cast<double>(kProbeLookups) * 1e3 / static_cast<double>(base::monotonic_ns() - begin);
}

}  // namespace

base::Result<nlohmann::ordered_json> measure_firewall(const FirewallOptions& options,
                                                      std::shared_ptr<const firewall::Policy> policy) {
  nlohmann::ordered_json report{
      {"bench", "firewall"},        {"flows", options.flows},         {"rules", policy->rule_count()},
      {"workers", options.workers}, {"frame_bytes", kFrameBytes + 4}, {"seed", options.seed}};
  auto connections = make_connections(policy->ruleset(), options.flows, options.seed);
  if (!connections) return std::unexpected(std::move(connections.error()));
  // Shares by hash differ a little in size.
  const std::uint64_t spare = options.workers == 1 ? 0 : options.flows / 100 + 1000;
  const std::uint64_t capacity = options.flows / options.workers + spare;
  auto made = Rig::create(
      {.workers = options.workers, .flows_per_worker = static_cast<std::uint32_t>(capacity), .seed = options.seed},
      std::move(policy), base::monotonic_ns());
  if (!made) return std::unexpected(std::move(made.error()));
  Rig& rig = **made;
  const std::vector<std::vector<Connection>> shares = by_owner(*connections, rig);
  *connections = {};
  auto probe = LookupProbe::create(options.flows);
  if (!probe) return std::unexpected(std::move(probe.error()));

  Crew crew(options, rig, shares);
  if (auto established = crew.establish(); !established) return std::unexpected(std::move(established.error()));
  base::Random random(options.seed);
  std::vector<double> bare;
  for (std::uint32_t repetition = 0; repetition <= options.repetitions; ++repetition) {
    const bool warm_up = repetition == 0;
    if (auto ran = crew.run(warm_up); !ran) return std::unexpected(std::move(ran.error()));
    const auto probed = run_probe(**probe, random);
    if (!probed) return std::unexpected(probed.error());
    if (!warm_up) bare.push_back(*probed);
  }
  auto cycles = crew.cycles_by_stage();
  if (!cycles) return std::unexpected(std::move(cycles.error()));
  const auto checked = crew.check_counters();
  if (!checked) return std::unexpected(checked.error());

  const Spread mpps = crew.mpps();
  const Spread probe_mpps = spread_of(std::move(bare));
  report["mpps"] = rounded(mpps.median);
  report["mpps_spread"] = json_of(mpps);
  report["probe_mpps"] = rounded(probe_mpps.median);
  report["probe_mpps_spread"] = json_of(probe_mpps);
  report["of_probe"] = rounded(mpps.median / options.workers / probe_mpps.median);
  report["nanoseconds_per_packet"] = rounded(1e3 / mpps.median * options.workers);
  report["generator_and_sink_nanoseconds_per_packet"] = json_of(crew.outside_ns());
  report["cycles_per_packet"] = std::move(*cycles);
  report["packets_checked"] = *checked;
  report["bytes_per_flow"] =
      rounded(static_cast<double>(rig.flow_table_bytes()) / static_cast<double>(capacity * options.workers));
  report["pages"] = std::string(base::name_of(rig.worker(0).tables().flows->pages()));
  report["machine"] = machine_facts();
  if (const std::uint32_t missing = rig.missing_frames(); missing != 0) {
    return base::fail(std::to_string(missing) + " frames are in no pool");
  }
  return report;
}

}  // namespace ringplane::bench
