#include "bench/measure_flood.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "bench/drive.h"
#include "bench/offered_load.h"
#include "bench/report.h"
#include "bench/rig.h"
#include "bench/traffic.h"
#include "firewall/policy.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "wire/flow_key.h"
#include "worker/worker.h"
#include "worker/worker_tables.h"

namespace ringplane::bench {
namespace {

/// Different sources of the flood; it goes round them.
constexpr std::uint64_t kSources = 4'000'000;
/// Of the worker's time, with and without a flood in turn: short against what the machine takes away.
constexpr std::uint64_t kSliceNs = 5'000'000;
/// How many times as many SYNs as the wire would have room for beside the established packets, if it carried just what
/// the worker can do of these.
constexpr std::array<double, 3> kFloods{1, 2, 4};

class Flood {
 public:
  Flood(Rig& rig, Drive& drive, const FloodOptions& options, std::uint64_t flows)
      : rig_(rig), drive_(drive), random_(options.seed + 1), flows_(flows), next_(flows) {
    established_ = static_cast<std::uint64_t>(options.share * Drive::kStretch);
    syns_ = Drive::kStretch - established_;
  }

  /// Nanoseconds of the worker for one stretch.
  std::uint64_t pass(bool flooded) {
    segments_.clear();
    const std::uint64_t count = established_ + (flooded ? syns_ : 0);
    for (std::uint64_t i = 0; i < count; ++i) {
      // Spread evenly: as they would come by one wire.
      const bool syn = flooded && (i * syns_ / count) != ((i + 1) * syns_ / count);
      segments_.push_back(
          syn ? Segment{.connection = next_source(), .step = Step::kSyn}
              : Segment{.connection = static_cast<std::uint32_t>(random_.below(flows_)), .step = Step::kData});
    }
    const std::uint64_t before = drive_.totals().worker_ns;
    drive_.pass(segments_);
    return drive_.totals().worker_ns - before;
  }

  /// A packet of every established connection: all must come out.
  base::Result<void> check_all() {
    for (std::uint64_t first = 0; first < flows_; first += Drive::kStretch) {
      segments_.clear();
      for (std::uint64_t i = first; i < std::min<std::uint64_t>(first + Drive::kStretch, flows_); ++i) {
        segments_.push_back({.connection = static_cast<std::uint32_t>(i), .step = Step::kReplyData});
      }
      drive_.pass(segments_);
    }
    const DriveTotals& totals = drive_.totals();
    const std::uint64_t full =
        rig_.worker(0).tables().counters.dropped[static_cast<std::size_t>(base::DropReason::flow_table_full)].get();
    // Only SYNs can be refused for want of room; whatever else is missing was of an established connection.
    if (totals.sent - totals.received == full && rig_.dropped() == full) return {};
    return base::fail("established connections lost packets; dropped: " + rig_.drops_text());
  }
  [[nodiscard]] std::uint64_t established() const noexcept { return established_; }
  [[nodiscard]] std::uint64_t syns() const noexcept { return syns_; }

 private:
  std::uint32_t next_source() noexcept {
    if (++next_ >= drive_.connections().size()) next_ = flows_;
    return static_cast<std::uint32_t>(next_);
  }

