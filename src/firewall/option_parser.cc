// set ...: what has an effect here is put into Options; what is understood but has none is accepted with a warning.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "firewall/diagnostic.h"
#include "firewall/lexer.h"
#include "firewall/rule_expander.h"
#include "firewall/ruleset.h"
#include "firewall/ruleset_draft.h"
#include "firewall/statement_reader.h"
#include "firewall/timeouts.h"

namespace ringplane::firewall {

void StatementReader::read_set() {
  const Token start = take();
  if (anchor_depth_ > 0) fail(start, "'set' stands in the main ruleset, not in an anchor");
  const Token name = take_text("an option");
  Options& options = draft_.ruleset.options;
  if (name.is("timeout")) {
    one_or_list([this] { read_set_timeout(); });
  } else if (name.is("limit")) {
    one_or_list([this] { read_set_limit(); });
  } else if (name.is("skip")) {
    read_set_skip();
  } else if (name.is("optimization")) {
    const Token preset = take_text("an optimization");
    const auto values = find_optimization(preset.text);
    if (!values) fail(preset, fmt::format("'{}' is no optimization", preset.text));
    // Single timeouts win over the preset, wherever they stand.
    for (std::size_t i = 0; i < kTimeoutCount; ++i) {
      const bool is_written = ((options.timeouts_set >> i) & 1U) != 0;
      if (values->has(static_cast<Timeout>(i)) && !is_written) options.timeouts.value[i] = values->value[i];
    }
    note_option(fmt::format("set optimization {}", preset.text));
  } else if (name.is("state-defaults")) {
    draft_.state_defaults = read_state_options_without_parentheses();
  } else {
    read_set_policy(name.text);
    if (!token_.ends_statement()) unexpected("the end of the line");
  }
  end_statement();
}

void StatementReader::read_set_timeout() {
  const Token name = take_text("a timeout");
  const auto timeout = find_timeout(name.text);
  if (!timeout) fail(name, fmt::format("'{}' is no timeout", name.text));
  const std::uint32_t seconds = take_number("seconds", 0x7fffffff);
  Options& options = draft_.ruleset.options;
  options.timeouts.value[static_cast<std::size_t>(*timeout)] = seconds;
  options.timeouts_set |= 1U << static_cast<unsigned>(*timeout);
  warn_of_idle_timeout(*timeout, name.where);
  note_option(fmt::format("set timeout {} {}", name.text, seconds));
}

void StatementReader::read_set_limit() {
  const Token name = take_text("a limit");
  Limits& limits = draft_.ruleset.options.limits;
  struct Known {
    std::string_view name;
    std::uint32_t* value;
  };
  const Known known[] = {{"states", &limits.states},
                         {"src-nodes", &limits.src_nodes},
                         {"frags", &limits.frags},
                         {"tables", &limits.tables},
                         {"table-entries", &limits.table_entries}};
  const auto* const found = std::ranges::find(known, name.text, &Known::name);
  if (found == std::end(known)) fail(name, fmt::format("'{}' is no limit", name.text));
  *found->value = take_number("a number");
  if (name.is("states")) limits.states_set = true;
  if (name.is("src-nodes")) limits.src_nodes_set = true;
  if (name.is("frags")) {
    draft_.report(Severity::kWarning, name.where, "'set limit frags' has no effect yet: fragments are not reassembled");
  }
  note_option(fmt::format("set limit {} {}", name.text, *found->value));
}

void StatementReader::read_set_skip() {
  expect("on");
  std::vector<InterfaceItem> interfaces;
  read_interfaces(interfaces);
  for (const InterfaceItem& item : interfaces) {
    if (item.negated) {
      draft_.ruleset.options.skip |= ~item.ports;
    } else {
      draft_.ruleset.options.skip |= item.ports;
    }
    note_option(fmt::format("set skip on {}{}", item.negated ? "! " : "", draft_.ruleset.names[item.name]));
  }
}

/// The options that take one word.
void StatementReader::read_set_policy(std::string_view option) {
  Options& options = draft_.ruleset.options;
  const Token at = token_;
  if (option == "block-policy") {
    if (take_if("return")) {
      options.block_policy = BlockReturn::kReturn;
    } else if (take_if("drop")) {
      options.block_policy = BlockReturn::kDrop;
    } else {
      unexpected("'drop' or 'return'");
    }
  } else if (option == "state-policy") {
    if (!take_if("if-bound") && !take_if("floating")) unexpected("'if-bound' or 'floating'");
    warn_of_state_policy(at.where);
  } else if (option == "loginterface") {
    const Token name = take_text("an interface or 'none'");
    if (name.text != "none") (void)draft_.port_mask(name.text, name.where);
    accept_without_effect("loginterface: every port is counted");
  } else if (option == "hostid") {
    const Token id = take_text("a number");
    std::uint64_t number = id.number;
    if (id.kind != TokenKind::kNumber && !id.text.starts_with("0x")) fail(id, "a host id is a number");
    if (id.kind == TokenKind::kNumber && (number == 0 || number > 0xffffffff)) fail(id, "a host id is 1 to 2^32-1");
    accept_without_effect("hostid: there is no pfsync");
    note_option(id.kind == TokenKind::kNumber ? fmt::format("set hostid 0x{:08x}", number)
                                              : fmt::format("set hostid {}", id.text));
    return;
  } else if (option == "debug") {
    (void)take_text("a level");
    accept_without_effect("debug: see the configuration of the log");
  } else if (option == "ruleset-optimization") {
    (void)take_text("'none', 'basic' or 'profile'");
    accept_without_effect("ruleset-optimization: rules are always compiled");
  } else if (option == "reassemble") {
    if (token_.is("yes")) fail(token_, "not yet: reassemble yes (fragments are judged one by one)");
    if (!take_if("no")) unexpected("'yes' or 'no'");
  } else if (option == "require-order") {
    fail(at, "does not apply here: require-order; statements stand in any order today");
  } else if (option == "fingerprints") {
    fail(at, "does not apply here: fingerprints; operating systems are not told apart");
  } else if (option == "syncookies") {
    fail(at, "not yet: syncookies");
  } else if (option == "prio" || option == "queue") {
    fail(at, fmt::format("not yet: {}", option));
  } else {
    fail(at, fmt::format("'{}' is no option", option));
  }
  note_option(fmt::format("set {} {}", option, at.text));
}

void StatementReader::warn_of_state_policy(Location where) {
  draft_.report(Severity::kWarning, where,
                "no effect here: if-bound and floating; a flow is bound to its bridge and to the side of its sender");
}

void StatementReader::warn_of_idle_timeout(Timeout timeout, Location where) {
  switch (timeout) {
    case Timeout::kTcpTsdiff:
    case Timeout::kFrag:
    case Timeout::kInterval:
    case Timeout::kSrcTrack:
      draft_.report(Severity::kWarning, where,
                    fmt::format("no effect here: the timeout {}", kTimeoutNames[static_cast<std::size_t>(timeout)]));
      break;
    default: break;
  }
}

void StatementReader::accept_without_effect(std::string_view option) {
  draft_.report(Severity::kWarning, statement_start_.where, fmt::format("no effect here: set {}", option));
}

}  // namespace ringplane::firewall
