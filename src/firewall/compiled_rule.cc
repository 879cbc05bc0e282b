#include "firewall/compiled_rule.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {
namespace {

struct PortRange {
  std::uint16_t low = 0;
  std::uint16_t high = 0xffff;
  bool negated = false;
};

constexpr PortRange kNoPort{.low = 1, .high = 0};

PortRange range_of(const PortMatch& match) noexcept {
  using Operator = PortMatch::Operator;
  const std::uint16_t first = match.first;
  const std::uint16_t second = match.second;
  const auto below = static_cast<std::uint16_t>(first - 1);
  const auto above = static_cast<std::uint16_t>(first + 1);
  switch (match.op) {
    case Operator::kAny: return {};
    case Operator::kEqual: return {.low = first, .high = first};
    case Operator::kNotEqual: return {.low = first, .high = first, .negated = true};
    case Operator::kLess: return first == 0 ? kNoPort : PortRange{.low = 0, .high = below};
    case Operator::kLessOrEqual: return {.low = 0, .high = first};
    case Operator::kGreater: return first == 0xffff ? kNoPort : PortRange{.low = above, .high = 0xffff};
    case Operator::kGreaterOrEqual: return {.low = first, .high = 0xffff};
    case Operator::kInside:
      if (second <= first || second - first < 2) return kNoPort;
      return {.low = above, .high = static_cast<std::uint16_t>(second - 1)};
    case Operator::kOutside:
      if (first > second) return {.low = 1, .high = 0, .negated = true};
      return {.low = first, .high = second, .negated = true};
    case Operator::kRange:
      if (first > second) return kNoPort;
      return {.low = first, .high = second};
  }
  return {};
}

void put_address(const AddressMatch& match, std::array<std::uint8_t, 16>& bytes, std::uint8_t& length,
                 std::uint32_t& bits, RuleBit prefix, RuleBit table, RuleBit negated) noexcept {
  if (match.kind == AddressMatch::Kind::kPrefix) {
    bytes = match.prefix.address.bytes;
    length = match.prefix.length;
    bits |= prefix;
  } else if (match.kind == AddressMatch::Kind::kTable) {
    std::memcpy(bytes.data(), &match.table, sizeof match.table);
    bits |= table;
  }
  if (match.negated) bits |= negated;
}

bool prefix_holds(const std::uint8_t* prefix, unsigned length, const wire::IpAddress& address) noexcept {
  const std::uint64_t upper = load_be64(prefix) ^ load_be64(address.bytes.data());
  if (length <= 64) return (upper & top_bits(length)) == 0;
  const std::uint64_t lower = load_be64(prefix + 8) ^ load_be64(address.bytes.data() + 8);
  return upper == 0 && (lower & top_bits(length - 64)) == 0;
}

bool address_matches(const CompiledRule& rule, bool is_source, const MatchKey& key,
                     const TableContents& tables) noexcept {
  const std::uint32_t prefix = is_source ? kSourcePrefix : kDestinationPrefix;
  const std::uint32_t table = is_source ? kSourceTable : kDestinationTable;
  const bool negated = (rule.bits & (is_source ? kSourceNegated : kDestinationNegated)) != 0;
  const auto& bytes = is_source ? rule.source : rule.destination;
  const wire::IpAddress& address = is_source ? key.source : key.destination;
  if ((rule.bits & prefix) != 0) {
    return prefix_holds(bytes.data(), is_source ? rule.source_length : rule.destination_length, address) != negated;
  }
  if ((rule.bits & table) == 0) return true;
  return tables.hold(table_of(bytes), key.family, address) != negated;
}

bool ports_match(const CompiledRule& rule, const MatchKey& key) noexcept {
  const std::uint32_t bits = rule.bits;
  if ((bits & (kSourcePort | kDestinationPort)) == 0) return true;
  if (key.is_fragment || (key.protocol != wire::protocol::kTcp && key.protocol != wire::protocol::kUdp)) return false;
  const auto holds = [bits](std::uint16_t port, std::uint16_t low, std::uint16_t high, RuleBit given, RuleBit negated) {
    return (bits & given) == 0 || (port >= low && port <= high) != ((bits & negated) != 0);
  };
  return holds(key.source_port, rule.source_port_low, rule.source_port_high, kSourcePort, kSourcePortNegated) &&
         holds(key.destination_port, rule.destination_port_low, rule.destination_port_high, kDestinationPort,
               kDestinationPortNegated);
}

}  // namespace

