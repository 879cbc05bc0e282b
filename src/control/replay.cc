#include "control/replay.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/pcap/pcap_port.h"
#include "report/eve_log.h"
#include "wire/flow_key.h"
#include "wire/packet.h"
#include "worker/flow_admission.h"
#include "worker/forwarding.h"
#include "worker/mailbox.h"
#include "worker/packet_burst.h"
#include "worker/pipeline.h"
#include "worker/rule_paths.h"
#include "worker/snapshot.h"
#include "worker/worker.h"
#include "worker/worker_tables.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t kFrames = 2048;
constexpr std::uint32_t kFrameBytes = 4096;
constexpr std::size_t kSides = 2;
/// A repeatable run: the same captures and rules give the same output.
constexpr std::uint64_t kSeed = 1;

std::string time_text(std::uint64_t time_ns) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%llu.%09llu",
                static_cast<unsigned long long>(time_ns / base::kNanosPerSecond),
                static_cast<unsigned long long>(time_ns % base::kNanosPerSecond));
  return text.data();
}

/// Writes one line per decided packet.
class PacketLines final : public worker::BurstObserver {
 public:
  PacketLines(const std::array<std::string, kSides>& names, const ReplaySink& sink) : names_(names), sink_(sink) {}

  /// The next packet received on `side` has this number in its capture.
  void expect(std::size_t side, std::uint64_t number) { next_number_[side] = number; }

  void on_decided(const worker::PacketBurst& burst, const worker::WorkerTables& tables) override {
    for (std::uint32_t slot = 0; slot < burst.frames.size(); ++slot) {
      const std::size_t side = burst.frames[slot].port.value;
      sink_(line(burst, slot, next_number_[side]++, tables));
    }
  }

  [[nodiscard]] std::uint64_t oversized_count() const noexcept { return oversized_count_; }
  void oversized(std::size_t side, const port::OversizedPacket& packet) {
    ++oversized_count_;
    sink_({{"number", packet.number},
           {"port", names_[side]},
           {"time", time_text(packet.time_ns)},
           {"length", packet.length},
           {"verdict", "drop"},
           {"rule", nullptr},
           {"label", nullptr},
           {"drop_reason", base::name_of(base::DropReason::frame_too_long)},
           {"flow", nullptr}});
  }

 private:
  [[nodiscard]] Json line(const worker::PacketBurst& burst, std::uint32_t slot, std::uint64_t number,
                          const worker::WorkerTables& tables) const {
    const worker::Outcome& outcome = burst.outcomes[slot];
    const firewall::Ruleset& ruleset = tables.policy().ruleset();
    Json line{{"number", number},
              {"port", names_[burst.frames[slot].port.value]},
              {"time", time_text(burst.now_ns)},
              {"length", burst.frames[slot].length},
              {"verdict", worker::name_of(outcome.verdict)},
              {"rule", nullptr},
              {"label", nullptr},
              {"drop_reason", nullptr},
              {"flow", nullptr}};
    if (const base::RuleId id = worker::rule_of(outcome, tables); id.valid()) {
      const firewall::Rule& rule = ruleset.rule(id);
      line["rule"] = ruleset.place_of(rule);
      if (const std::string_view label = ruleset.label_of(rule); !label.empty()) line["label"] = label;
    }
    if (outcome.reason != base::DropReason::none) line["drop_reason"] = base::name_of(outcome.reason);
    const base::FlowId id = burst.flows[slot];
    if (id.valid() && tables.flows->at(id).has(flow::flow_flag::kLive))
      line["flow"] = flow_of(burst.packets[slot], id, burst.now_ns, tables);
    return line;
  }

