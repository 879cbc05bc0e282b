#include "report/eve_log.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/ruleset.h"
#include "flow/flow.h"
#include "report/flow_times.h"
#include "wire/flow_key.h"
#include "wire/icmp.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/flow_record.h"
#include "worker/log_record.h"
#include "worker/packet_burst.h"

namespace ringplane::report {
namespace {

/// "2026-11-22T21:20:50.123456+0000", as Suricata writes it.
/// The specification's table of ICMP types that answer each other; -1: a type that has no counterpart.
int icmp_counterpart(wire::Family family, std::uint8_t type) {
  struct Pair {
    std::uint8_t one;
    std::uint8_t other;
  };
  static constexpr std::array kIcmp{Pair{0, 8}, Pair{13, 14}, Pair{15, 16}, Pair{17, 18}, Pair{10, 9}};
  static constexpr std::array kIcmp6{Pair{128, 129}, Pair{133, 134}, Pair{135, 136},
                                     Pair{130, 131}, Pair{139, 140}, Pair{144, 145}};
  const auto find = [type](const auto& pairs) {
    for (const Pair& pair : pairs) {
      if (pair.one == type) return int{pair.other};
      if (pair.other == type) return int{pair.one};
    }
    return -1;
  };
  return family == wire::Family::kIpv4 ? find(kIcmp) : find(kIcmp6);
}

std::string to_text(const nlohmann::ordered_json& line) {
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void name_rule(nlohmann::ordered_json& line, const firewall::Ruleset* ruleset, base::RuleId id) {
  if (ruleset == nullptr || !id.valid()) return;
  const firewall::Rule& rule = ruleset->rule(id);
  line["firewall"]["rule"] = ruleset->place_of(rule);
  if (const std::string_view label = ruleset->label_of(rule); !label.empty()) line["firewall"]["label"] = label;
}

/// In Suricata's words.
std::string_view state_of(const worker::FlowRecord& record) {
  if (record.key.protocol != wire::protocol::kTcp) return record.packets[1] > 0 ? "established" : "new";
  const auto both = [&](auto&& is) { return is(record.state[0]) && is(record.state[1]); };
  if (record.state[0] == flow::PeerState::kTimeWait || record.state[1] == flow::PeerState::kTimeWait ||
      both([](flow::PeerState state) { return state == flow::PeerState::kFinWait2; })) {
    return "closed";
  }
  return both([](flow::PeerState state) { return state >= flow::PeerState::kEstablished; }) ? "established" : "new";
}

std::string_view name_of(worker::FlowEnd end) {
  switch (end) {
    case worker::FlowEnd::kTimeout: return "timeout";
    case worker::FlowEnd::kClosed: return "closed";
    case worker::FlowEnd::kEvicted: return "evicted";
    case worker::FlowEnd::kErased: return "forced";
    case worker::FlowEnd::kStop: return "shutdown";
  }
  return "unknown";
}

}  // namespace

std::string timestamp_text(std::uint64_t wall_ns) {
  const auto seconds = static_cast<std::time_t>(wall_ns / base::kNanosPerSecond);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 40> date{};
  const std::size_t length = std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 24> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%06llu+0000",
                static_cast<unsigned long long>(wall_ns % base::kNanosPerSecond / base::kNanosPerMicro));
  return std::string(date.data(), length) + fraction.data();
}

std::string community_id(wire::Family family, std::uint8_t protocol, const wire::IpAddress& source,
                         const wire::IpAddress& destination, std::uint16_t source_port, std::uint16_t destination_port,
                         std::uint8_t icmp_type, std::uint8_t icmp_code) {
  if (family == wire::Family::kNone) return "";
  const bool icmp = protocol == (family == wire::Family::kIpv4 ? wire::protocol::kIcmp : wire::protocol::kIcmp6);
  const bool ports = protocol == wire::protocol::kTcp || protocol == wire::protocol::kUdp || protocol == 132 || icmp;
  bool one_way = false;
  if (icmp) {
    const int counterpart = icmp_counterpart(family, icmp_type);
    one_way = counterpart < 0;
    source_port = icmp_type;
    destination_port = one_way ? icmp_code : static_cast<std::uint16_t>(counterpart);
  }
  const std::size_t bytes = family == wire::Family::kIpv4 ? 4 : 16;
  const wire::IpAddress* first = &source;
  const wire::IpAddress* second = &destination;
  const int order = std::memcmp(first->bytes.data(), second->bytes.data(), bytes);
  if (!one_way && (order > 0 || (order == 0 && source_port > destination_port))) {
    std::swap(first, second);
    std::swap(source_port, destination_port);
  }
  std::string input(2, '\0');  // seed 0
  input.append(reinterpret_cast<const char*>(first->bytes.data()), bytes);
  input.append(reinterpret_cast<const char*>(second->bytes.data()), bytes);
  input.push_back(static_cast<char>(protocol));
  input.push_back('\0');
  if (ports) {
    for (const std::uint16_t port : {source_port, destination_port}) {
      input.push_back(static_cast<char>(port >> 8));
      input.push_back(static_cast<char>(port & 0xff));
    }
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned digest_bytes = 0;
  EVP_Digest(input.data(), input.size(), digest.data(), &digest_bytes, EVP_sha1(), nullptr);
  std::array<unsigned char, 64> text{};
  const int text_bytes = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest_bytes));
  return "1:" + std::string(reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(text_bytes));
}

