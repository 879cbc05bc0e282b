#include "bench/measure_firewall.h"

#include <algorithm>
#include <array>
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
#include "base/random.h"
#include "base/result.h"
#include "bench/drive.h"
#include "bench/probe.h"
#include "bench/report.h"
#include "bench/rig.h"
#include "bench/traffic.h"
#include "firewall/policy.h"
#include "wire/decode.h"
#include "worker/stage_clock.h"
#include "worker/worker_tables.h"

namespace ringplane::bench {
namespace {

constexpr double kNanosPerSecond = 1e9;
constexpr std::uint64_t kInFlight = 65'536;
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
  DriveTotals totals;
};

/// One repetition on the calling thread.
void repeat(Drive& drive, const FirewallOptions& options, base::Random& random, Share& share) {
  std::vector<Segment> segments(2 * Drive::kStretch);
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
  share.totals.sent += totals.sent;
  share.totals.received += totals.received;
  share.totals.sent_sum += totals.sent_sum;
  share.totals.received_sum += totals.received_sum;
}

base::Result<void> check(const Share& share, Rig& rig) {
  if (share.totals.sent != share.totals.received || share.totals.sent_sum != share.totals.received_sum) {
    return base::fail("of " + std::to_string(share.totals.sent) + " packets " + std::to_string(share.totals.received) +
                      " came out; dropped: " + rig.drops_text());
  }
  return {};
}

nlohmann::ordered_json stage_split(Rig& rig, std::vector<worker::StageClock>& clocks, std::uint64_t packets) {
  nlohmann::ordered_json split;
  double all = 0;
  for (std::size_t stage = 0; stage < worker::kStageNames.size(); ++stage) {
    double cycles = 0;
    for (const auto& clock : clocks) cycles += static_cast<double>(clock.cycles(static_cast<worker::Stage>(stage)));
    split[std::string(worker::kStageNames[stage])] = std::round(cycles / static_cast<double>(packets) * 10) / 10;
    all += cycles / static_cast<double>(packets);
  }
  split["all"] = std::round(all * 10) / 10;
  static_cast<void>(rig);
  return split;
}

}  // namespace