CompiledRule compile(const Rule& rule) noexcept {
  CompiledRule out;
  put_address(rule.source, out.source, out.source_length, out.bits, kSourcePrefix, kSourceTable, kSourceNegated);
  put_address(rule.destination, out.destination, out.destination_length, out.bits, kDestinationPrefix,
              kDestinationTable, kDestinationNegated);
  if (rule.way != RuleWay::kOut) out.bits |= kWayIn;
  if (rule.way != RuleWay::kIn) out.bits |= kWayOut;
  if (rule.family != wire::Family::kIpv6) out.bits |= kIpv4;
  if (rule.family != wire::Family::kIpv4) out.bits |= kIpv6;
  if (rule.protocol >= 0) out.bits |= kProtocol;
  out.protocol = static_cast<std::uint8_t>(rule.protocol);
  if (rule.source_port.op != PortMatch::Operator::kAny) {
    const PortRange range = range_of(rule.source_port);
    out.bits |= kSourcePort | (range.negated ? kSourcePortNegated : 0U);
    out.source_port_low = range.low;
    out.source_port_high = range.high;
  }
  if (rule.destination_port.op != PortMatch::Operator::kAny) {
    const PortRange range = range_of(rule.destination_port);
    out.bits |= kDestinationPort | (range.negated ? kDestinationPortNegated : 0U);
    out.destination_port_low = range.low;
    out.destination_port_high = range.high;
  }
  out.tcp_flags = rule.tcp_flags;
  out.tcp_flags_mask = rule.tcp_flags_mask;
  if (rule.icmp_type >= 0) out.bits |= kIcmpType;
  if (rule.icmp_type >= 0 && rule.icmp_code >= 0) out.bits |= kIcmpCode;
  if (rule.tos >= 0) out.bits |= kTos;
  out.icmp_type = static_cast<std::uint8_t>(rule.icmp_type);
  out.icmp_code = static_cast<std::uint8_t>(rule.icmp_code);
  out.tos = static_cast<std::uint8_t>(rule.tos);
  if (rule.fragment) out.bits |= kFragment;
  if (rule.quick) out.bits |= kQuick;
  if (rule.state == StateKind::kKeep) out.bits |= kNoIcmpReply;
  out.ports = rule.ports;
  out.parent = rule.parent;
  return out;
}

bool matches(const CompiledRule& rule, const MatchKey& key, const TableContents& tables) noexcept {
  const std::uint32_t bits = rule.bits;
  const std::uint32_t wanted =
      (key.way == Way::kIn ? kWayIn : kWayOut) | (key.family == wire::Family::kIpv4 ? kIpv4 : kIpv6);
  if ((bits & wanted) != wanted) return false;
  if ((bits & kProtocol) != 0 && rule.protocol != key.protocol) return false;
  if (rule.ports != Rule::kEveryPort &&
      (key.port.value >= base::kMaxPorts || ((rule.ports >> key.port.value) & 1U) == 0)) {
    return false;
  }
  if (!ports_match(rule, key)) return false;
  if (rule.tcp_flags_mask != 0 && key.protocol == wire::protocol::kTcp &&
      (key.is_fragment || (key.tcp_flags & rule.tcp_flags_mask) != rule.tcp_flags)) {
    return false;
  }
  if ((bits & kIcmpType) != 0 && (key.is_fragment || key.icmp_type != rule.icmp_type)) return false;
  if ((bits & kIcmpCode) != 0 && key.icmp_code != rule.icmp_code) return false;
  if ((bits & kTos) != 0 && key.ip_tos != rule.tos) return false;
  if ((bits & kFragment) != 0 && !key.is_fragment) return false;
  if ((bits & kNoIcmpReply) != 0 && is_icmp_query_reply(key)) return false;
  return address_matches(rule, true, key, tables) && address_matches(rule, false, key, tables);
}

}  // namespace ringplane::firewall
