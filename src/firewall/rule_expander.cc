#include "firewall/rule_expander.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "firewall/diagnostic.h"
#include "firewall/names.h"
#include "firewall/ruleset.h"
#include "firewall/ruleset_draft.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {
namespace {

template <class T>
std::span<const T> or_any(const std::vector<T>& list, const T& any) {
  return list.empty() ? std::span<const T>(&any, 1) : std::span<const T>(list);
}

bool has_ports(int protocol) {
  return protocol == wire::protocol::kTcp || protocol == wire::protocol::kUdp;
}

/// Why the expanded rule makes no sense, as pfctl's consistency checks say; nullopt: it does.
std::optional<std::string> contradiction(const RuleStatement& statement, const Rule& rule) {
  using Operator = PortMatch::Operator;
  if (rule.source_port.op != Operator::kAny && !has_ports(rule.protocol)) return "a source port needs proto tcp or udp";
  if (rule.destination_port.op != Operator::kAny && !has_ports(rule.protocol)) {
    return "a destination port needs proto tcp or udp";
  }
  if ((rule.protocol == wire::protocol::kIcmp && rule.family == wire::Family::kIpv6) ||
      (rule.protocol == wire::protocol::kIcmp6 && rule.family == wire::Family::kIpv4)) {
    return fmt::format("proto {} does not go with {}", protocol_name(static_cast<std::uint8_t>(rule.protocol)),
                       rule.family == wire::Family::kIpv4 ? "inet" : "inet6");
  }
  if (rule.icmp_type >= 0) {
    const bool ipv6 = statement.icmp_family == wire::Family::kIpv6;
    if (rule.protocol != (ipv6 ? wire::protocol::kIcmp6 : wire::protocol::kIcmp)) {
      return ipv6 ? "icmp6-type needs proto icmp6" : "icmp-type needs proto icmp";
    }
    if (rule.family == wire::Family::kNone) {
      return ipv6 ? "icmp6-type needs the address family: inet6" : "icmp-type needs the address family: inet";
    }
  }
  if (rule.fragment && (rule.source_port.op != Operator::kAny || rule.destination_port.op != Operator::kAny ||
                        rule.icmp_type >= 0 || (statement.flags_given && rule.tcp_flags_mask != 0))) {
    return "'fragment' allows conditions on the IP header only";
  }
  if (rule.block_return == BlockReturn::kRst && rule.action == Action::kBlock &&
      rule.protocol != wire::protocol::kTcp) {
    return "return-rst needs proto tcp";
  }
  if (statement.return_is_icmp6 && rule.family == wire::Family::kIpv4) return "return-icmp6 does not go with inet";
  return std::nullopt;
}

class Expansion {
 public:
  Expansion(RulesetDraft& draft, const RuleStatement& statement, std::vector<Rule>& rules)
      : draft_(draft), statement_(statement), rules_(rules), rule_(statement.rule) {}

  void run() {
    check_size();
    const InterfaceItem every_interface;
    for (const InterfaceItem& interface : or_any(statement_.interfaces, every_interface)) {
      rule_.interface_name = interface.name;
      rule_.interface_negated = interface.negated;
      rule_.ports = interface.negated ? ~interface.ports : interface.ports;
      with_protocols();
    }
    if (made_ == 0 && !failed_) {
      draft_.fail(rule_.where, "the rule expands to nothing: no combination of its addresses has one family");
    }
  }

 private:
  void check_size() {
    const auto size = [](const auto& list) { return list.empty() ? std::size_t{1} : list.size(); };
    std::size_t product = 1 + statement_.body.size();
    for (const std::size_t factor :
         {size(statement_.interfaces), size(statement_.protocols), size(statement_.icmp), size(statement_.sources),
          size(statement_.source_ports), size(statement_.destinations), size(statement_.destination_ports)}) {
      product *= factor;  // each factor and the limit are far below 2^32, and the product is checked at every step
      draft_.check_rule_limit(product, rule_.where);
    }
  }

  void with_protocols() {
    const std::int16_t any_protocol = -1;
    const IcmpItem any_icmp;
    for (const std::int16_t protocol : or_any(statement_.protocols, any_protocol)) {
      rule_.protocol = protocol;
      for (const IcmpItem& icmp : or_any(statement_.icmp, any_icmp)) {
        rule_.icmp_type = icmp.type;
        rule_.icmp_code = icmp.code;
        with_hosts();
      }
    }
  }

  void with_hosts() {
    const HostItem any_host;
    const PortMatch any_port;
    for (const HostItem& source : or_any(statement_.sources, any_host)) {
      rule_.source = source.match;
      for (const PortMatch& source_port : or_any(statement_.source_ports, any_port)) {
        rule_.source_port = source_port;
        for (const HostItem& destination : or_any(statement_.destinations, any_host)) {
          rule_.destination = destination.match;
          for (const PortMatch& destination_port : or_any(statement_.destination_ports, any_port)) {
            rule_.destination_port = destination_port;
            add(source.family, destination.family);
          }
        }
      }
    }
  }

  void add(wire::Family source, wire::Family destination) {
    Rule rule = rule_;
    for (const wire::Family family : {source, destination}) {
      if (family == wire::Family::kNone) continue;
      if (rule.family != wire::Family::kNone && rule.family != family) return;  // this pair cannot match
      rule.family = family;
    }
    if (!statement_.flags_given && rule.state == StateKind::kKeep) {
      rule.tcp_flags = wire::tcp_flag::kSyn;
      rule.tcp_flags_mask = wire::tcp_flag::kSyn | wire::tcp_flag::kAck;
    }
    if (rule.protocol >= 0 && rule.protocol != wire::protocol::kTcp) rule.tcp_flags = rule.tcp_flags_mask = 0;
    if (const auto sentence = contradiction(statement_, rule)) {
      if (!failed_) draft_.report(Severity::kError, rule.where, *sentence);
      failed_ = true;
      return;
    }
    if (statement_.is_anchor) rule.anchor = static_cast<std::uint32_t>(statement_.body.size());
    rules_.push_back(rule);
    rules_.insert(rules_.end(), statement_.body.begin(), statement_.body.end());
    draft_.rules_made += 1 + statement_.body.size();
    ++made_;
  }

  RulesetDraft& draft_;
  const RuleStatement& statement_;
  std::vector<Rule>& rules_;
  Rule rule_;
  std::size_t made_ = 0;
  bool failed_ = false;
};

}  // namespace

void expand(RulesetDraft& draft, const RuleStatement& statement, std::vector<Rule>& rules) {
  Expansion(draft, statement, rules).run();
}

}  // namespace ringplane::firewall
