#include "top/panes.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "top/rates.h"
#include "top/sample.h"
#include "top/text.h"

namespace ringplane::top {
namespace {

constexpr Side kRight = Side::kRight;

constexpr auto kPortColumns = std::to_array<Column>({
    {.title = "PORT", .least = 6, .most = 15},
    {.title = "LINK", .least = 4, .most = 4, .goes = 2},
    {.title = "RX PKT/S", .least = 8, .most = 8, .side = kRight},
    {.title = "RX BIT/S", .least = 8, .most = 8, .side = kRight},
    {.title = "TX PKT/S", .least = 8, .most = 8, .side = kRight},
    {.title = "TX BIT/S", .least = 8, .most = 8, .side = kRight},
    {.title = "LOST/S", .least = 6, .most = 6, .side = kRight, .goes = 1},
    {.title = "LOST", .least = 6, .most = 6, .side = kRight, .goes = 3},
    {.title = "NO FRAME", .least = 8, .most = 8, .side = kRight, .goes = 5},
    {.title = "INTERFACE", .least = 9, .most = 24, .goes = 4},
});

constexpr auto kFlowColumns = std::to_array<Column>({
    {.title = "PROTO", .least = 5, .most = 6},
    {.title = "SOURCE", .least = 21, .most = 47},
    {.title = "DESTINATION", .least = 21, .most = 47},
    {.title = "PKT/S", .least = 6, .most = 6, .side = kRight, .goes = 1, .order = "packet_rate"},
    {.title = "BIT/S", .least = 6, .most = 6, .side = kRight, .order = "rate"},
    {.title = "BYTES", .least = 6, .most = 6, .side = kRight, .goes = 2, .order = "bytes"},
    {.title = "PACKETS", .least = 8, .most = 8, .side = kRight, .goes = 4, .order = "packets"},
    {.title = "AGE", .least = 5, .most = 5, .side = kRight, .goes = 3, .order = "age"},
    {.title = "STATE", .least = 12, .most = 23, .goes = 6},
    {.title = "RULE", .least = 10, .most = 30, .goes = 5},
});

constexpr auto kRuleColumns = std::to_array<Column>({
    {.title = "RULE", .least = 6, .most = 6, .side = kRight},
    {.title = "PKT/S", .least = 6, .most = 6, .side = kRight, .goes = 2, .order = "packet_rate"},
    {.title = "BIT/S", .least = 6, .most = 6, .side = kRight, .order = "rate"},
    {.title = "PACKETS", .least = 8, .most = 8, .side = kRight, .goes = 4, .order = "packets"},
    {.title = "BYTES", .least = 6, .most = 6, .side = kRight, .goes = 3, .order = "bytes"},
    {.title = "STATES", .least = 7, .most = 7, .side = kRight, .goes = 1, .order = "states"},
    {.title = "LABEL", .least = 8, .most = 24, .goes = 5},
    {.title = "TEXT", .least = 18, .most = 200},
});

constexpr auto kDropColumns = std::to_array<Column>({
    {.title = "DROP REASON", .least = 14, .most = 30},
    {.title = "PKT/S", .least = 7, .most = 7, .side = kRight},
    {.title = "PACKETS", .least = 8, .most = 8, .side = kRight},
    {.title = "MEANING", .least = 16, .most = 200, .goes = 1},
});

constexpr auto kWorkerColumns = std::to_array<Column>({
    {.title = "WORKER", .least = 6, .most = 6, .side = kRight},
    {.title = "LOAD", .least = 5, .most = 5, .side = kRight},
    {.title = "PKT/S", .least = 7, .most = 7, .side = kRight},
    {.title = "FLOWS", .least = 7, .most = 7, .side = kRight},
    {.title = "OF", .least = 6, .most = 6, .side = kRight, .goes = 3},
    {.title = "NEW/S", .least = 6, .most = 6, .side = kRight, .goes = 1},
    {.title = "HANDED/S", .least = 8, .most = 8, .side = kRight, .goes = 2},
    {.title = "SLEEPS/S", .least = 8, .most = 8, .side = kRight, .goes = 4},
    {.title = "LOG LOST", .least = 8, .most = 8, .side = kRight, .goes = 5},
});

Cell word(std::string text) {
  return {.text = std::move(text)};
}

Cell figure(const PerSecond& value) {
  return {.text = amount_text(value), .value = value.value_or(-1)};
}

Cell count(std::uint64_t value) {
  return figure(static_cast<double>(value));
}

Cell name(std::uint64_t number) {
  return {.text = std::to_string(number), .value = static_cast<double>(number)};
}

Cell share(const PerSecond& value) {
  if (!value) return figure(value);
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%.0f %%", *value * 100);
  return {.text = text.data(), .value = value};
}

std::vector<Row> port_rows(const Model& model) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < model.ports.size(); ++i) {
    const Port& port = model.now.ports.list[i];
    const PortRates& rates = model.ports[i];
    rows.push_back({word(port.name), word(port.link), figure(rates.rx_packets), figure(rates.rx_bits),
                    figure(rates.tx_packets), figure(rates.tx_bits), figure(rates.lost), count(port.lost),
                    count(port.no_frame), word(port.interface)});
  }
  return rows;
}

