// pass, block, match, antispoof: everything of a rule but its addresses (host_parser.cc).
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/core.h>

#include "firewall/lexer.h"
#include "firewall/names.h"
#include "firewall/parser.h"
#include "firewall/rule_expander.h"
#include "firewall/ruleset.h"
#include "firewall/ruleset_draft.h"
#include "firewall/statement_reader.h"
#include "firewall/table_overlay.h"
#include "firewall/timeouts.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

struct Refusal {
  std::string_view word;
  std::string_view sentence;
};

constexpr Refusal kRefusals[] = {
    {"nat-to", "not yet: nat-to"},
    {"rdr-to", "not yet: rdr-to"},
    {"binat-to", "not yet: binat-to"},
    {"af-to", "not yet: af-to"},
    {"route-to", "not yet: route-to"},
    {"reply-to", "not yet: reply-to"},
    {"dup-to", "not yet: dup-to"},
    {"fastroute", "does not apply here: fastroute"},
    {"scrub", "not yet: scrub"},
    {"queue", "not yet: queue (today written 'set queue')"},
    {"set", "not yet: 'set queue', 'set prio', 'set tos' and 'set delay' in rules"},
    {"prio", "not yet: prio"},
    {"divert-to", "not yet: divert-to"},
    {"divert-reply", "not yet: divert-reply"},
    {"divert-packet", "not yet: divert-packet"},
    {"received-on", "not yet: received-on"},
    {"max-pkt-rate", "not yet: max-pkt-rate"},
    {"once", "not yet: once"},
    {"synproxy", "not yet: synproxy state"},
    {"os", "does not apply here: os; operating systems are not told apart by fingerprints"},
    {"user", "does not apply here: user; packets between ports belong to no local user"},
    {"group", "does not apply here: group; packets between ports belong to no local group"},
    {"rtable", "does not apply here: rtable; ports have no kernel routing tables"},
    {"rdomain", "does not apply here: rdomain; ports have no kernel routing domains"},
    {"ipv6-icmp-type", "old form: ipv6-icmp-type is written icmp6-type today"},
};

}  // namespace

void StatementReader::refuse_feature() {
  for (const Refusal& refusal : kRefusals) {
    if (token_.is(refusal.word)) fail(token_, std::string(refusal.sentence));
  }
}

void StatementReader::read_rule(Action action) {
  RuleStatement statement;
  statement.rule.where = take().where;
  statement.rule.action = action;
  if (action == Action::kBlock) read_block_return(statement);
  read_direction(statement);
  read_log_and_quick(statement);
  read_conditions(statement);
  read_filter_options(statement);
  end_statement();
  if (action == Action::kPass && !statement.state_given) {
    statement.rule.state = StateKind::kKeep;
    statement.rule.state_options = draft_.state_defaults;
  }
  if (action != Action::kPass && statement.rule.state == StateKind::kKeep) {
    draft_.fail(statement.rule.where, "only a pass rule can keep state");
  }
  if (action == Action::kBlock && statement.rule.allow_opts) {
    draft_.fail(statement.rule.where, "allow-opts belongs to pass and match rules");
  }
  if (action == Action::kMatch && statement.rule.allow_opts) {
    draft_.fail(statement.rule.where, "not yet: allow-opts in match rules");
  }
  expand(draft_, statement, *rules_);
}

void StatementReader::read_block_return(RuleStatement& statement) {
  Rule& rule = statement.rule;
  rule.block_return = draft_.ruleset.options.block_policy;
  if (take_if("drop")) {
    rule.block_return = BlockReturn::kDrop;
  } else if (take_if("return")) {
    rule.block_return = BlockReturn::kReturn;
  } else if (take_if("return-rst")) {
    rule.block_return = BlockReturn::kRst;
    if (take_if("(")) {
      expect("ttl");
      rule.return_ttl = static_cast<std::uint8_t>(take_number("a TTL", 255));
      expect(")");
    }
  } else if (token_.is("return-icmp") || token_.is("return-icmp6")) {
    statement.return_is_icmp6 = take().is("return-icmp6");
    rule.block_return = BlockReturn::kIcmp;
    read_icmp_codes(statement);
  }
}

