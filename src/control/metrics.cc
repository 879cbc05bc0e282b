#include "control/metrics.h"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/clock.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;
using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class MetricsWriter {
 public:
  void begin(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " + std::string(type) + "\n";
  }
  void value(const Json& number, Labels labels = {}) {
    text_ += name_;
    char before = '{';
    for (const auto& [name, value] : labels) {
      text_ += before + std::string(name) + "=\"" + escaped(value) + "\"";
      before = ',';
    }
    text_ += (labels.size() > 0 ? "} " : " ") + number.dump() + "\n";
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  static std::string escaped(std::string_view value) {
    std::string out;
    for (const char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      out += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    return out;
  }
  std::string name_;
  std::string text_;
};

struct Metric {
  std::string_view name;
  std::string_view key;  ///< of the answer's objects
  std::string_view type;
  std::string_view help;
};

constexpr Metric kPortMetrics[] = {
    {"ringplane_port_receive_packets_total", "rx_packets", "counter", "Packets taken from the receive rings."},
    {"ringplane_port_receive_bytes_total", "rx_bytes", "counter", "Bytes of these, with Ethernet headers."},
    {"ringplane_port_transmit_packets_total", "tx_packets", "counter", "Packets given to the transmit rings."},
    {"ringplane_port_transmit_bytes_total", "tx_bytes", "counter", "Bytes of these, with Ethernet headers."},
    {"ringplane_port_receive_no_frame_total", "rx_no_frame", "counter",
     "Turns in which a receive ring could not be refilled."},
    {"ringplane_port_receive_too_long_total", "rx_too_long", "counter",
     "Packets dropped since they came in more than one frame."},
    {"ringplane_port_transmit_ring_full_total", "tx_ring_full", "counter",
     "Packets that a transmit ring did not take."},
};

constexpr Metric kWorkerMetrics[] = {
    {"ringplane_worker_packets_total", "packets", "counter", "Packets that went through the pipeline."},
    {"ringplane_worker_passed_packets_total", "passed", "counter", "Packets let through."},
    {"ringplane_worker_passed_bytes_total", "passed_bytes", "counter", "IP bytes let through."},
    {"ringplane_worker_rejected_packets_total", "rejected", "counter", "Packets dropped and answered."},
    {"ringplane_worker_handed_over_packets_total", "handed_over", "counter", "Packets given to another worker."},
    {"ringplane_worker_flows", "flows", "gauge", "Live flows."},
    {"ringplane_worker_flows_limit", "flows_limit", "gauge", "Flows that there is room for."},
    {"ringplane_worker_flows_made_total", "flows_total", "counter", "Flows ever made."},
    {"ringplane_worker_flows_evicted_total", "flows_evicted", "counter", "Flows that made room for others."},
    {"ringplane_worker_log_lost_total", "log_lost", "counter", "Log records dropped since their ring was full."},
    {"ringplane_worker_flow_records_lost_total", "flow_records_lost", "counter",
     "Records of ended flows dropped since their ring was full."},
    {"ringplane_worker_turns_total", "turns", "counter", "Turns of the worker's loop."},
    {"ringplane_worker_busy_turns_total", "busy_turns", "counter", "Turns in which there were packets."},
    {"ringplane_worker_busy_seconds_total", "busy_ns", "counter", "Time in turns with anything to do."},
    {"ringplane_worker_sleeps_total", "sleeps", "counter", "Times that the worker slept until a packet came."},
};

constexpr Metric kLabelMetrics[] = {
    {"ringplane_rule_packets_total", "packets", "counter", "Packets that rules with this label decided."},
    {"ringplane_rule_bytes_total", "bytes", "counter", "IP bytes of these."},
    {"ringplane_rule_states", "states", "gauge", "Live flows of rules with this label."},
    {"ringplane_rule_states_made_total", "states_total", "counter", "Flows ever made by rules with this label."},
};

void write_ports(MetricsWriter& out, const Json& ports) {
  out.begin("ringplane_port_up", "gauge", "1 while the link is up.");
  for (const Json& port : ports) {
    out.value(port["link"] == "up" ? 1 : 0,
              {{"port", port["port"].get<std::string>()}, {"interface", port["interface"].get<std::string>()}});
  }
  for (const Metric& metric : kPortMetrics) {
    out.begin(metric.name, metric.type, metric.help);
    for (const Json& port : ports) {
      out.value(port[metric.key],
                {{"port", port["port"].get<std::string>()}, {"interface", port["interface"].get<std::string>()}});
    }
  }
}

}  // namespace

std::string metrics_text(const Json& facts) {
  MetricsWriter out;
  out.begin("ringplane_info", "gauge", "1, with the version of the control process.");
  out.value(1, {{"version", RINGPLANE_VERSION}});
  out.begin("ringplane_up", "gauge", "1 while a data process lives.");
  out.value(facts.is_object() ? 1 : 0);
  if (!facts.is_object()) return out.take();
  write_ports(out, facts["ports"]);
  out.begin("ringplane_dropped_packets_total", "counter",
            "Packets dropped, by reason (docs/reference/drop-reasons.md).");
  for (const Json& drop : facts["drops"]) out.value(drop["packets"], {{"reason", drop["reason"].get<std::string>()}});
  for (const Metric& metric : kWorkerMetrics) {
    out.begin(metric.name, metric.type, metric.help);
    const bool is_time = metric.key.ends_with("_ns");
    for (const Json& worker : facts["workers"]) {
      const Json& value = worker[metric.key];
      out.value(is_time ? Json(value.get<double>() / static_cast<double>(base::kNanosPerSecond)) : value,
                {{"worker", worker["worker"].dump()}});
    }
  }
  for (const Metric& metric : kLabelMetrics) {
    out.begin(metric.name, metric.type, metric.help);
    for (const Json& label : facts["labels"])
      out.value(label[metric.key], {{"label", label["label"].get<std::string>()}});
  }
  std::uint64_t bytes = 0;
  for (const Json& part : facts["memory"]) bytes += part["bytes"].get<std::uint64_t>();
  out.begin("ringplane_memory_bytes", "gauge", "Memory of frames, flow tables and counters.");
  out.value(bytes);
  out.begin("ringplane_rules", "gauge", "Rules of the running ruleset.");
  out.value(facts["rules"]);
  return out.take();
}

}  // namespace ringplane::control