base::Result<nlohmann::ordered_json> measure_firewall(const FirewallOptions& options,
                                                      std::shared_ptr<const firewall::Policy> policy) {
  const std::size_t rules = policy->rule_count();
  auto connections = make_connections(policy->ruleset(), options.flows, options.seed);
  if (!connections) return std::unexpected(std::move(connections.error()));
  // Shares by hash differ a little in size.
  const std::uint64_t spread = options.workers == 1 ? 0 : options.flows / 100 + 1000;
  auto made = Rig::create({.workers = options.workers,
                           .flows_per_worker = static_cast<std::uint32_t>(options.flows / options.workers + spread),
                           .seed = options.seed},
                          std::move(policy), base::monotonic_ns());
  if (!made) return std::unexpected(std::move(made.error()));
  Rig& rig = **made;
  const std::vector<std::vector<Connection>> shares_of = by_owner(*connections, rig);
  *connections = {};
  auto probe = LookupProbe::create(options.flows);
  if (!probe) return std::unexpected(std::move(probe.error()));

  std::vector<worker::StageClock> clocks(options.workers);
  std::vector<Share> shares(options.workers);
  std::vector<double> probe_mpps;
  std::vector<Drive> drives;
  for (std::size_t i = 0; i < rig.size(); ++i) drives.emplace_back(rig.worker(i), rig.endpoint(i), shares_of[i]);
  const auto on_all = [&](auto&& act) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < drives.size(); ++i) {
      threads.emplace_back([&, i] {
        pin_to_processor(static_cast<std::uint32_t>(i));
        act(i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  };

  std::uint64_t handshakes = 0;
  on_all([&](std::size_t i) { drives[i].open_all(kInFlight); });
  for (const Drive& drive : drives) handshakes += drive.totals().received;
  if (rig.live_flows() != options.flows || handshakes != 3 * options.flows) {
    return base::fail("only " + std::to_string(rig.live_flows()) + " of " + std::to_string(options.flows) +
                      " connections were established by these rules; dropped: " + rig.drops_text());
  }
  std::vector<base::Random> randoms;
  for (std::size_t i = 0; i < drives.size(); ++i) randoms.emplace_back(options.seed + 100 + i);
  for (std::uint32_t repetition = 0; repetition <= options.repetitions; ++repetition) {
    const bool warm_up = repetition == 0;
    on_all([&](std::size_t i) {
      Share unmeasured;
      repeat(drives[i], options, randoms[i], warm_up ? unmeasured : shares[i]);
      if (warm_up) shares[i].totals = unmeasured.totals;
    });
    const std::uint64_t begin = base::monotonic_ns();
    if ((*probe)->run(kProbeLookups, randoms[0]) != kProbeLookups) return base::fail("the lookup probe lost a record");
    if (!warm_up) {
      probe_mpps.push_back(static_cast<double>(kProbeLookups) * 1e3 /
                           static_cast<double>(base::monotonic_ns() - begin));
    }
  }
  std::uint64_t through = 0;
  for (const Share& share : shares) {
    if (auto checked = check(share, rig); !checked) return std::unexpected(std::move(checked.error()));
    through += share.totals.received;
  }
  // One more repetition with the clock on: it costs a little itself, so it is not among the measured ones.
  nlohmann::ordered_json cycles;
  if (options.stage_cycles) {
    std::uint64_t packets = 0;
    for (std::size_t i = 0; i < rig.size(); ++i) rig.worker(i).tables().clock = &clocks[i];
    on_all([&](std::size_t i) {
      Share share;
      repeat(drives[i], options, randoms[i], share);
      shares[i].totals.received = share.totals.received;
    });
    for (const Share& share : shares) packets += share.totals.received;
    through += packets;
    cycles = stage_split(rig, clocks, packets);
  }

  const std::uint64_t expected = through + handshakes;
  const std::uint64_t by_flow = rig.packets_by_flow(base::monotonic_ns());
  const std::uint64_t by_rule = rig.packets_by_rule();
  if (by_flow != expected || by_rule != expected || rig.dropped() != 0) {
    return base::fail("counters are wrong: " + std::to_string(expected) + " packets, " + std::to_string(by_flow) +
                      " counted by flows, " + std::to_string(by_rule) + " by rules; dropped: " + rig.drops_text());
  }
  std::vector<double> mpps(options.repetitions, 0.0);
  std::vector<double> outside;
  for (const Share& share : shares) {
    for (std::size_t i = 0; i < mpps.size(); ++i) mpps[i] += share.mpps[i];
    outside.insert(outside.end(), share.outside.begin(), share.outside.end());
  }
  const Spread all = spread_of(mpps);
  const Spread bare = spread_of(probe_mpps);
  nlohmann::ordered_json report;
  report["bench"] = "firewall";
  report["flows"] = options.flows;
  report["rules"] = rules;
  report["workers"] = options.workers;
  report["frame_bytes"] = kFrameBytes + 4;
  report["seed"] = options.seed;
  report["mpps"] = std::round(all.median * 1000) / 1000;
  report["mpps_spread"] = json_of(all);
  report["probe_mpps"] = std::round(bare.median * 1000) / 1000;
  report["probe_mpps_spread"] = json_of(bare);
  report["of_probe"] = std::round(all.median / options.workers / bare.median * 1000) / 1000;
  report["nanoseconds_per_packet"] = std::round(1e3 / all.median * options.workers * 100) / 100;
  report["generator_and_sink_nanoseconds_per_packet"] = json_of(spread_of(outside));
  if (options.stage_cycles) report["cycles_per_packet"] = cycles;
  report["packets_checked"] = expected;
  report["bytes_per_flow"] =
      std::round(static_cast<double>(rig.flow_table_bytes()) /
                 (static_cast<double>(options.flows / options.workers + spread) * options.workers) * 100) /
      100;
  report["pages"] = std::string(base::name_of(rig.worker(0).tables().flows->pages()));
  report["machine"] = machine_facts();
  if (const std::uint32_t missing = rig.missing_frames(); missing != 0) {
    return base::fail(std::to_string(missing) + " frames are in no pool");
  }
  return report;
}

}  // namespace ringplane::bench
