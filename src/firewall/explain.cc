#include "firewall/explain.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/diagnostic.h"
#include "firewall/lexer.h"
#include "firewall/linear.h"
#include "firewall/match_key.h"
#include "firewall/names.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {
namespace {

struct Refused {
  Location where;
  std::string sentence;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return "";
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

/// `text` up to a `#` outside quotes.
std::string_view without_comment(std::string_view text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (text[i] == '#' && !quoted) return text.substr(0, i);
  }
  return text;
}

/// The words of one packet line.
class PacketWords {
 public:
  PacketWords(std::string_view text, const Ruleset& ruleset)
      : ruleset_(ruleset), lexer_(text, 0, macros_, words_), token_(lexer_.next()) {}

  /// Throws Refused.
  PacketLine read() {
    read_steps();
    while (!token_.ends_statement()) {
      if (!read_condition() && !read_expectation()) refuse(token_, fmt::format("unexpected '{}'", token_.text));
    }
    finish();
    return std::move(line_);
  }

 private:
  [[noreturn]] static void refuse(const Token& at, std::string sentence) {
    throw Refused{.where = at.where, .sentence = std::move(sentence)};
  }
  Token take() {
    Token taken = token_;
    if (taken.kind == TokenKind::kError) refuse(taken, std::string(taken.text));
    token_ = lexer_.next();
    return taken;
  }
  bool take_if(std::string_view word) {
    if (!token_.is(word)) return false;
    take();
    return true;
  }
  Token take_text(std::string_view wanted) {
    if (token_.kind != TokenKind::kWord && token_.kind != TokenKind::kNumber && token_.kind != TokenKind::kQuoted) {
      if (token_.kind == TokenKind::kError) take();
      refuse(token_, fmt::format("{} is missing", wanted));
    }
    return take();
  }

  void read_steps() {
    while (token_.is("in") || token_.is("out")) {
      const Way way = take().is("in") ? Way::kIn : Way::kOut;
      if (!take_if("on")) refuse(token_, "'on' and a port are missing: in on lan, out on wan");
      const Token name = take_text("a port");
      auto port = ruleset_.find_port(name.text);
      // Alone, a pf.conf names only some ports; any other is one that no rule names.
      if (!port && !ruleset_.ports_are_complete && ruleset_.port_names.size() < base::kMaxPorts) {
        port = base::PortId{static_cast<std::uint8_t>(base::kMaxPorts - 1)};
      }
      if (!port) refuse(name, fmt::format("there is no port '{}' (known: {})", name.text, known_ports()));
      steps_.push_back({way, *port});
    }
    if (steps_.empty()) refuse(token_, "a packet begins with 'in on PORT' or 'out on PORT'");
    if (steps_.size() > 2 || (steps_.size() == 2 && (steps_[0].way != Way::kIn || steps_[1].way != Way::kOut))) {
      refuse(token_, "a packet comes in on one port and may go out on another: in on lan out on wan");
    }
  }

  [[nodiscard]] std::string known_ports() const {
    std::string names;
    for (const std::string& name : ruleset_.port_names) {
      if (!name.empty()) names += (names.empty() ? "" : ", ") + name;
    }
    return names;
  }

  bool read_condition() {
    if (take_if("inet")) {
      set_family(token_, wire::Family::kIpv4);
    } else if (take_if("inet6")) {
      set_family(token_, wire::Family::kIpv6);
    } else if (take_if("proto")) {
      const Token name = take_text("a protocol");
      const auto protocol = find_protocol(name.text);
      if (!protocol) refuse(name, fmt::format("'{}' is no protocol", name.text));
      key_.protocol = *protocol;
    } else if (take_if("from")) {
      key_.source = read_address();
    } else if (take_if("to")) {
      key_.destination = read_address();
      behind_to_ = true;
    } else if (take_if("port")) {
      const Token name = take_text("a port number");
      const auto port = find_service(name.text);
      if (!port) refuse(name, fmt::format("'{}' is no port or service", name.text));
      (behind_to_ ? key_.destination_port : key_.source_port) = *port;
      ports_given_ = name;
    } else {
      return read_detail();
    }
    return true;
  }

