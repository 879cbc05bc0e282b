#include "control/show.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "base/mapped_memory.h"
#include "base/numa.h"
#include "base/result.h"
#include "control/config.h"
#include "control/data_plane.h"
#include "control/rates.h"
#include "control/show_lists.h"
#include "firewall/ruleset.h"
#include "flow/flow_table.h"
#include "frame/arena.h"
#include "port/port.h"
#include "worker/rule_counts.h"
#include "worker/rule_paths.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxLabels = 1'000;  // of which the metrics have figures

std::string mac_text(const port::MacAddress& mac) {
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                mac[5]);
  return text.data();
}

Json show_ports(DataPlane& plane) {
  Json list = Json::array();
  for (std::size_t i = 0; i < plane.ports().size(); ++i) {
    const PortConfig& config = plane.config().ports[i];
    Json port{{"port", config.name},
              {"interface", config.interface},
              {"link", port::name_of(plane.ports()[i]->link_state())}};
    std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0, no_frame = 0, too_long = 0, ring_full = 0;
    for (const auto& worker : plane.workers()) {
      const port::QueueCounters& counters = worker->queue(base::PortId{static_cast<std::uint8_t>(i)})->counters();
      rx_packets += counters.rx_packets.get();
      rx_bytes += counters.rx_bytes.get();
      tx_packets += counters.tx_packets.get();
      tx_bytes += counters.tx_bytes.get();
      no_frame += counters.rx_no_frame.get();
      too_long += counters.rx_too_long.get();
      ring_full += counters.tx_ring_full.get();
    }
    port["rx_packets"] = rx_packets;
    port["rx_bytes"] = rx_bytes;
    port["tx_packets"] = tx_packets;
    port["tx_bytes"] = tx_bytes;
    port["rx_no_frame"] = no_frame;
    port["rx_too_long"] = too_long;
    port["tx_ring_full"] = ring_full;
    port["mtu"] = plane.ports()[i]->mtu();
    port["mac"] = mac_text(plane.ports()[i]->mac());
    port["description"] = plane.ports()[i]->description();
    list.push_back(std::move(port));
  }
  return list;
}

Json show_drops(const DataPlane& plane) {
  Json list = Json::array();
  for (std::size_t reason = 1; reason < base::kDropReasonCount; ++reason) {
    std::uint64_t packets = 0;
    for (const auto& worker : plane.workers()) packets += worker->tables().counters.dropped[reason].get();
    list.push_back({{"reason", base::kDropReasonTexts[reason].name},
                    {"packets", packets},
                    {"meaning", base::kDropReasonTexts[reason].sentence}});
  }
  return list;
}

Json show_workers(const DataPlane& plane) {
  Json list = Json::array();
  for (const auto& worker : plane.workers()) {
    const worker::WorkerTables& tables = worker->tables();
    const worker::WorkerCounters& counters = tables.counters;
    list.push_back(
        {{"worker", tables.id.value},
         {"packets", counters.packets.get()},
         {"passed", counters.passed.get()},
         {"passed_bytes", counters.passed_bytes.get()},
         {"rejected", counters.rejected.get()},
         {"handed_over", counters.handed_over.get()},
         {"flows", tables.flows->size()},
         {"flows_limit", tables.flows->capacity()},
         {"flows_total", tables.flows->counters().inserted.get()},
         {"flows_evicted", tables.flows->counters().ended[static_cast<std::size_t>(flow::EndCause::kEvicted)].get()},
         {"rechecked", counters.rechecked.get()},
         {"recheck_ended", counters.recheck_ended.get()},
         {"overloaded", counters.overloaded.get()},
         {"overload_lost", counters.overload_lost.get()},
         {"log_lost", counters.log_lost.get()},
         {"flow_records_lost", counters.flow_records_lost.get()},
         {"turns", counters.turns.get()},
         {"busy_turns", counters.busy_turns.get()},
         {"sleeps", counters.sleeps.get()},
         {"busy_ns", counters.busy_ns.get()}});
  }
  return list;
}