  static Json flow_of(const wire::Packet& packet, base::FlowId id, std::uint64_t now_ns,
                      const worker::WorkerTables& tables) {
    const flow::Flow& flow = tables.flows->at(id);
    const flow::FlowDetails details = tables.flows->details(id, now_ns);
    const std::size_t from = details.original_upper ? 1 : 0;
    const wire::FlowKey& key = details.key;
    return {
        {"community_id", report::community_id(key.family, key.protocol, key.address[from], key.address[1 - from],
                                              key.port[from], key.port[1 - from], packet.icmp_type, packet.icmp_code)},
        {"direction", flow.direction_of(packet) == wire::Direction::kOriginal ? "original" : "reply"},
        {"state", std::string(flow::state_name(flow, wire::Direction::kOriginal)) + ":" +
                      std::string(flow::state_name(flow, wire::Direction::kReply))},
        {"packets", details.packets[0] + details.packets[1]}};
  }

  const std::array<std::string, kSides>& names_;
  const ReplaySink& sink_;
  std::array<std::uint64_t, kSides> next_number_{};
  std::uint64_t oversized_count_ = 0;
};

base::Result<std::array<std::string, kSides>> side_names(const ReplayOptions& options) {
  if (options.inputs.empty() || options.inputs.size() > kSides) {
    return base::fail("a replay joins two ports: give --in once or twice");
  }
  const std::string& first = options.inputs[0].port;
  std::string second = options.peer.empty() ? (first == "wan" ? "lan" : "wan") : options.peer;
  if (options.inputs.size() == kSides) second = options.inputs[1].port;
  if (first == second) return base::fail("a replay joins two different ports, not '" + first + "' with itself");
  return std::array<std::string, kSides>{first, second};
}

struct Sides {
  std::array<std::string, kSides> names;
  std::array<std::unique_ptr<port::PcapPort>, kSides> ports;

  /// Which port has the next packet, and when.
  [[nodiscard]] std::optional<std::uint64_t> next_time_ns() const {
    std::optional<std::uint64_t> next;
    for (const auto& port : ports) {
      const auto time_ns = port->next_time_ns();
      if (time_ns && (!next || *time_ns < *next)) next = time_ns;
    }
    return next;
  }
};

base::Result<Sides> open_sides(const ReplayOptions& options, std::array<std::string, kSides> names,
                               const frame::Arena& arena) {
  Sides sides{.names = std::move(names), .ports = {}};
  if (!options.out_dir.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.out_dir, error);
    if (error) return base::fail("cannot make the folder " + options.out_dir + " (" + error.message() + ")");
  }
  for (std::size_t i = 0; i < kSides; ++i) {
    port::PcapOptions pcap{.id = base::PortId{static_cast<std::uint8_t>(i)}, .mtu = 9000};
    if (i < options.inputs.size()) pcap.read_path = options.inputs[i].path;
    if (!options.out_dir.empty())
      pcap.write_path = (std::filesystem::path(options.out_dir) / (sides.names[i] + ".pcap")).string();
    auto opened = port::PcapPort::create(arena, pcap);
    if (!opened) return std::unexpected(std::move(opened.error()));
    sides.ports[i] = std::move(*opened);
  }
  return sides;
}

base::Result<std::shared_ptr<const firewall::Policy>> read_rules(const std::string& path,
                                                                 const std::array<std::string, kSides>& names) {
  firewall::Environment environment;
  for (std::size_t i = 0; i < kSides; ++i) {
    environment.ports.push_back(
        {.name = names[i], .id = base::PortId{static_cast<std::uint8_t>(i)}, .addresses = {}, .groups = {}});
  }
  return firewall::Policy::create(firewall::parse_file(path, environment));
}

/// Runs the worker through the captures.
void play(Sides& sides, worker::Worker& worker, PacketLines& lines, std::uint64_t start_ns) {
  const auto tell_oversized = [&] {
    for (std::size_t i = 0; i < kSides; ++i) {
      for (const port::OversizedPacket& packet : sides.ports[i]->take_oversized()) lines.oversized(i, packet);
    }
  };
  tell_oversized();  // those before the first packet that fits; the others follow the packet before them
  std::uint64_t now_ns = start_ns;
  while (const auto next = sides.next_time_ns()) {
    now_ns = std::max(now_ns, *next);  // a capture may run backwards; the worker's clock never does
    // Flows whose time has come in the gap end before the packet is looked at.
    while (worker.run_once(now_ns)) {
    }
    for (std::size_t i = 0; i < kSides; ++i) {
      if (const auto number = sides.ports[i]->next_number()) lines.expect(i, *number);
      sides.ports[i]->set_now(now_ns);
    }
    worker.run_once(now_ns);
    tell_oversized();
  }
  worker.run_once(now_ns);
}