  bool read_detail() {
    if (take_if("flags")) {
      const Token letters = take_text("TCP flags");
      const auto flags = parse_tcp_flags(letters.text);
      if (!flags) refuse(letters, fmt::format("'{}' is no set of TCP flags: letters of FSRPAUEW", letters.text));
      key_.tcp_flags = *flags;
      flags_given_ = letters;
    } else if (token_.is("icmp-type") || token_.is("icmp6-type")) {
      const bool ipv6 = take().is("icmp6-type") || key_.protocol == wire::protocol::kIcmp6;
      const auto family = ipv6 ? wire::Family::kIpv6 : wire::Family::kIpv4;
      const Token name = take_text("an ICMP type");
      const auto type = find_icmp_type(name.text, family);
      if (!type) refuse(name, fmt::format("'{}' is no ICMP type", name.text));
      key_.icmp_type = *type;
      if (take_if("code")) {
        const Token code_name = take_text("an ICMP code");
        const auto code = find_icmp_code(code_name.text, *type, family);
        if (!code) refuse(code_name, fmt::format("'{}' is no code of this ICMP type", code_name.text));
        key_.icmp_code = *code;
      }
      icmp_given_ = name;
    } else if (take_if("tos")) {
      const Token name = take_text("a type of service");
      const auto known = find_tos(name.text);
      if (!known && (name.kind != TokenKind::kNumber || name.number > 255)) {
        refuse(name, fmt::format("'{}' is no type of service", name.text));
      }
      key_.ip_tos = known ? *known : static_cast<std::uint8_t>(name.number);
    } else if (take_if("tagged")) {
      const Token name = take_text("a tag");
      const auto tag = ruleset_.find_tag(name.text);
      if (!tag) refuse(name, fmt::format("the rules know no tag '{}'", name.text));
      key_.tag = *tag;
    } else if (take_if("fragment")) {
      key_.is_fragment = true;
    } else if (take_if("ip-options")) {
      key_.has_ip_options = true;
    } else {
      return false;
    }
    return true;
  }

  bool read_expectation() {
    if (!take_if("expect")) return false;
    if (take_if("pass")) {
      line_.expect = Action::kPass;
    } else if (take_if("block")) {
      line_.expect = Action::kBlock;
    } else {
      refuse(token_, "'pass' or 'block' belongs behind 'expect'");
    }
    if (take_if("by")) line_.expect_label = take_text("a label").text;
    return true;
  }

  wire::IpAddress read_address() {
    const Token text = take_text("an address");
    const auto host = wire::parse_host_address(text.text);
    if (!host) refuse(text, fmt::format("'{}' is no address", text.text));
    set_family(text, host->family);
    return host->address;
  }

  void set_family(const Token& at, wire::Family family) {
    if (key_.family != wire::Family::kNone && key_.family != family) refuse(at, "IPv4 and IPv6 in one packet");
    key_.family = family;
  }

  void finish() {
    const bool is_tcp = key_.protocol == wire::protocol::kTcp;
    if (key_.family == wire::Family::kNone) {
      key_.family = key_.protocol == wire::protocol::kIcmp6 ? wire::Family::kIpv6 : wire::Family::kIpv4;
    }
    if (ports_given_ && !is_tcp && key_.protocol != wire::protocol::kUdp) {
      refuse(*ports_given_, "only TCP and UDP have ports: add 'proto tcp' or 'proto udp'");
    }
    if (flags_given_ && !is_tcp) refuse(*flags_given_, "only TCP has flags: add 'proto tcp'");
    if (icmp_given_ && key_.protocol != wire::protocol::kIcmp && key_.protocol != wire::protocol::kIcmp6) {
      refuse(*icmp_given_, "an ICMP type needs 'proto icmp' or 'proto icmp6'");
    }
    // What a reader means by a bare packet is the first of a conversation.
    if (is_tcp && !flags_given_ && !key_.is_fragment) key_.tcp_flags = wire::tcp_flag::kSyn;
    if (!icmp_given_ && key_.protocol == wire::protocol::kIcmp) key_.icmp_type = 8;
    if (!icmp_given_ && key_.protocol == wire::protocol::kIcmp6) key_.icmp_type = 128;
    for (const Step& step : steps_) {
      key_.way = step.way;
      key_.port = step.port;
      line_.steps.push_back(key_);
    }
  }