std::string protocol_name(std::uint8_t protocol) {
  switch (protocol) {
    case wire::protocol::kTcp: return "tcp";
    case wire::protocol::kUdp: return "udp";
    case wire::protocol::kIcmp: return "icmp";
    case wire::protocol::kIcmp6: return "ipv6-icmp";
    default: return std::to_string(protocol);
  }
}

std::string eve_line(const worker::LogRecord& record, const firewall::Ruleset* ruleset, const std::string& interface,
                     std::uint64_t wall_ns) {
  nlohmann::ordered_json line;
  const bool dropped = record.verdict != worker::Verdict::kPass;
  line["timestamp"] = timestamp_text(wall_ns);
  line["event_type"] = dropped ? "drop" : "pass";
  line["in_iface"] = interface;
  if (record.family != wire::Family::kNone) {
    line["src_ip"] = wire::to_string(record.family, record.source);
    line["dest_ip"] = wire::to_string(record.family, record.destination);
    const bool ports = record.protocol == wire::protocol::kTcp || record.protocol == wire::protocol::kUdp;
    if (ports) {
      line["src_port"] = record.source_port;
      line["dest_port"] = record.destination_port;
    }
    line["proto"] = protocol_name(record.protocol);
    if (record.protocol == wire::protocol::kIcmp || record.protocol == wire::protocol::kIcmp6) {
      line["icmp_type"] = record.icmp_type;
      line["icmp_code"] = record.icmp_code;
    }
    line["community_id"] =
        community_id(record.family, record.protocol, record.source, record.destination, record.source_port,
                     record.destination_port, record.icmp_type, record.icmp_code);
  }
  line["length"] = record.length;
  line["verdict"] = worker::name_of(record.verdict);
  if (dropped) line["drop"]["reason"] = base::name_of(record.reason);
  name_rule(line, ruleset, record.rule);
  return to_text(line);
}

std::string eve_flow_line(const worker::FlowRecord& record, const firewall::Ruleset* ruleset,
                          const std::string& interface, const FlowTimes& times) {
  const wire::FlowKey& key = record.key;
  const std::size_t from = record.original_upper ? 1 : 0;
  const bool ports = key.protocol == wire::protocol::kTcp || key.protocol == wire::protocol::kUdp;
  const std::uint8_t echo = key.family == wire::Family::kIpv4 ? wire::icmp_type::kEcho : wire::icmp6_type::kEcho;
  const std::uint64_t start_ns = times.wall_of(record.began);
  const std::uint64_t end_ns = times.wall_of(record.last_seen);
  nlohmann::ordered_json line{{"timestamp", timestamp_text(times.wall_ns)},
                              {"event_type", "flow"},
                              {"in_iface", interface},
                              {"src_ip", wire::to_string(key.family, key.address[from])},
                              {"dest_ip", wire::to_string(key.family, key.address[1 - from])}};
  if (ports) {
    line["src_port"] = key.port[from];
    line["dest_port"] = key.port[1 - from];
  }
  line["proto"] = protocol_name(key.protocol);
  line["community_id"] =
      community_id(key.family, key.protocol, key.address[from], key.address[1 - from],
                   ports ? key.port[from] : std::uint16_t{0}, ports ? key.port[1 - from] : std::uint16_t{0}, echo, 0);
  line["flow"] = {{"pkts_toserver", record.packets[0]},
                  {"pkts_toclient", record.packets[1]},
                  {"bytes_toserver", record.bytes[0]},
                  {"bytes_toclient", record.bytes[1]},
                  {"start", timestamp_text(start_ns)},
                  {"end", timestamp_text(end_ns)},
                  {"age", (end_ns - start_ns) / base::kNanosPerSecond},
                  {"state", state_of(record)},
                  {"reason", name_of(record.end)}};
  name_rule(line, ruleset, record.rule);
  return to_text(line);
}

}  // namespace ringplane::report
