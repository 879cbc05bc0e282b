#include "control/show_lists.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/result.h"
#include "control/data_plane.h"
#include "control/rates.h"
#include "control/show.h"
#include "firewall/ruleset.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "report/eve_log.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/rule_counts.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;

/// The places [0, count) that a page shows, in its order; `total` of them would be on all pages.
template <class Holds, class Amount>
std::vector<std::uint32_t> page_of(const Question& question, std::size_t count, Holds&& holds, Amount&& amount,
                                   std::size_t& total) {
  std::vector<std::uint32_t> places;
  for (std::uint32_t place = 0; place < count; ++place) {
    if (question.search.empty() || holds(place)) places.push_back(place);
  }
  total = places.size();
  const std::size_t first = std::min<std::size_t>(question.offset, total);
  const std::size_t end = std::min<std::size_t>(total, first + question.limit);
  if (!question.sort.empty()) {
    std::ranges::partial_sort(places, places.begin() + static_cast<std::ptrdiff_t>(end),
                              [&](std::uint32_t a, std::uint32_t b) {
                                const std::uint64_t of_a = amount(a);
                                const std::uint64_t of_b = amount(b);
                                return of_a != of_b ? of_a > of_b : a < b;
                              });
  }
  return {places.begin() + static_cast<std::ptrdiff_t>(first), places.begin() + static_cast<std::ptrdiff_t>(end)};
}

base::Error no_such_order(const Question& question, std::string_view known) {
  return {.message =
              "'" + question.what + "' cannot be sorted by '" + question.sort + "': known are " + std::string(known)};
}

bool is_by_rate(const Question& question) {
  return question.sort == "rate" || question.sort == "packet_rate";
}

std::uint64_t amount_of(const Rate& rate, const Question& question) {
  return question.sort == "rate" ? rate.bytes_per_s : rate.packets_per_s;
}

Json with_rate(Json line, const Rate& rate) {
  line["packets_per_s"] = rate.packets_per_s;
  line["bytes_per_s"] = rate.bytes_per_s;
  return line;
}

Json rule_json(const firewall::Ruleset& ruleset, std::uint32_t place, const worker::RuleCounts& counts) {
  const firewall::Rule& rule = ruleset.rules[place];
  return {{"rule", place},
          {"packets", counts.packets},
          {"bytes", counts.bytes},
          {"states", counts.states},
          {"states_total", counts.states_total},
          {"place", ruleset.place_of(rule)},
          {"label", ruleset.label_of(rule)},
          {"text", firewall::text_of(ruleset, rule)}};
}

/// "10.0.0.5:40000" or "[2001:db8::5]:40000"; without a port just the address.
std::string endpoint(const wire::FlowKey& key, std::size_t index) {
  std::string address = wire::to_string(key.family, key.address[index]);
  if (key.protocol != wire::protocol::kTcp && key.protocol != wire::protocol::kUdp) return address;
  const std::string port = ":" + std::to_string(key.port[index]);
  return key.family == wire::Family::kIpv6 ? "[" + address + "]" + port : address + port;
}

std::string state_text(const flow::FlowDetails& flow) {
  return std::string(flow::state_name(flow.key.protocol, flow.state[0])) + ":" +
         std::string(flow::state_name(flow.key.protocol, flow.state[1]));
}

Json flow_json(const firewall::Ruleset& ruleset, const DataPlane::ListedFlow& listed) {
  const flow::FlowDetails& flow = listed.details;
  const std::size_t from = flow.original_upper ? 1 : 0;
  return {{"proto", report::protocol_name(flow.key.protocol)},
          {"source", endpoint(flow.key, from)},
          {"destination", endpoint(flow.key, 1 - from)},
          {"state", state_text(flow)},
          {"packets_out", flow.packets[0]},
          {"packets_back", flow.packets[1]},
          {"bytes_out", flow.bytes[0]},
          {"bytes_back", flow.bytes[1]},
          {"age_s", flow.age_ns / base::kNanosPerSecond},
          {"idle_s", flow.idle_ns / base::kNanosPerSecond},
          {"expires_s", flow.expires_in_ns / base::kNanosPerSecond},
          {"rule", listed.rule.valid() ? ruleset.place_of(ruleset.rule(listed.rule)) : ""},
          {"label", listed.rule.valid() ? ruleset.label_of(ruleset.rule(listed.rule)) : ""}};
}

/// Whether one of the texts of the flow's line does; without making the line, since a search asks it of many.
bool flow_holds(const firewall::Ruleset& ruleset, const DataPlane::ListedFlow& listed, const std::string& search) {
  const flow::FlowDetails& flow = listed.details;
  const auto holds = [&](std::string_view text) { return text.find(search) != std::string_view::npos; };
  if (holds(endpoint(flow.key, 0)) || holds(endpoint(flow.key, 1)) || holds(report::protocol_name(flow.key.protocol)) ||
      holds(state_text(flow)))
    return true;
  if (!listed.rule.valid()) return false;
  const firewall::Rule& rule = ruleset.rule(listed.rule);
  return holds(ruleset.place_of(rule)) || holds(ruleset.label_of(rule));
}