  struct Step {
    Way way;
    base::PortId port;
  };
  const Ruleset& ruleset_;
  MacroTable macros_;
  std::deque<std::string> words_;
  Lexer lexer_;
  Token token_;
  MatchKey key_;
  PacketLine line_;
  std::vector<Step> steps_;
  bool behind_to_ = false;
  std::optional<Token> ports_given_;
  std::optional<Token> flags_given_;
  std::optional<Token> icmp_given_;
};

StepAccount account_of(const Ruleset& ruleset, const MatchKey& key) {
  StepAccount account{.key = key};
  std::vector<Mismatch> trace;
  account.decision = evaluate_traced(ruleset, key, nullptr, trace);
  account.drop_reason = drop_reason_of(account.decision, key);
  for (std::uint32_t i = 0; i < trace.size(); ++i) {
    const RuleAccount rule{.rule = base::RuleId{i}, .mismatch = trace[i]};
    if (trace[i] == Mismatch::kNotReached) {
      account.not_reached.push_back(rule);
    } else if (trace[i] != Mismatch::kNone) {
      account.not_matching.push_back(rule);
    } else if (rule.rule != account.decision.rule) {
      account.overridden.push_back(rule);
    }
  }
  return account;
}

std::string step_name(const Ruleset& ruleset, const MatchKey& key) {
  const char* way = key.way == Way::kIn ? "in" : "out";
  if (!key.port.valid() || key.port.value >= ruleset.port_names.size())
    return fmt::format("{} on an unnamed port", way);
  return fmt::format("{} on {}", way, ruleset.port_names[key.port.value]);
}

std::string rule_line(const Ruleset& ruleset, base::RuleId id) {
  const Rule& rule = ruleset.rule(id);
  const std::string path = ruleset.anchor_path(rule);
  return fmt::format("{}  {}{}", ruleset.place_of(rule), path.empty() ? std::string() : "[" + path + "] ",
                     text_of(ruleset, rule));
}

constexpr std::size_t kMaxRulesShown = 40;

void append_rules(const Ruleset& ruleset, std::string_view heading, const std::vector<RuleAccount>& rules,
                  bool with_reason, std::string& out) {
  if (rules.empty()) return;
  out += fmt::format("  {}\n", heading);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (i == kMaxRulesShown) {
      out += fmt::format("    ... and {} more\n", rules.size() - i);
      return;
    }
    out += "    " + rule_line(ruleset, rules[i].rule);
    if (with_reason) out += fmt::format("\n      {}", sentence_of(rules[i].mismatch));
    out += '\n';
  }
}

std::string verdict_of(const StepAccount& step) {
  if (step.drop_reason == base::DropReason::ip_options) return "block (IP options, and no allow-opts)";
  if (step.decision.action == Action::kPass) {
    return step.decision.state == StateKind::kKeep ? "pass, keeps state" : "pass, no state";
  }
  switch (step.decision.reply) {
    case Reply::kNone: return "block, no answer";
    case Reply::kTcpRst: return "block, answers with RST";
    case Reply::kUnreachable: return fmt::format("block, answers with unreachable code {}", step.decision.reply_code);
  }
  return "";
}

}  // namespace