Json show_memory(const DataPlane& plane) {
  Json list = Json::array();
  const auto add = [&](std::string what, std::uint64_t bytes, std::string_view pages,
                       std::span<const std::byte> where) {
    list.push_back({{"what", std::move(what)}, {"bytes", bytes}, {"pages", pages}, {"node", base::nodes_of(where)}});
  };
  const frame::Arena& arena = plane.arena();
  const auto shares = static_cast<std::uint32_t>(plane.workers().size());
  const std::uint64_t share = std::uint64_t{arena.frame_count() / shares} * arena.frame_bytes();
  for (std::size_t i = 0; i < plane.workers().size(); ++i) {
    const worker::WorkerTables& tables = plane.workers()[i]->tables();
    const std::string of = "worker " + std::to_string(i) + ": ";
    add(of + "frames", share, base::name_of(arena.pages()), std::as_bytes(std::span(arena.base() + i * share, share)));
    add(of + "flow table, " + std::to_string(tables.flows->capacity()) + " flows", tables.flows->memory_bytes(),
        base::name_of(tables.flows->pages()), tables.flows->memory());
    add(of + "rule counters", plane.paths(i).memory_bytes(), "plain pages", {});
    add(of + "sources", tables.sources->memory_bytes(), "plain pages", {});
    add(of + "table additions", tables.overlay->memory_bytes(), "plain pages", {});
  }
  return list;
}

/// What the control process adds its own to.
Json show_status(const DataPlane& plane) {
  return {{"generation", plane.snapshot().generation}, {"rules", plane.snapshot().policy->ruleset().rules.size()}};
}

/// Everything that is a number, for the metrics (metrics.h).
Json show_metrics(DataPlane& plane) {
  const firewall::Ruleset& ruleset = plane.snapshot().policy->ruleset();
  const std::vector<worker::RuleCounts> counts = plane.rule_counts();
  std::map<std::string, worker::RuleCounts> by_label;
  for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
    const std::string label(ruleset.label_of(ruleset.rules[i]));
    if (label.empty() || (by_label.size() == kMaxLabels && !by_label.contains(label))) continue;
    worker::RuleCounts& sum = by_label[label];
    sum.packets += counts[i].packets;
    sum.bytes += counts[i].bytes;
    sum.states += counts[i].states;
    sum.states_total += counts[i].states_total;
  }
  Json labels = Json::array();
  for (const auto& [label, sum] : by_label) {
    labels.push_back({{"label", label},
                      {"packets", sum.packets},
                      {"bytes", sum.bytes},
                      {"states", sum.states},
                      {"states_total", sum.states_total}});
  }
  return {{"ports", show_ports(plane)},
          {"drops", show_drops(plane)},
          {"workers", show_workers(plane)},
          {"memory", show_memory(plane)},
          {"labels", std::move(labels)},
          {"rules", ruleset.rules.size()},
          {"generation", plane.snapshot().generation}};
}

}  // namespace

base::Result<Question> Question::parse(const nlohmann::json& asked) {
  try {
    return Question{.what = asked.at("show"),
                    .limit = asked.value("limit", kUsualLimit),
                    .offset = asked.value("offset", 0U),
                    .search = asked.value("search", ""),
                    .sort = asked.value("sort", "")};
  } catch (const nlohmann::json::exception&) {
    return base::fail("this question makes no sense");
  }
}

base::Result<Json> show(DataPlane& plane, const Question& question, Rates& rates, std::uint64_t now_ns) {
  if (question.what == "ports") return show_ports(plane);
  if (question.what == "rules") return show_rules(plane, question, rates.rules, now_ns);
  if (question.what == "flows") return show_flows(plane, question, rates.flows, now_ns);
  if (question.what == "drops") return show_drops(plane);
  if (question.what == "workers") return show_workers(plane);
  if (question.what == "memory") return show_memory(plane);
  if (question.what == "status") return show_status(plane);
  if (question.what == "metrics") return show_metrics(plane);
  return base::fail("there is nothing named '" + question.what + "' to show");
}

}  // namespace ringplane::control