void StatementReader::read_icmp_codes(RuleStatement& statement) {
  if (!take_if("(")) return;
  const auto code = [this](std::uint8_t type, wire::Family family) {
    const Token name = take_text("a code of destination unreachable");
    const auto found = find_icmp_code(name.text, type, family);
    if (!found) fail(name, fmt::format("'{}' is no code of destination unreachable", name.text));
    return *found;
  };
  if (statement.return_is_icmp6) {
    statement.rule.return_icmp6_code = code(1, wire::Family::kIpv6);
  } else {
    statement.rule.return_icmp_code = code(3, wire::Family::kIpv4);
    if (take_if(",")) statement.rule.return_icmp6_code = code(1, wire::Family::kIpv6);
  }
  expect(")");
}

void StatementReader::read_direction(RuleStatement& statement) {
  if (take_if("in")) {
    statement.rule.way = RuleWay::kIn;
  } else if (take_if("out")) {
    statement.rule.way = RuleWay::kOut;
  }
}

void StatementReader::read_log_and_quick(RuleStatement& statement) {
  for (;;) {
    if (token_.is("log-all")) fail(token_, "old form: log-all is written 'log (all)' today");
    if (take_if("quick")) {
      statement.rule.quick = true;
    } else if (take_if("log")) {
      statement.rule.log = LogKind::kLog;
      if (take_if("(")) read_log_options(statement);
    } else {
      return;
    }
  }
}

void StatementReader::read_log_options(RuleStatement& statement) {
  do {
    if (take_if("all")) {
      statement.rule.log = LogKind::kLogAll;
    } else if (token_.is("matches")) {
      fail(token_, "not yet: log (matches)");
    } else if (token_.is("user")) {
      fail(token_, "does not apply here: log (user); packets between ports belong to no local user");
    } else if (take_if("to")) {
      const Token name = take_text("an interface");
      if (name.text != "pflog0") {
        fail(name, fmt::format("does not apply here: log (to {}); there is one log, which pflog0 names", name.text));
      }
    } else {
      unexpected("'all' or 'to pflog0'");
    }
    take_if(",");
  } while (!token_.is_symbol(')') && !token_.ends_statement());
  expect(")");
}

void StatementReader::read_conditions(RuleStatement& statement) {
  if (take_if("on")) {
    refuse_feature();
    read_interfaces(statement.interfaces);
  }
  refuse_feature();  // route-to and its kin stood here once
  read_family(statement);
  if (take_if("proto")) read_protocols(statement);
  read_from_to(statement);
}

void StatementReader::read_interfaces(std::vector<InterfaceItem>& interfaces) {
  one_or_list([this, &interfaces] {
    InterfaceItem item;
    item.negated = take_if("!");
    const Token name = take_text("an interface");
    item.ports = draft_.port_mask(name.text, name.where);
    item.name = draft_.intern(name.text);
    interfaces.push_back(item);
  });
}

void StatementReader::read_family(RuleStatement& statement) {
  if (take_if("inet")) {
    statement.rule.family = wire::Family::kIpv4;
  } else if (take_if("inet6")) {
    statement.rule.family = wire::Family::kIpv6;
  }
}

void StatementReader::read_protocols(RuleStatement& statement) {
  one_or_list([this, &statement] {
    const Token name = take_text("a protocol");
    const auto protocol = find_protocol(name.text);
    if (!protocol) fail(name, fmt::format("'{}' is no protocol", name.text));
    statement.protocols.push_back(*protocol);
  });
}

void StatementReader::read_filter_options(RuleStatement& statement) {
  while (!token_.ends_statement() && !(statement.is_anchor && token_.is_symbol('{'))) {
    refuse_feature();
    if (!read_filter_option(statement) && !read_match_option(statement)) {
      unexpected("an option of the rule");
    }
    take_if(",");
  }
}

/// What a rule does.
bool StatementReader::read_filter_option(RuleStatement& statement) {
  Rule& rule = statement.rule;
  if (token_.is("keep") || token_.is("modulate") || token_.is("no")) {
    read_state(statement);
  } else if (take_if("allow-opts")) {
    rule.allow_opts = true;
  } else if (take_if("label")) {
    const Token label = take_text("the label");
    if (label.text.empty() || label.text.size() > 63) fail(label, "a label has 1 to 63 characters");
    rule.label = draft_.intern(label.text);
  } else if (take_if("tag")) {
    const Token tag = take_text("the tag");
    rule.tag = draft_.tag(tag.text, tag.where);
  } else {
    return false;
  }
  return true;
}