std::expected<PacketLine, Diagnostic> parse_packet_line(std::string_view text, const Ruleset& ruleset,
                                                        std::string_view file, std::uint32_t line) {
  const std::string_view words = without_comment(text);
  try {
    PacketLine packet = PacketWords(words, ruleset).read();
    packet.line = line;
    packet.text = trimmed(words);
    return packet;
  } catch (const Refused& refused) {
    return std::unexpected(Diagnostic{.file = std::string(file),
                                      .line = line,
                                      .column = refused.where.column,
                                      .sentence = refused.sentence,
                                      .source_line = std::string(text)});
  }
}

TestFile parse_test_file(const SourceText& source, const Ruleset& ruleset) {
  TestFile file;
  std::string_view rest = source.text;
  for (std::uint32_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (trimmed(without_comment(line)).empty()) continue;
    auto packet = parse_packet_line(line, ruleset, source.name, number);
    if (!packet) {
      file.diagnostics.push_back(std::move(packet.error()));
    } else if (!packet->expect) {
      file.diagnostics.push_back({.file = source.name,
                                  .line = number,
                                  .column = 1,
                                  .sentence = "the line does not say 'expect pass' or 'expect block'",
                                  .source_line = std::string(line)});
    } else {
      file.lines.push_back(std::move(*packet));
    }
  }
  return file;
}

Explanation explain(const Ruleset& ruleset, const PacketLine& line) {
  Explanation explanation;
  TagId tag = line.steps.front().tag;
  for (MatchKey key : line.steps) {
    key.tag = tag;
    explanation.steps.push_back(account_of(ruleset, key));
    tag = explanation.steps.back().decision.tag;
    explanation.passes = explanation.steps.back().drop_reason == base::DropReason::none;
    if (!explanation.passes) break;
  }
  return explanation;
}

std::string to_text(const Ruleset& ruleset, const Explanation& explanation) {
  std::string out = explanation.passes ? "pass\n" : "block\n";
  for (const StepAccount& step : explanation.steps) {
    out += fmt::format("{}: {}\n", step_name(ruleset, step.key), verdict_of(step));
    if (step.decision.rule.valid()) {
      const Rule& rule = ruleset.rule(step.decision.rule);
      out += fmt::format("  decided by\n    {}\n", rule_line(ruleset, step.decision.rule));
      if (rule.label != Rule::kNone) out += fmt::format("      label \"{}\"\n", ruleset.label_of(rule));
      if (rule.quick) out += "      quick: no later rule is looked at\n";
    } else {
      out += step.decision.skipped ? "  no rules here: 'set skip on' this port\n"
                                   : "  no rule matches: what no rule blocks passes, without state\n";
    }
    append_rules(ruleset, "matched too, but did not decide (the last match wins)", step.overridden, false, out);
    append_rules(ruleset, "did not match", step.not_matching, true, out);
    append_rules(ruleset, "not reached", step.not_reached, false, out);
  }
  out.pop_back();
  return out;
}

bool expectation_holds(const Ruleset& ruleset, const PacketLine& line, const Explanation& explanation,
                       std::string* why) {
  const auto set_why = [why](std::string sentence) {
    if (why != nullptr) *why = std::move(sentence);
    return false;
  };
  if (!line.expect) return true;
  const StepAccount& step = explanation.deciding();
  const std::string by =
      step.decision.rule.valid() ? "by " + rule_line(ruleset, step.decision.rule) : std::string("as no rule matches");
  if ((*line.expect == Action::kPass) != explanation.passes) {
    return set_why(fmt::format("expected {}, but it is {} {}", explanation.passes ? "block" : "pass",
                               explanation.passes ? "passed" : "blocked", by));
  }
  if (line.expect_label.empty()) return true;
  // A packet that passes is decided on every port: the label may stand on either rule.
  for (const StepAccount& one : explanation.steps) {
    if (one.decision.rule.valid() && ruleset.label_of(ruleset.rule(one.decision.rule)) == line.expect_label)
      return true;
  }
  return set_why(fmt::format("expected the rule labelled \"{}\", but it is decided {}", line.expect_label, by));
}

}  // namespace ringplane::firewall
