// A rule statement with its lists, and its expansion: one rule for each combination that can match at all, in pfctl's
// order (interface, protocol, ICMP type, source, source port, destination, destination port).
#pragma once

#include <cstdint>
#include <vector>

#include "firewall/ruleset.h"
#include "firewall/ruleset_draft.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

struct InterfaceItem {
  std::uint32_t name = Rule::kNone;
  bool negated = false;
  std::uint64_t ports = Rule::kEveryPort;
};

struct IcmpItem {
  std::int16_t type = -1;
  std::int16_t code = -1;
};

struct HostItem {
  AddressMatch match;
  wire::Family family = wire::Family::kNone;  ///< kNone: any family (any, tables)
};

/// One `pass`, `block`, `match` or `anchor` as written. Empty list: anything.
struct RuleStatement {
  Rule rule;
  std::vector<InterfaceItem> interfaces;
  std::vector<std::int16_t> protocols;
  std::vector<IcmpItem> icmp;
  std::vector<HostItem> sources;
  std::vector<PortMatch> source_ports;
  std::vector<HostItem> destinations;
  std::vector<PortMatch> destination_ports;
  wire::Family icmp_family = wire::Family::kNone;
  bool flags_given = false;
  bool return_is_icmp6 = false;
  bool state_given = false;
  bool is_anchor = false;
  std::vector<Rule> body;  ///< of an anchor
};

/// Appends the rules of `statement` to `rules`. Until the whole ruleset is finished, Rule::anchor of an anchor is the
/// number of rules inside. Reports combinations that contradict themselves.
void expand(RulesetDraft& draft, const RuleStatement& statement, std::vector<Rule>& rules);

}  // namespace ringplane::firewall