std::size_t live_flows(const DataPlane& plane) {
  std::size_t count = 0;
  for (const auto& worker : plane.workers()) count += worker->tables().flows->size();
  return count;
}

Json show_busy_flows(DataPlane& plane, const Question& question, FlowRates& rates, std::uint64_t now_ns) {
  rates.look(plane, now_ns);
  const firewall::Ruleset& ruleset = plane.snapshot().policy->ruleset();
  const std::vector<FlowRates::Rated>& rated = rates.rated();
  const auto holds = [&](std::uint32_t place) { return flow_holds(ruleset, rated[place].flow, question.search); };
  const auto amount = [&](std::uint32_t place) { return amount_of(rated[place].rate, question); };
  std::size_t total = 0;
  Json list = Json::array();
  for (const std::uint32_t place : page_of(question, rated.size(), holds, amount, total))
    list.push_back(with_rate(flow_json(ruleset, rated[place].flow), rated[place].rate));
  if (question.search.empty()) total = live_flows(plane);
  return Json{{"total", total}, {"compared", rated.size()}, {"flows", std::move(list)}};
}

}  // namespace

base::Result<Json> show_rules(const DataPlane& plane, const Question& question, RuleRates& rates,
                              std::uint64_t now_ns) {
  constexpr std::array<std::pair<std::string_view, std::uint64_t worker::RuleCounts::*>, 4> kOrders = {
      {{"packets", &worker::RuleCounts::packets},
       {"bytes", &worker::RuleCounts::bytes},
       {"states", &worker::RuleCounts::states},
       {"states_total", &worker::RuleCounts::states_total}}};
  const auto* const order = std::ranges::find(kOrders, question.sort, [](const auto& each) { return each.first; });
  const bool by_rate = is_by_rate(question);
  if (!question.sort.empty() && order == kOrders.end() && !by_rate)
    return std::unexpected(no_such_order(question, "packets, bytes, states, states_total, rate, packet_rate"));
  const firewall::Ruleset& ruleset = plane.snapshot().policy->ruleset();
  const std::vector<worker::RuleCounts> counts = plane.rule_counts();
  if (by_rate) rates.take(counts, plane.snapshot().generation, now_ns);
  const auto holds = [&](std::uint32_t place) {
    const firewall::Rule& rule = ruleset.rules[place];
    return firewall::text_of(ruleset, rule).find(question.search) != std::string::npos ||
           ruleset.label_of(rule).find(question.search) != std::string::npos ||
           ruleset.place_of(rule).find(question.search) != std::string::npos;
  };
  const auto amount = [&](std::uint32_t place) {
    return by_rate ? amount_of(rates.rates()[place], question) : counts[place].*order->second;
  };
  std::size_t total = 0;
  Json list = Json::array();
  for (const std::uint32_t place : page_of(question, ruleset.rules.size(), holds, amount, total)) {
    Json line = rule_json(ruleset, place, counts[place]);
    list.push_back(by_rate ? with_rate(std::move(line), rates.rates()[place]) : std::move(line));
  }
  return Json{{"total", total}, {"rules", std::move(list)}};
}

/// Of a table with more than kMaxListed flows a search and an order know a part only.
base::Result<Json> show_flows(DataPlane& plane, const Question& question, FlowRates& rates, std::uint64_t now_ns) {
  if (is_by_rate(question)) return show_busy_flows(plane, question, rates, now_ns);
  const bool by_packets = question.sort == "packets";
  const bool by_age = question.sort == "age";
  if (!question.sort.empty() && !by_packets && !by_age && question.sort != "bytes")
    return std::unexpected(no_such_order(question, "packets, bytes, age, rate, packet_rate"));
  const firewall::Ruleset& ruleset = plane.snapshot().policy->ruleset();
  const bool needs_all = !question.search.empty() || !question.sort.empty();
  const std::uint32_t wanted = needs_all ? kMaxListed : std::min(kMaxListed, question.limit + question.offset);
  const std::vector<DataPlane::ListedFlow> flows = plane.dump_flows(wanted);
  const auto holds = [&](std::uint32_t place) { return flow_holds(ruleset, flows[place], question.search); };
  const auto amount = [&](std::uint32_t place) {
    const flow::FlowDetails& flow = flows[place].details;
    return by_age ? flow.age_ns : by_packets ? flow.packets[0] + flow.packets[1] : flow.bytes[0] + flow.bytes[1];
  };
  std::size_t total = 0;
  Json list = Json::array();
  for (const std::uint32_t place : page_of(question, flows.size(), holds, amount, total))
    list.push_back(flow_json(ruleset, flows[place]));
  if (question.search.empty()) total = live_flows(plane);
  return Json{{"total", total}, {"flows", std::move(list)}};
}

}  // namespace ringplane::control