/// What a rule asks of a packet besides its addresses.
bool StatementReader::read_match_option(RuleStatement& statement) {
  Rule& rule = statement.rule;
  if (take_if("flags")) {
    read_flags(statement);
  } else if (token_.is("icmp-type") || token_.is("icmp6-type")) {
    read_icmp_types(statement);
  } else if (take_if("tos")) {
    read_tos(statement);
  } else if (take_if("fragment")) {
    rule.fragment = true;
  } else if (take_if("probability")) {
    read_probability(statement);
  } else if (token_.is("tagged") || token_.is_symbol('!')) {
    rule.tagged_negated = take_if("!");
    if (!token_.is("tagged")) refuse_feature();
    expect("tagged");
    const Token tag = take_text("the tag");
    rule.tagged = draft_.tag(tag.text, tag.where);
  } else {
    return false;
  }
  return true;
}

void StatementReader::read_flags(RuleStatement& statement) {
  statement.flags_given = true;
  Rule& rule = statement.rule;
  if (take_if("any")) return;
  const Token at = token_;
  if (!token_.is_symbol('/')) {
    const Token set = take_text("TCP flags such as S/SA");
    const auto flags = parse_tcp_flags(set.text);
    if (!flags) fail(set, fmt::format("'{}' is no set of TCP flags: letters of FSRPAUEW", set.text));
    rule.tcp_flags = *flags;
  }
  if (!take_if("/")) fail(at, "TCP flags are written SET/MASK, such as S/SA, or 'any'");
  const Token mask = take_text("the mask of TCP flags");
  const auto flags = parse_tcp_flags(mask.text);
  if (!flags) fail(mask, fmt::format("'{}' is no set of TCP flags: letters of FSRPAUEW", mask.text));
  rule.tcp_flags_mask = *flags;
  if ((rule.tcp_flags & ~rule.tcp_flags_mask) != 0) {
    fail(at, "flags outside the mask are never seen: the rule could not match");
  }
}

void StatementReader::read_icmp_types(RuleStatement& statement) {
  const Token keyword = take();
  const wire::Family family = keyword.is("icmp-type") ? wire::Family::kIpv4 : wire::Family::kIpv6;
  if (statement.icmp_family != wire::Family::kNone && statement.icmp_family != family) {
    fail(keyword, "icmp-type and icmp6-type exclude each other");
  }
  if (statement.rule.family != wire::Family::kNone && statement.rule.family != family) {
    fail(keyword,
         family == wire::Family::kIpv4 ? "icmp-type does not go with inet6" : "icmp6-type does not go with inet");
  }
  statement.icmp_family = family;
  one_or_list([this, &statement, family] {
    IcmpItem item;
    const Token name = take_text("an ICMP type");
    const auto type = find_icmp_type(name.text, family);
    if (!type) fail(name, fmt::format("'{}' is no ICMP type", name.text));
    item.type = *type;
    if (take_if("code")) {
      const Token code_name = take_text("an ICMP code");
      const auto code = find_icmp_code(code_name.text, *type, family);
      if (!code) fail(code_name, fmt::format("'{}' is no code of this ICMP type", code_name.text));
      item.code = *code;
    }
    statement.icmp.push_back(item);
  });
}

void StatementReader::read_tos(RuleStatement& statement) {
  const Token name = take_text("a type of service");
  if (const auto known = find_tos(name.text)) {
    statement.rule.tos = *known;
    return;
  }
  const bool is_hex = name.text.starts_with("0x");
  const std::string_view digits = is_hex ? name.text.substr(2) : name.text;
  std::uint8_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, is_hex ? 16 : 10);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    fail(name, fmt::format("'{}' is no type of service", name.text));
  }
  statement.rule.tos = value;
}

