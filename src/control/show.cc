#include "control/show.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/ids.h"
#include "base/mapped_memory.h"
#include "base/numa.h"
#include "control/config.h"
#include "control/data_plane.h"
#include "control/eve_log.h"
#include "firewall/ruleset.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "frame/arena.h"
#include "port/port.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/rule_counts.h"
#include "worker/rule_paths.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;

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

Json show_rules(const DataPlane& plane) {
  const firewall::Ruleset& ruleset = plane.snapshot().policy->ruleset();
  const std::vector<worker::RuleCounts> counts = plane.rule_counts();
  Json list = Json::array();
  for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
    const firewall::Rule& rule = ruleset.rules[i];
    list.push_back({{"rule", i},
                    {"packets", counts[i].packets},
                    {"bytes", counts[i].bytes},
                    {"states", counts[i].states},
                    {"states_total", counts[i].states_total},
                    {"place", ruleset.place_of(rule)},
                    {"label", ruleset.label_of(rule)},
                    {"text", firewall::text_of(ruleset, rule)}});
  }
  return list;
}

/// "10.0.0.5:40000" or "[2001:db8::5]:40000"; without a port just the address.
std::string endpoint(const wire::FlowKey& key, std::size_t index, bool has_port) {
  std::string address = wire::to_string(key.family, key.address[index]);
  if (!has_port) return address;
  const std::string port = ":" + std::to_string(key.port[index]);
  return key.family == wire::Family::kIpv6 ? "[" + address + "]" + port : address + port;
}

std::string state_text(const flow::FlowDetails& flow) {
  return std::string(flow::state_name(flow.key.protocol, flow.state[0])) + ":" +
         std::string(flow::state_name(flow.key.protocol, flow.state[1]));
}

Json show_flows(DataPlane& plane, std::uint32_t limit) {
  Json list = Json::array();
  const firewall::Ruleset& ruleset = plane.snapshot().policy->ruleset();
  for (const auto& [flow, rule] : plane.dump_flows(std::min(limit, kMaxListedFlows))) {
    if (list.size() == limit) break;
    const bool has_port = flow.key.protocol == wire::protocol::kTcp || flow.key.protocol == wire::protocol::kUdp;
    const std::size_t from = flow.original_upper ? 1 : 0;
    Json each{{"proto", protocol_name(flow.key.protocol)},
              {"source", endpoint(flow.key, from, has_port)},
              {"destination", endpoint(flow.key, 1 - from, has_port)},
              {"state", state_text(flow)},
              {"packets_out", flow.packets[0]},
              {"packets_back", flow.packets[1]},
              {"bytes_out", flow.bytes[0]},
              {"bytes_back", flow.bytes[1]},
              {"age_s", flow.age_ns / base::kNanosPerSecond},
              {"idle_s", flow.idle_ns / base::kNanosPerSecond},
              {"expires_s", flow.expires_in_ns / base::kNanosPerSecond}};
    each["rule"] = rule.valid() ? ruleset.place_of(ruleset.rule(rule)) : "";
    each["label"] = rule.valid() ? ruleset.label_of(ruleset.rule(rule)) : "";
    list.push_back(std::move(each));
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
         {"turns", counters.turns.get()},
         {"busy_turns", counters.busy_turns.get()},
         {"sleeps", counters.sleeps.get()}});
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

}  // namespace

Json show(DataPlane& plane, std::string_view what, std::uint32_t limit) {
  if (what == "ports") return show_ports(plane);
  if (what == "rules") return show_rules(plane);
  if (what == "flows") return show_flows(plane, limit);
  if (what == "drops") return show_drops(plane);
  if (what == "workers") return show_workers(plane);
  if (what == "memory") return show_memory(plane);
  return nullptr;
}

}  // namespace ringplane::control
