#include "report/trace_line.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/names.h"
#include "firewall/ruleset.h"
#include "flow/flow.h"
#include "report/eve_log.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/packet_burst.h"
#include "worker/packet_tap.h"

namespace ringplane::report {
namespace {

using Json = nlohmann::ordered_json;

std::string rule_text(const TracedPacket& packet, base::RuleId rule) {
  if (!rule.valid()) return "no rule";
  if (packet.ruleset == nullptr) return "a rule that is no longer there";
  const firewall::Rule& found = packet.ruleset->rule(rule);
  const std::string_view label = packet.ruleset->label_of(found);
  return packet.ruleset->place_of(found) + (label.empty() ? "" : " '" + std::string(label) + "'");
}

std::string port_text(const TracedPacket& packet, base::PortId port) {
  return port.valid() && port.value < packet.ports.size() ? packet.ports[port.value].name : "nowhere";
}

/// "tcp 10.0.0.5:40000 > 192.0.2.10:443 S"
std::string headers_text(const worker::TapRecord& record) {
  if (record.family == wire::Family::kNone) return fmt::format("no IP, EtherType 0x{:04x}", record.ether_type);
  const bool has_ports = (record.protocol == wire::protocol::kTcp || record.protocol == wire::protocol::kUdp) &&
                         record.kind != wire::PacketKind::kFragment;
  const auto end = [&](const wire::IpAddress& address, std::uint16_t port) {
    std::string text = wire::to_string(record.family, address);
    if (!has_ports) return text;
    return (record.family == wire::Family::kIpv6 ? "[" + text + "]" : text) + ":" + std::to_string(port);
  };
  std::string text = protocol_name(record.protocol) + " " + end(record.source, record.source_port) + " > " +
                     end(record.destination, record.destination_port);
  if (record.kind == wire::PacketKind::kFragment) return text + " later fragment";
  if (record.protocol == wire::protocol::kTcp) text += " " + firewall::tcp_flag_letters(record.tcp_flags);
  if (record.protocol == wire::protocol::kIcmp || record.protocol == wire::protocol::kIcmp6)
    text += fmt::format(" type {} code {}", record.icmp_type, record.icmp_code);
  return text;
}

std::string track_text(const worker::TapRecord& record) {
  if (!record.has_flow) return "belongs to no flow";
  return fmt::format("{} of a flow, {}:{}, its packet number {}", record.is_reply ? "reply" : "original",
                     flow::state_name(record.protocol, record.state[0]),
                     flow::state_name(record.protocol, record.state[1]), record.flow_packets);
}

std::string rules_text(const TracedPacket& packet) {
  const worker::TapRecord& record = packet.record;
  if (!record.rule_in.valid() && !record.rule_out.valid())
    return record.verdict == worker::Verdict::kPass || record.reason == base::DropReason::none ? "no rule matched"
                                                                                               : "not asked";
  const std::string_view when = record.asked_rules ? "asked" : "not asked: its flow was let in";
  return fmt::format("{}; in {}, out {}", when, rule_text(packet, record.rule_in), rule_text(packet, record.rule_out));
}

}  // namespace

std::string verdict_text(const TracedPacket& packet) {
  const worker::TapRecord& record = packet.record;
  std::string text(worker::name_of(record.verdict));
  if (record.rule.valid()) text += " by " + rule_text(packet, record.rule);
  if (record.reason != base::DropReason::none) text += " (" + std::string(base::name_of(record.reason)) + ")";
  return text;
}

std::string trace_line(const TracedPacket& packet) {
  const worker::TapRecord& record = packet.record;
  const bool is_read = record.family != wire::Family::kNone || record.ether_type != 0;
  Json stages = Json::object();
  stages["decode"] = is_read ? headers_text(record) : "cannot be read";
  if (record.family != wire::Family::kNone) {
    stages["track"] = track_text(record);
    stages["admit"] = rules_text(packet);
  }
  stages["forward"] = record.verdict == worker::Verdict::kPass ? "to " + port_text(packet, record.egress)
                      : record.verdict == worker::Verdict::kReject
                          ? "answered, back to " + port_text(packet, record.ingress)
                          : "dropped";
  const Json line{{"timestamp", timestamp_text(packet.wall_ns)},
                  {"port", port_text(packet, record.ingress)},
                  {"worker", packet.worker},
                  {"length", record.length},
                  {"verdict", worker::name_of(record.verdict)},
                  {"reason", record.reason == base::DropReason::none ? Json() : Json(base::name_of(record.reason))},
                  {"rule", record.rule.valid() ? Json(rule_text(packet, record.rule)) : Json()},
                  {"stages", std::move(stages)}};
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace ringplane::report