void StatementReader::read_probability(RuleStatement& statement) {
  const Token text = take_text("a percentage");
  double percent = 0;
  const std::string_view digits = text.text.substr(0, text.text.find('%'));
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), percent, std::chars_format::fixed);
  if (error != std::errc{} || end != digits.data() + digits.size() || digits.size() + 1 != text.text.size() ||
      !std::isfinite(percent) || percent < 0 || percent > 100) {
    fail(text, "a probability is written as a percentage from 0% to 100%");
  }
  const double scaled = std::round(percent / 100 * 4294967295.0);
  statement.rule.probability = scaled < 1 ? 1 : static_cast<std::uint32_t>(scaled);
}

void StatementReader::read_state(RuleStatement& statement) {
  const Token kind = take();
  if (!take_if("state")) unexpected("'state'");
  if (statement.state_given) fail(kind, "the rule says twice whether it keeps state");
  statement.state_given = true;
  if (kind.is("no")) return;
  statement.rule.state = StateKind::kKeep;
  statement.rule.state_options = draft_.state_defaults;
  if (take_if("(")) statement.rule.state_options = read_state_options();
}

/// Behind the '('; takes the ')'.
std::uint32_t StatementReader::read_state_options() {
  StateOptions options;
  const Token start = token_;
  if (token_.is_symbol(')')) unexpected("a state option");
  while (!token_.is_symbol(')')) {
    read_state_option(options);
    if (!take_if(",") && !token_.is_symbol(')') && token_.ends_statement()) unexpected("')'");
  }
  take();
  finish_state_options(options, start);
  draft_.ruleset.state_options.push_back(options);
  return static_cast<std::uint32_t>(draft_.ruleset.state_options.size() - 1);
}

/// `set state-defaults`: to the end of the line.
std::uint32_t StatementReader::read_state_options_without_parentheses() {
  StateOptions options;
  const Token start = token_;
  if (token_.ends_statement()) unexpected("a state option");
  while (!token_.ends_statement()) {
    read_state_option(options);
    take_if(",");
  }
  finish_state_options(options, start);
  draft_.ruleset.state_options.push_back(options);
  return static_cast<std::uint32_t>(draft_.ruleset.state_options.size() - 1);
}

void StatementReader::read_state_option(StateOptions& options) {
  const Token name = token_;
  if (token_.is("no-sync") || token_.is("pflow")) {
    fail(token_, fmt::format("does not apply here: {}; there is no pfsync and no pflow", token_.text));
  }
  if (token_.is("set")) refuse_feature();
  if (take_if("max")) {
    options.max = take_number("a number of states");
    if (options.max == 0) fail(name, "'max' must be above 0");
  } else if (token_.is("sloppy")) {
    fail(token_, "not yet: sloppy (TCP states are always checked by sequence numbers)");
  } else if (token_.is("if-bound") || token_.is("floating")) {
    if (options.policy) fail(name, "if-bound and floating exclude each other");
    options.policy = take().is("if-bound") ? StatePolicy::kIfBound : StatePolicy::kFloating;
    warn_of_state_policy(name.where);
  } else if (!read_source_option(options)) {
    const auto timeout = token_.kind == TokenKind::kWord ? find_timeout(token_.text) : std::nullopt;
    if (!timeout) unexpected("a state option");
    if (*timeout == Timeout::kInterval || *timeout == Timeout::kFrag) {
      fail(name, fmt::format("the timeout {} cannot be set for one rule", name.text));
    }
    take();
    warn_of_idle_timeout(*timeout, name.where);
    options.timeouts.put(*timeout, take_number("seconds", 0x7fffffff));
  }
}