  Rig& rig_;
  Drive& drive_;
  base::Random random_;
  std::uint64_t flows_;
  std::uint64_t next_;
  std::uint64_t established_;
  std::uint64_t syns_;
  std::vector<Segment> segments_;
};

/// Established flows in the table.
std::uint64_t established_in(Rig& rig) {
  flow::FlowTable& flows = *rig.worker(0).tables().flows;
  std::uint64_t count = 0;
  std::uint32_t cursor = 0;
  do {
    cursor = flows.visit_slice(cursor, 1U << 20, [&](base::FlowId id) {
      const flow::Flow& flow = flows.at(id);
      const bool established = flow.state(wire::Direction::kOriginal) == flow::PeerState::kEstablished &&
                               flow.state(wire::Direction::kReply) == flow::PeerState::kEstablished;
      count += established ? 1 : 0;
    });
  } while (cursor != 0);
  return count;
}

/// What comes out of established packets offered at `load` of the rate the worker can do of them alone, with a flood
/// beside them and without.
base::Result<nlohmann::ordered_json> measure_offered(Rig& rig, std::span<const Connection> connections,
                                                     const FloodOptions& options, double alone_per_ns) {
  OfferedLoad load(rig, connections, options.flows, options.seed + 2, base::monotonic_ns());
  const OfferedLoad::Rates quiet_rates{.established = alone_per_ns * options.load, .syns = 0};
  nlohmann::ordered_json report = nlohmann::ordered_json::array();
  for (const double flood : kFloods) {
    const OfferedLoad::Rates rates{.established = quiet_rates.established,
                                   .syns = alone_per_ns * (1 - options.load) * flood};
    std::vector<double> kept;
    std::vector<double> came_out;
    double admitted = 0;
    for (std::uint32_t repetition = 0; repetition < options.repetitions; ++repetition) {
      OfferedLoad::Seen quiet;
      OfferedLoad::Seen flooded;
      while (static_cast<double>(flooded.ns) < options.seconds * 1e9) {
        load.run(quiet_rates, kSliceNs, quiet);
        load.run(rates, kSliceNs, flooded);
      }
      if (quiet.taken != quiet.out || flooded.taken != flooded.out) {
        return base::fail("established packets were dropped inside; dropped: " + rig.drops_text());
      }
      const auto rate = [](const OfferedLoad::Seen& seen) {
        return static_cast<double>(seen.out) / static_cast<double>(seen.ns);
      };
      kept.push_back(rate(flooded) / rate(quiet));
      came_out.push_back(static_cast<double>(quiet.out) / static_cast<double>(quiet.offered));
      admitted = static_cast<double>(flooded.syns_out) / static_cast<double>(flooded.syns_offered);
    }
    report.push_back({{"established_mpps_offered", rates.established * 1e3},
                      {"syn_mpps_offered", rates.syns * 1e3},
                      {"established_kept", json_of(spread_of(kept))},
                      {"came_out_without_flood", json_of(spread_of(came_out))},
                      {"syns_admitted", admitted}});
  }
  return report;
}

}  // namespace

base::Result<nlohmann::ordered_json> measure_flood(const FloodOptions& options,
                                                   std::shared_ptr<const firewall::Policy> policy) {
  nlohmann::ordered_json report{{"bench", "flood"}, {"flows", options.flows}, {"rules", policy->rule_count()}};
  const auto connections = make_connections(policy->ruleset(), options.flows + kSources, options.seed);
  if (!connections) return std::unexpected(connections.error());
  const std::uint64_t capacity = options.flows + options.flows / 64;
  auto made = Rig::create({.flows_per_worker = static_cast<std::uint32_t>(capacity), .seed = options.seed},
                          std::move(policy), base::monotonic_ns());
  if (!made) return std::unexpected(std::move(made.error()));
  Rig& rig = **made;
  pin_to_processor(0);
  Drive opening(rig.worker(0), rig.endpoint(0), std::span(*connections).first(options.flows));
  opening.open_all(Drive::kInFlight);
  if (rig.live_flows() != options.flows) return base::fail("not all connections were established");
  Drive drive(rig.worker(0), rig.endpoint(0), *connections);
  Flood flood(rig, drive, options, options.flows);
  while (rig.live_flows() < capacity) flood.pass(true);

  std::vector<double> alone;
  std::vector<double> flooded;
  std::vector<double> mpps;
  std::vector<double> syn_ns;
  for (std::uint32_t repetition = 0; repetition < options.repetitions; ++repetition) {
    std::uint64_t alone_ns = 0;
    std::uint64_t flooded_ns = 0;
    std::uint64_t stretches = 0;
    while (static_cast<double>(flooded_ns) < options.seconds * 1e9) {
      alone_ns += flood.pass(false);
      flooded_ns += flood.pass(true);
      ++stretches;
    }
    const auto packets = static_cast<double>(stretches * flood.established());
    const auto syns = static_cast<double>(stretches * flood.syns());
    alone.push_back(packets * 1e3 / static_cast<double>(alone_ns));
    flooded.push_back(packets * 1e3 / static_cast<double>(flooded_ns));
    mpps.push_back((packets + syns) * 1e3 / static_cast<double>(flooded_ns));
    syn_ns.push_back((static_cast<double>(flooded_ns) - static_cast<double>(alone_ns)) / syns);
  }
  if (auto checked = flood.check_all(); !checked) return std::unexpected(std::move(checked.error()));
  auto offered = measure_offered(rig, *connections, options, spread_of(alone).median / 1e3);
  if (!offered) return std::unexpected(std::move(offered.error()));
  const std::uint64_t left = established_in(rig);
  if (left != options.flows) {
    return base::fail("of " + std::to_string(options.flows) + " established flows " + std::to_string(left) +
                      " are left");
  }
  const Spread rate = spread_of(mpps);
  report["share_of_established"] = options.share;
  report["mpps"] = rate.median;
  report["mpps_spread"] = json_of(rate);
  report["established_alone_mpps_spread"] = json_of(spread_of(alone));
  report["established_in_flood_mpps_spread"] = json_of(spread_of(flooded));
  report["established_rate_kept"] = spread_of(flooded).median / spread_of(alone).median;
  report["nanoseconds_per_syn"] = json_of(spread_of(syn_ns));
  report["load"] = options.load;
  report["offered"] = std::move(*offered);
  report["established_lost"] = 0;
  report["established_evicted"] = options.flows - left;
  report["refused_syns"] = rig.dropped();
  report["machine"] = machine_facts();
  if (const std::uint32_t missing = rig.missing_frames(); missing != 0) {
    return base::fail(std::to_string(missing) + " frames are in no pool");
  }
  return report;
}

}  // namespace ringplane::bench