ReplaySummary summarize(const Sides& sides, const worker::WorkerTables& tables, std::uint64_t oversized) {
  ReplaySummary summary{.packets = tables.counters.packets.get() + oversized,
                        .rejected = tables.counters.rejected.get(),
                        .flows_total = tables.flows->counters().inserted.get(),
                        .flows_live = tables.flows->size(),
                        .warnings = {}};
  summary.dropped = oversized;
  for (const base::Counter& counter : tables.counters.dropped) summary.dropped += counter.get();
  summary.passed = summary.packets - summary.dropped;
  for (const auto& port : sides.ports) {
    summary.cut += port->cut_packets();
    if (const std::string error = port->error(); !error.empty()) summary.warnings.push_back(error);
  }
  return summary;
}

}  // namespace

base::Result<ReplaySummary> replay(const ReplayOptions& options, const ReplaySink& sink) {
  auto names = side_names(options);
  if (!names) return std::unexpected(std::move(names.error()));
  auto policy = read_rules(options.rules_path, *names);
  if (!policy) return std::unexpected(std::move(policy.error()));
  auto arena = frame::Arena::create({.frame_count = kFrames, .frame_bytes = kFrameBytes, .huge_pages = false});
  if (!arena) return std::unexpected(std::move(arena.error()));
  auto sides = open_sides(options, *names, *arena);
  if (!sides) return std::unexpected(std::move(sides.error()));

  worker::Forwarding forwarding;
  forwarding.add_bridge(base::PortId{0}, base::PortId{1}, 1, worker::NonIp::kPass);
  for (std::uint8_t i = 0; i < kSides; ++i) forwarding.set_mtu(base::PortId{i}, sides->ports[i]->mtu());
  const std::uint32_t capacity =
      (*policy)->options().limits.states_set ? (*policy)->options().limits.states : options.flow_capacity;
  auto snapshot = worker::make_snapshot(1, *policy, forwarding, capacity, 1);
  if (!snapshot) return std::unexpected(std::move(snapshot.error()));
  worker::RulePaths paths(static_cast<std::uint32_t>((*policy)->rule_count()));
  worker::SnapshotChange first{.snapshot = snapshot->get(), .paths = &paths, .additions = {}};

  frame::FramePool pool(*arena, 0, kFrames);
  std::vector<std::unique_ptr<worker::Mailbox>> mailboxes;
  mailboxes.push_back(std::make_unique<worker::Mailbox>(1, 64));
  const std::uint64_t start_ns = sides->next_time_ns().value_or(0);
  auto worker = worker::Worker::create({.secret = base::secret_from_seed(kSeed),
                                        .seed = kSeed,
                                        .flow_capacity = capacity,
                                        .log_per_second = 0,
                                        .replies_per_second = 1'000'000,
                                        .huge_pages = false},
                                       *arena, pool, kFrames, mailboxes, first, start_ns);
  if (!worker) return std::unexpected(std::move(worker.error()));
  for (std::uint8_t i = 0; i < kSides; ++i) {
    auto queue = sides->ports[i]->open_queue(0, pool);
    if (!queue) return std::unexpected(std::move(queue.error()));
    (*worker)->attach(base::PortId{i}, std::move(*queue));
  }
  PacketLines lines(sides->names, sink);
  (*worker)->set_observer(&lines);
  play(*sides, **worker, lines, start_ns);
  (*worker)->close({&pool});
  return summarize(*sides, (*worker)->tables(), lines.oversized_count());
}

}  // namespace ringplane::control
