// Rules and tables as pfctl(8) prints them: after expansion, defaults written out. What is printed parses again to the
// same rule, except for `(interface)` tables of other machines.
#include "firewall/rule_text.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/core.h>

#include "firewall/match_key.h"
#include "firewall/names.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "firewall/timeouts.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

void append_return(const Rule& rule, std::string& out) {
  const std::string code = icmp_code_name(rule.return_icmp_code, 3, wire::Family::kIpv4);
  const std::string code6 = icmp_code_name(rule.return_icmp6_code, 1, wire::Family::kIpv6);
  switch (rule.block_return) {
    case BlockReturn::kDrop: out += " drop"; return;
    case BlockReturn::kReturn: out += " return"; return;
    case BlockReturn::kRst:
      out += " return-rst";
      if (rule.return_ttl != 0) out += fmt::format("(ttl {})", rule.return_ttl);
      return;
    case BlockReturn::kIcmp: break;
  }
  if (rule.family == wire::Family::kIpv4) {
    out += fmt::format(" return-icmp({})", code);
  } else if (rule.family == wire::Family::kIpv6) {
    out += fmt::format(" return-icmp6({})", code6);
  } else {
    out += fmt::format(" return-icmp({}, {})", code, code6);
  }
}

void append_hosts(const Ruleset& ruleset, const Rule& rule, std::string& out) {
  const bool all = rule.source.kind == AddressMatch::Kind::kAny && rule.destination.kind == AddressMatch::Kind::kAny &&
                   rule.source_port.op == PortMatch::Operator::kAny &&
                   rule.destination_port.op == PortMatch::Operator::kAny;
  if (all) {
    out += " all";
    return;
  }
  out += " from " + address_text(ruleset, rule.source);
  if (rule.source_port.op != PortMatch::Operator::kAny) out += " port " + port_text(rule.source_port, rule.protocol);
  out += " to " + address_text(ruleset, rule.destination);
  if (rule.destination_port.op != PortMatch::Operator::kAny) {
    out += " port " + port_text(rule.destination_port, rule.protocol);
  }
}

void append_flags(const Rule& rule, std::string& out) {
  if (rule.tcp_flags_mask != 0) {
    out += fmt::format(" flags {}/{}", tcp_flag_letters(rule.tcp_flags), tcp_flag_letters(rule.tcp_flags_mask));
  } else if (rule.state == StateKind::kKeep && (rule.protocol < 0 || rule.protocol == 6)) {
    out += " flags any";
  }
}

void append_icmp(const Rule& rule, std::string& out) {
  if (rule.icmp_type < 0) return;
  const auto type = static_cast<std::uint8_t>(rule.icmp_type);
  out += rule.family == wire::Family::kIpv6 ? " icmp6-type " : " icmp-type ";
  out += icmp_type_name(type, rule.family);
  if (rule.icmp_code >= 0) {
    out += " code " + icmp_code_name(static_cast<std::uint8_t>(rule.icmp_code), type, rule.family);
  }
}

/// The options between the parentheses, in pfctl's order.
std::string state_options_text(const Ruleset& ruleset, const StateOptions& options) {
  std::string out;
  const auto add = [&out](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  if (options.max != 0) add(fmt::format("max {}", options.max));
  if (options.source_track == SourceTrack::kRule) add("source-track rule");
  if (options.source_track == SourceTrack::kGlobal) add("source-track global");
  if (options.max_src_states != 0) add(fmt::format("max-src-states {}", options.max_src_states));
  if (options.max_src_conn != 0) add(fmt::format("max-src-conn {}", options.max_src_conn));
  if (options.max_src_conn_rate_count != 0) {
    add(fmt::format("max-src-conn-rate {}/{}", options.max_src_conn_rate_count, options.max_src_conn_rate_seconds));
  }
  if (options.max_src_nodes != 0) add(fmt::format("max-src-nodes {}", options.max_src_nodes));
  if (options.overload != kNoTable) {
    std::string text = fmt::format("overload <{}>", ruleset.tables[options.overload].name);
    if (options.flush == Flush::kRule) text += " flush";
    if (options.flush == Flush::kGlobal) text += " flush global";
    add(text);
  }
  if (options.policy) add(*options.policy == StatePolicy::kIfBound ? "if-bound" : "floating");
  for (std::size_t i = 0; i < kTimeoutCount; ++i) {
    if (options.timeouts.has(static_cast<Timeout>(i))) {
      add(fmt::format("{} {}", kTimeoutNames[i], options.timeouts.value[i]));
    }
  }
  return out;
}

void append_options(const Ruleset& ruleset, const Rule& rule, std::string& out) {
  append_flags(rule, out);
  append_icmp(rule, out);
  if (rule.tos >= 0) out += fmt::format(" tos 0x{:02x}", rule.tos);
  if (rule.state == StateKind::kKeep) {
    out += " keep state";
    if (const StateOptions* options = ruleset.state_options_of(rule)) {
      const std::string inside = state_options_text(ruleset, *options);
      if (!inside.empty()) out += fmt::format(" ({})", inside);
    }
  } else if (rule.action == Action::kPass && !rule.is_anchor()) {
    out += " no state";
  }
  if (rule.probability != 0) out += fmt::format(" probability {:.6g}%", rule.probability / 4294967296.0 * 100);
  if (rule.fragment) out += " fragment";
  if (rule.allow_opts) out += " allow-opts";
  if (rule.label != Rule::kNone) out += fmt::format(" label \"{}\"", ruleset.names[rule.label]);
  if (rule.tag != kNoTag) out += " tag " + ruleset.tags[rule.tag];
  if (rule.tagged != kNoTag) out += (rule.tagged_negated ? " ! tagged " : " tagged ") + ruleset.tags[rule.tagged];
}

}  // namespace

