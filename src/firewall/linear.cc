#include "firewall/linear.h"

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {
namespace {

bool address_matches(const Ruleset& ruleset, const AddressMatch& match, wire::Family family,
                     const wire::IpAddress& address, const TableOverlay* overlay) noexcept {
  switch (match.kind) {
    case AddressMatch::Kind::kAny: return !match.negated;
    case AddressMatch::Kind::kPrefix: return match.prefix.contains(family, address) != match.negated;
    case AddressMatch::Kind::kTable:
      return table_contains(ruleset, match.table, family, address, overlay) != match.negated;
  }
  return false;
}

bool has_ports(const MatchKey& key) noexcept {
  return !key.is_fragment && (key.protocol == wire::protocol::kTcp || key.protocol == wire::protocol::kUdp);
}

bool port_matches(const PortMatch& match, const MatchKey& key, std::uint16_t port) noexcept {
  return match.op == PortMatch::Operator::kAny || (has_ports(key) && match.contains(port));
}

bool interface_matches(const Rule& rule, base::PortId port) noexcept {
  if (rule.ports == Rule::kEveryPort) return true;
  return port.value < base::kMaxPorts && ((rule.ports >> port.value) & 1U) != 0;
}

bool flags_match(const Rule& rule, const MatchKey& key) noexcept {
  if (rule.tcp_flags_mask == 0 || key.protocol != wire::protocol::kTcp) return true;
  return !key.is_fragment && (key.tcp_flags & rule.tcp_flags_mask) == rule.tcp_flags;
}

bool icmp_matches(const Rule& rule, const MatchKey& key) noexcept {
  if (rule.icmp_type < 0) return true;
  return !key.is_fragment && rule.icmp_type == key.icmp_type && (rule.icmp_code < 0 || rule.icmp_code == key.icmp_code);
}

/// One evaluation on its way through the rules.
class LinearWalk {
 public:
  LinearWalk(const Ruleset& ruleset, const MatchKey& key, const TableOverlay* overlay,
             std::vector<Mismatch>* trace) noexcept
      : ruleset_(ruleset), overlay_(overlay), trace_(trace), key_(key) {}

  Decision run() noexcept {
    Decision decision{.tag = key_.tag};
    if (key_.port.value < base::kMaxPorts && ((ruleset_.options.skip >> key_.port.value) & 1U) != 0) {
      decision.skipped = true;
      return decision;
    }
    (void)run_range(0, static_cast<std::uint32_t>(ruleset_.rules.size()));
    decision.log = log_;
    decision.tag = key_.tag;
    if (best_.valid()) apply_rule(verdict_of(ruleset_.rule(best_)), best_, key_, decision);
    return decision;
  }

 private:
  void note(std::uint32_t index, Mismatch mismatch) noexcept {
    if (trace_ != nullptr) (*trace_)[index] = mismatch;
  }

  /// Rules [first, end) of one level; true: a quick rule ended the whole evaluation.
  bool run_range(std::uint32_t first, std::uint32_t end) noexcept {
    for (std::uint32_t index = first; index < end;) {
      const Rule& rule = ruleset_.rules[index];
      const std::uint32_t next = rule.is_anchor() ? ruleset_.anchors[rule.anchor].end : index + 1;
      const Mismatch mismatch = test_rule(ruleset_, index, key_, overlay_);
      note(index, mismatch);
      if (mismatch != Mismatch::kNone) {
        for (std::uint32_t inner = index + 1; inner < next; ++inner) note(inner, Mismatch::kAnchor);
      } else if (matched(index, rule)) {
        return true;
      }
      index = next;
    }
    return false;
  }

  /// True: the evaluation ends here.
  bool matched(std::uint32_t index, const Rule& rule) noexcept {
    if (rule.tag != kNoTag) key_.tag = rule.tag;
    if (rule.is_anchor()) {
      const base::RuleId before = best_;
      if (run_range(index + 1, ruleset_.anchors[rule.anchor].end)) return true;
      return rule.quick && best_ != before;  // a quick anchor ends it if any rule inside has decided
    }
    if (rule.action == Action::kMatch) {
      if (rule.log > log_) log_ = rule.log;
    } else {
      best_ = base::RuleId{index};
    }
    return rule.quick;
  }

  const Ruleset& ruleset_;
  const TableOverlay* overlay_;
  std::vector<Mismatch>* trace_;
  MatchKey key_;
  base::RuleId best_;
  LogKind log_ = LogKind::kNone;
};

}  // namespace

std::string_view sentence_of(Mismatch mismatch) noexcept {
  switch (mismatch) {
    case Mismatch::kNone: return "matches";
    case Mismatch::kInterface: return "another interface";
    case Mismatch::kDirection: return "the other direction";
    case Mismatch::kFamily: return "the other address family";
    case Mismatch::kProtocol: return "another protocol";
    case Mismatch::kSource: return "the source address does not match";
    case Mismatch::kSourcePort: return "the source port does not match";
    case Mismatch::kDestination: return "the destination address does not match";
    case Mismatch::kDestinationPort: return "the destination port does not match";
    case Mismatch::kFragment: return "only for fragments";
    case Mismatch::kTcpFlags: return "the TCP flags do not match";
    case Mismatch::kIcmpType: return "the ICMP type or code does not match";
    case Mismatch::kIcmpReply: return "keeps state, and a reply to an ICMP query makes none";
    case Mismatch::kTos: return "the type of service does not match";
    case Mismatch::kProbability: return "the dice of its probability fell otherwise";
    case Mismatch::kTag: return "the tag does not match";
    case Mismatch::kAnchor: return "in an anchor whose conditions do not match";
    case Mismatch::kNotReached: return "not reached: a quick rule had decided";
  }
  return "";
}

bool table_contains(const Ruleset& ruleset, TableId table, wire::Family family, const wire::IpAddress& address,
                    const TableOverlay* overlay) noexcept {
  if (overlay != nullptr && overlay->contains(table, family, address)) return true;
  return ruleset.tables[table].addresses.contains(family, address);
}

Mismatch test_rule(const Ruleset& ruleset, std::uint32_t index, const MatchKey& key,
                   const TableOverlay* overlay) noexcept {
  const Rule& rule = ruleset.rules[index];
  if (!interface_matches(rule, key.port)) return Mismatch::kInterface;
  if (rule.way != RuleWay::kBoth && (rule.way == RuleWay::kIn) != (key.way == Way::kIn)) return Mismatch::kDirection;
  if (rule.family != wire::Family::kNone && rule.family != key.family) return Mismatch::kFamily;
  if (rule.protocol >= 0 && rule.protocol != key.protocol) return Mismatch::kProtocol;
  if (!address_matches(ruleset, rule.source, key.family, key.source, overlay)) return Mismatch::kSource;
  if (!port_matches(rule.source_port, key, key.source_port)) return Mismatch::kSourcePort;
  if (!address_matches(ruleset, rule.destination, key.family, key.destination, overlay)) return Mismatch::kDestination;
  if (!port_matches(rule.destination_port, key, key.destination_port)) return Mismatch::kDestinationPort;
  if (rule.fragment && !key.is_fragment) return Mismatch::kFragment;
  if (!flags_match(rule, key)) return Mismatch::kTcpFlags;
  if (!icmp_matches(rule, key)) return Mismatch::kIcmpType;
  if (rule.state == StateKind::kKeep && is_icmp_query_reply(key)) return Mismatch::kIcmpReply;
  if (rule.tos >= 0 && rule.tos != key.ip_tos) return Mismatch::kTos;
  if (!probability_holds(rule, index, key.random)) return Mismatch::kProbability;
  if (rule.tagged != kNoTag && (rule.tagged == key.tag) == rule.tagged_negated) return Mismatch::kTag;
  return Mismatch::kNone;
}

Decision evaluate(const Ruleset& ruleset, const MatchKey& key, const TableOverlay* overlay) noexcept {
  return LinearWalk(ruleset, key, overlay, nullptr).run();
}

Decision evaluate_traced(const Ruleset& ruleset, const MatchKey& key, const TableOverlay* overlay,
                         std::vector<Mismatch>& trace) {
  trace.assign(ruleset.rules.size(), Mismatch::kNotReached);
  return LinearWalk(ruleset, key, overlay, &trace).run();
}

}  // namespace ringplane::firewall