bool StatementReader::read_source_option(StateOptions& options) {
  const Token name = token_;
  const auto positive = [this, &name](std::uint32_t& value) {
    take();
    value = take_number("a number");
    if (value == 0) fail(name, fmt::format("'{}' must be above 0", name.text));
  };
  if (take_if("source-track")) {
    options.source_track = SourceTrack::kGlobal;
    if (take_if("rule")) {
      options.source_track = SourceTrack::kRule;
      explicit_track_ = true;
    } else {
      explicit_track_ = take_if("global");
    }
  } else if (token_.is("max-src-nodes")) {
    positive(options.max_src_nodes);
  } else if (token_.is("max-src-states")) {
    positive(options.max_src_states);
  } else if (token_.is("max-src-conn")) {
    positive(options.max_src_conn);
  } else if (token_.is("max-src-conn-rate")) {
    positive(options.max_src_conn_rate_count);
    expect("/");
    options.max_src_conn_rate_seconds = take_number("seconds", 86400);
    if (options.max_src_conn_rate_seconds == 0) fail(name, "the rate needs at least one second");
  } else if (take_if("overload")) {
    if (options.overload != kNoTable) fail(name, "'overload' stands here twice");
    options.overload = read_table_name();
    if (take_if("flush")) options.flush = take_if("global") ? Flush::kGlobal : Flush::kRule;
  } else {
    return false;
  }
  return true;
}

void StatementReader::finish_state_options(StateOptions& options, const Token& at) {
  const bool counts_connections = options.max_src_conn != 0 || options.max_src_conn_rate_count != 0;
  const bool needs_rule = options.max_src_nodes != 0 || counts_connections;
  if (options.overload != kNoTable && !counts_connections) {
    fail(at, "'overload' needs max-src-conn or max-src-conn-rate");
  }
  if (needs_rule && explicit_track_ && options.source_track == SourceTrack::kGlobal) {
    fail(at, "max-src-nodes, max-src-conn and max-src-conn-rate do not go with 'source-track global'");
  }
  if (needs_rule) {
    options.source_track = SourceTrack::kRule;
  } else if (options.max_src_states != 0 && options.source_track == SourceTrack::kNone) {
    options.source_track = SourceTrack::kGlobal;
  }
  explicit_track_ = false;
}

/// antispoof [log] [quick] for IF [af] [label L]: what claims to come from a network of IF must come in on IF, and
/// nothing may claim to be IF itself.
void StatementReader::read_antispoof() {
  RuleStatement statement;
  Rule& rule = statement.rule;
  rule.where = take().where;
  rule.action = Action::kBlock;
  rule.way = RuleWay::kIn;
  read_log_and_quick(statement);
  expect("for");
  struct Spoofed {
    std::uint32_t name;
    std::uint64_t ports;
    Token token;
  };
  std::vector<Spoofed> interfaces;
  one_or_list([this, &interfaces] {
    if (token_.is_symbol('!')) fail(token_, "antispoof cannot be told for all interfaces but one");
    const bool dynamic = take_if("(");
    const Token name = take_text("an interface");
    if (dynamic) expect(")");
    interfaces.push_back({draft_.intern(name.text), draft_.port_mask(name.text, name.where), name});
  });
  read_family(statement);
  if (take_if("label")) {
    const Token label = take_text("the label");
    if (label.text.empty() || label.text.size() > 63) fail(label, "a label has 1 to 63 characters");
    rule.label = draft_.intern(label.text);
  }
  end_statement();
  const wire::Family wanted = rule.family;
  const auto block = [&](const wire::Prefix& prefix, const std::vector<InterfaceItem>& on) {
    if (wanted != wire::Family::kNone && prefix.family != wanted) return;
    RuleStatement one = statement;
    one.interfaces = on;
    one.sources.push_back({.match = {.kind = AddressMatch::Kind::kPrefix, .prefix = prefix}, .family = prefix.family});
    expand(draft_, one, *rules_);
  };
  for (const Spoofed& interface : interfaces) {
    const auto addresses = draft_.addresses_of(interface.token.text);
    if (addresses.empty()) {
      fail(interface.token, fmt::format("the addresses of interface '{}' are not known here: antispoof needs them",
                                        interface.token.text));
    }
    const bool is_loopback = interface.token.text == "lo0" || interface.token.text == "lo";
    const InterfaceItem elsewhere{.name = interface.name, .negated = true, .ports = interface.ports};
    for (const KnownPort::Address& address : addresses) {
      block(wire::Prefix::of(address.host.family, address.host.address, address.length), {elsewhere});
    }
    for (const KnownPort::Address& address : addresses) {
      if (is_loopback) break;
      block(wire::Prefix::of(address.host.family, address.host.address, wire::address_bits(address.host.family)), {});
    }
  }
}

}  // namespace ringplane::firewall