std::vector<Row> flow_rows(const Model& model) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < model.flows.size(); ++i) {
    const Flow& flow = model.now.flows.list[i];
    rows.push_back({word(flow.proto), word(flow.source), word(flow.destination), figure(model.flows[i].packets),
                    figure(model.flows[i].bits), count(flow.bytes), count(flow.packets),
                    Cell{.text = age_text(flow.age_s), .value = static_cast<double>(flow.age_s)}, word(flow.state),
                    word(flow.label.empty() ? flow.rule : flow.label)});
  }
  return rows;
}

std::vector<Row> rule_rows(const Model& model) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < model.rules.size(); ++i) {
    const Rule& rule = model.now.rules.list[i];
    rows.push_back({name(rule.number), figure(model.rules[i].packets), figure(model.rules[i].bits), count(rule.packets),
                    count(rule.bytes), count(rule.states), word(rule.label), word(rule.text)});
  }
  return rows;
}

std::vector<Row> drop_rows(const Model& model) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < model.drops.size(); ++i) {
    const Drop& drop = model.now.drops.list[i];
    if (drop.packets == 0) continue;
    rows.push_back({word(drop.reason), figure(model.drops[i]), count(drop.packets), word(drop.meaning)});
  }
  return rows;
}

std::vector<Row> worker_rows(const Model& model) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < model.workers.size(); ++i) {
    const Worker& worker = model.now.workers.list[i];
    const WorkerRates& rates = model.workers[i];
    rows.push_back({name(worker.number), share(rates.load), figure(rates.packets), count(worker.flows),
                    count(worker.flows_limit), figure(rates.new_flows), figure(rates.handed_over), figure(rates.sleeps),
                    count(worker.log_lost)});
  }
  return rows;
}

std::vector<Row> all_rows(Pane pane, const Model& model) {
  switch (pane) {
    case Pane::kPorts: return port_rows(model);
    case Pane::kFlows: return flow_rows(model);
    case Pane::kRules: return rule_rows(model);
    case Pane::kDrops: return drop_rows(model);
    case Pane::kWorkers: return worker_rows(model);
  }
  return {};
}

bool is_searched_by_the_daemon(Pane pane) {
  return pane == Pane::kFlows || pane == Pane::kRules;
}

/// Numbers fall, texts rise.
bool comes_before(const Cell& a, const Cell& b) {
  if (a.value || b.value) return a.value.value_or(-1) > b.value.value_or(-1);
  return a.text < b.text;
}

}  // namespace

std::span<const Column> columns_of(Pane pane) {
  switch (pane) {
    case Pane::kPorts: return kPortColumns;
    case Pane::kFlows: return kFlowColumns;
    case Pane::kRules: return kRuleColumns;
    case Pane::kDrops: return kDropColumns;
    case Pane::kWorkers: return kWorkerColumns;
  }
  return {};
}

std::vector<std::size_t> sorts_of(Pane pane) {
  const std::span<const Column> columns = columns_of(pane);
  const auto place = [&](std::string_view title) {
    return static_cast<std::size_t>(std::ranges::find(columns, title, &Column::title) - columns.begin());
  };
  std::vector<std::size_t> sorts;
  if (pane == Pane::kPorts || pane == Pane::kWorkers) sorts.push_back(kAsListed);
  if (is_searched_by_the_daemon(pane)) sorts.push_back(place("BIT/S"));
  if (pane == Pane::kDrops) sorts.push_back(place("PKT/S"));
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const bool is_known = !is_searched_by_the_daemon(pane) || !columns[i].order.empty();
    if (is_known && std::ranges::find(sorts, i) == sorts.end()) sorts.push_back(i);
  }
  if (pane == Pane::kRules) sorts.push_back(kAsListed);
  return sorts;
}

std::string_view order_of(Pane pane, std::size_t column) {
  const std::span<const Column> columns = columns_of(pane);
  return column < columns.size() ? columns[column].order : std::string_view();
}

std::vector<Row> rows_of(Pane pane, const Model& model, const Sort& sort, std::string_view search) {
  std::vector<Row> rows = all_rows(pane, model);
  if (!search.empty() && !is_searched_by_the_daemon(pane)) {
    std::erase_if(rows, [&](const Row& row) {
      return std::ranges::none_of(row, [&](const Cell& cell) { return cell.text.find(search) != std::string::npos; });
    });
  }
  if (sort.column != kAsListed) {
    // What is equal stays as it was listed.
    std::vector<std::size_t> places(rows.size());
    std::iota(places.begin(), places.end(), std::size_t{0});
    std::ranges::sort(places, [&](std::size_t a, std::size_t b) {
      const Cell& of_a = rows[a][sort.column];
      const Cell& of_b = rows[b][sort.column];
      return comes_before(of_a, of_b) || (!comes_before(of_b, of_a) && a < b);
    });
    std::vector<Row> sorted;
    for (const std::size_t place : places) sorted.push_back(std::move(rows[place]));
    rows = std::move(sorted);
  }
  if (sort.reverse) std::ranges::reverse(rows);
  return rows;
}

}  // namespace ringplane::top