std::string address_text(const Ruleset& ruleset, const AddressMatch& match) {
  const char* negation = match.negated ? "! " : "";
  switch (match.kind) {
    case AddressMatch::Kind::kAny: return "any";
    case AddressMatch::Kind::kPrefix: return negation + wire::to_string(match.prefix);
    case AddressMatch::Kind::kTable: break;
  }
  const Table& table = ruleset.tables[match.table];
  return table.is_named ? fmt::format("{}<{}>", negation, table.name) : negation + table.name;
}

std::string port_text(const PortMatch& match, int protocol) {
  using Operator = PortMatch::Operator;
  const auto named = [&match, protocol] {
    const std::string_view name = service_name(match.first, protocol);
    return name.empty() ? std::to_string(match.first) : std::string(name);
  };
  switch (match.op) {
    case Operator::kAny: return "";
    case Operator::kEqual: return "= " + named();
    case Operator::kNotEqual: return "!= " + named();
    case Operator::kLess: return fmt::format("< {}", match.first);
    case Operator::kLessOrEqual: return fmt::format("<= {}", match.first);
    case Operator::kGreater: return fmt::format("> {}", match.first);
    case Operator::kGreaterOrEqual: return fmt::format(">= {}", match.first);
    case Operator::kInside: return fmt::format("{} >< {}", match.first, match.second);
    case Operator::kOutside: return fmt::format("{} <> {}", match.first, match.second);
    case Operator::kRange: return fmt::format("{}:{}", match.first, match.second);
  }
  return "";
}

std::string text_of(const Ruleset& ruleset, const Rule& rule) {
  std::string out;
  if (rule.is_anchor()) {
    out = "anchor";
    if (rule.anchor_name != Rule::kNone) out += fmt::format(" \"{}\"", ruleset.names[rule.anchor_name]);
  } else if (rule.action == Action::kBlock) {
    out = "block";
    append_return(rule, out);
  } else {
    out = rule.action == Action::kPass ? "pass" : "match";
  }
  if (rule.way != RuleWay::kBoth) out += rule.way == RuleWay::kIn ? " in" : " out";
  if (rule.log != LogKind::kNone) out += rule.log == LogKind::kLogAll ? " log (all)" : " log";
  if (rule.quick) out += " quick";
  if (rule.interface_name != Rule::kNone) {
    out += fmt::format(" on {}{}", rule.interface_negated ? "! " : "", ruleset.names[rule.interface_name]);
  }
  if (rule.family != wire::Family::kNone) out += rule.family == wire::Family::kIpv4 ? " inet" : " inet6";
  if (rule.protocol >= 0) out += " proto " + protocol_name(static_cast<std::uint8_t>(rule.protocol));
  append_hosts(ruleset, rule, out);
  append_options(ruleset, rule, out);
  return out;
}

std::string text_of(const Table& table) {
  std::string out = fmt::format("table <{}>", table.name);
  if (table.is_const) out += " const";
  if (table.is_persist) out += " persist";
  if (table.has_counters) out += " counters";
  return out + table.contents;
}

}  // namespace ringplane::firewall
