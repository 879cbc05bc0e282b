#include "firewall/parser.h"

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/ids.h"
#include "firewall/diagnostic.h"
#include "firewall/ruleset.h"
#include "firewall/timeouts.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class MemoryFiles final : public TextFiles {
 public:
  std::map<std::string, std::string> files;
  std::expected<std::string, std::string> read(const std::string& path) override {
    const auto found = files.find(path);
    if (found == files.end()) return std::unexpected("No such file or directory");
    return found->second;
  }
};

Environment two_ports() {
  Environment environment{.ports_are_complete = true};
  const auto address = [](std::string_view text, std::uint8_t length) {
    return KnownPort::Address{.host = wire::parse_host_address(text).value(), .length = length};
  };
  environment.ports.push_back({.name = "lan",
                               .id = base::PortId{0},
                               .addresses = {address("10.0.0.1", 24), address("2001:db8::1", 64)},
                               .groups = {"inside"}});
  environment.ports.push_back(
      {.name = "wan", .id = base::PortId{1}, .addresses = {address("192.0.2.1", 28)}, .groups = {"egress"}});
  return environment;
}

ParseResult parse_text(std::string text, const Environment& environment = two_ports()) {
  return parse({.name = "pf.conf", .text = std::move(text)}, environment);
}

std::vector<std::string> rules_of(const ParseResult& parsed) {
  std::vector<std::string> rules;
  for (const Diagnostic& diagnostic : parsed.diagnostics) {
    if (diagnostic.severity == Severity::kError) rules.push_back(render(diagnostic));
  }
  for (const Rule& rule : parsed.ruleset.rules) rules.push_back(text_of(parsed.ruleset, rule));
  return rules;
}
std::vector<std::string> rules_of(std::string text) {
  return rules_of(parse_text(std::move(text)));
}

/// "line:column sentence" of every error.
std::vector<std::string> errors_of(const ParseResult& parsed) {
  std::vector<std::string> errors;
  for (const Diagnostic& one : parsed.diagnostics) {
    if (one.severity == Severity::kError) {
      errors.push_back(std::to_string(one.line) + ":" + std::to_string(one.column) + " " + one.sentence);
    }
  }
  return errors;
}
std::vector<std::string> errors_of(std::string text) {
  return errors_of(parse_text(std::move(text)));
}

TEST(Parser, a_pass_rule_keeps_state_and_asks_for_a_syn_unless_it_says_otherwise) {
  EXPECT_THAT(rules_of("pass\npass proto udp\npass no state\npass flags any\npass proto tcp flags /SFRA\n"),
              ElementsAre("pass all flags S/SA keep state", "pass proto udp all keep state", "pass all no state",
                          "pass all flags any keep state", "pass proto tcp all flags /FSRA keep state"));
}

TEST(Parser, lists_and_macros_expand_in_pfctls_order) {
  EXPECT_THAT(rules_of("ports = \"{ ssh, 80 }\"\nnets = \"10/8\"\nboth = \"{\" $nets 192.168.1.0/24 \"}\"\n"
                       "block in on { lan wan } proto tcp from $both to any port $ports\n"),
              ElementsAre("block drop in on lan inet proto tcp from 10.0.0.0/8 to any port = ssh",
                          "block drop in on lan inet proto tcp from 10.0.0.0/8 to any port = www",
                          "block drop in on lan inet proto tcp from 192.168.1.0/24 to any port = ssh",
                          "block drop in on lan inet proto tcp from 192.168.1.0/24 to any port = www",
                          "block drop in on wan inet proto tcp from 10.0.0.0/8 to any port = ssh",
                          "block drop in on wan inet proto tcp from 10.0.0.0/8 to any port = www",
                          "block drop in on wan inet proto tcp from 192.168.1.0/24 to any port = ssh",
                          "block drop in on wan inet proto tcp from 192.168.1.0/24 to any port = www"));
}

TEST(Parser, an_interface_stands_for_its_addresses_and_networks) {
  EXPECT_THAT(rules_of("if = lan\npass from $if:network to wan no state\npass from (lan) to self no state\n"
                       "block on ! egress from 10.0.0.3 - 10.0.0.6\n"),
              ElementsAre("pass inet from 10.0.0.0/24 to 192.0.2.1 no state",
                          "pass inet from (lan) to 127.0.0.1 no state", "pass inet6 from (lan) to ::1 no state",
                          "pass inet6 from (lan) to fe80::1 no state", "pass inet from (lan) to 10.0.0.1 no state",
                          "pass inet6 from (lan) to 2001:db8::1 no state", "pass inet from (lan) to 192.0.2.1 no state",
                          "block drop on ! egress inet from 10.0.0.3 - 10.0.0.6 to any"));
}

TEST(Parser, antispoof_becomes_block_rules) {
  EXPECT_THAT(rules_of("antispoof log quick for lan inet label \"spoof\"\nantispoof for lo0 inet\n"),
              ElementsAre("block drop in log quick on ! lan inet from 10.0.0.0/24 to any label \"spoof\"",
                          "block drop in log quick inet from 10.0.0.1 to any label \"spoof\"",
                          "block drop in on ! lo0 inet from 127.0.0.0/8 to any"));
}

TEST(Parser, lines_join_at_a_backslash_also_in_comments_and_lists_may_span_lines) {
  EXPECT_THAT(
      rules_of("block in \\\n  on lan # a comment \\\n still comment\npass proto { tcp # one\n\n udp\n} no state\n"),
      ElementsAre("block drop in on lan all", "pass proto tcp all no state", "pass proto udp all no state"));
}

TEST(Parser, labels_say_what_the_rule_became) {
  const ParseResult parsed = parse_text(
      "block\npass in on lan proto tcp from { 10.0.0.2, <x> } to any port 22 label \"$nr "
      "$if:$srcaddr>$dstaddr/$dstport $proto\"\n");
  EXPECT_EQ(parsed.ruleset.label_of(parsed.ruleset.rules[1]), "1 lan:10.0.0.2>any/22 tcp");
  EXPECT_EQ(parsed.ruleset.label_of(parsed.ruleset.rules[2]), "2 lan:<x>>any/22 tcp");
}

TEST(Parser, state_options_are_kept) {
  const ParseResult parsed = parse_text(
      "table <bad> persist\npass in proto tcp to port 22 keep state (max 100, max-src-conn 10, max-src-conn-rate 3/30, "
      "overload <bad> flush global, tcp.established 60, if-bound)\n");
  EXPECT_THAT(rules_of(parsed),
              ElementsAre("pass in proto tcp from any to any port = ssh flags S/SA keep state (max 100, source-track "
                          "rule, max-src-conn 10, max-src-conn-rate 3/30, overload <bad> flush global, if-bound, "
                          "tcp.established 60)"));
  const StateOptions* options = parsed.ruleset.state_options_of(parsed.ruleset.rules[0]);
  ASSERT_NE(options, nullptr);
  EXPECT_EQ(options->max_src_conn_rate_count, 3U);
  EXPECT_EQ(options->overload, parsed.ruleset.find_table("bad"));
  EXPECT_EQ(options->timeouts.over(parsed.ruleset.options.timeouts)[Timeout::kTcpEstablished], 60U);
}

TEST(Parser, set_options_take_effect) {
  const ParseResult parsed = parse_text(
      "set timeout tcp.first 7\nset optimization aggressive\nset limit { states 1000, src-nodes 5 }\n"
      "set block-policy return\nset skip on { lo0 wan }\nset state-policy if-bound\nset reassemble no\nblock\n"
      "set state-defaults max 3\npass\n");
  EXPECT_THAT(errors_of(parsed), IsEmpty());
  const Options& options = parsed.ruleset.options;
  EXPECT_EQ(options.timeouts[Timeout::kTcpFirst], 7U) << "a single timeout wins over the preset";
  EXPECT_EQ(options.timeouts[Timeout::kTcpClosing], 60U);
  EXPECT_EQ(options.timeouts[Timeout::kUdpFirst], 60U);
  EXPECT_EQ(options.timeouts[Timeout::kAdaptiveStart], 600U);
  EXPECT_EQ(options.timeouts[Timeout::kAdaptiveEnd], 1200U);
  EXPECT_EQ(options.limits.states, 1000U);
  EXPECT_EQ(options.skip, 2U);
  EXPECT_EQ(parsed.ruleset.rules[0].block_return, BlockReturn::kReturn);
  EXPECT_EQ(parsed.ruleset.state_options_of(parsed.ruleset.rules[1])->max, 3U);
}

TEST(Parser, what_has_no_effect_is_a_warning_and_no_error) {
  const ParseResult parsed = parse_text(
      "set debug info\nset loginterface lan\nset hostid 1\nset ruleset-optimization basic\n"
      "set state-policy if-bound\nset timeout frag 10\npass keep state (floating, src.track 5)\n");
  EXPECT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.diagnostics.size(), 8U);
}

TEST(Parser, files_are_included_and_errors_name_them) {
  MemoryFiles files;
  files.files["etc/inner.conf"] = "block in\nblock from nowhere.example\n";
  files.files["etc/bad.txt"] = "10.0.0.0/8 # private\n!10.1.0.0/16\n300.1.1.1\n";
  Environment environment = two_ports();
  environment.files = &files;
  const ParseResult parsed = parse({.name = "etc/pf.conf",
                                    .text = "include \"inner.conf\"\ntable <t> file \"bad.txt\"\ninclude \"none\"\n"
                                            "pass no state\n"},
                                   environment);
  ASSERT_EQ(parsed.diagnostics.size(), 3U);
  EXPECT_THAT(render(parsed.diagnostics[0]),
              HasSubstr("etc/inner.conf:2:12: error: 'nowhere.example' is neither an address"));
  EXPECT_THAT(render(parsed.diagnostics[1]), HasSubstr("etc/bad.txt:3:1: error: '300.1.1.1' is no address"));
  EXPECT_THAT(render(parsed.diagnostics[2]), HasSubstr("etc/pf.conf:3:9: error: cannot read 'etc/none'"));
  EXPECT_EQ(parsed.ruleset.rules.size(), 2U);
}

TEST(Parser, an_include_loop_ends_with_an_error) {
  MemoryFiles files;
  files.files["pf.conf"] = "include \"pf.conf\"\n";
  Environment environment;
  environment.files = &files;
  EXPECT_THAT(errors_of(parse_file("pf.conf", environment)), ElementsAre(HasSubstr("more than 16 deep")));
}

TEST(Parser, anchors_nest_and_may_be_loaded_from_files) {
  MemoryFiles files;
  files.files["guests.pf"] = "pass in\nanchor deep {\n  block out\n}\n";
  Environment environment = two_ports();
  environment.files = &files;
  const ParseResult parsed = parse_text(
      "anchor guests on lan\nanchor \"a\" in {\n  block\n  anchor {\n    pass quick no state\n  }\n}\nblock\n"
      "load anchor guests from \"guests.pf\"\n",
      environment);
  EXPECT_THAT(errors_of(parsed), IsEmpty());
  EXPECT_THAT(rules_of(parsed),
              ElementsAre("anchor \"guests\" on lan all", "pass in all flags S/SA keep state", "anchor \"deep\" all",
                          "block drop out all", "anchor \"a\" in all", "block drop all", "anchor all",
                          "pass quick all no state", "block drop all"));
  EXPECT_EQ(parsed.ruleset.anchors[parsed.ruleset.rules[0].anchor].end, 4U);
  EXPECT_EQ(parsed.ruleset.anchors[parsed.ruleset.rules[2].anchor].rule, 2U);
  EXPECT_EQ(parsed.ruleset.anchors[parsed.ruleset.rules[2].anchor].end, 4U);
  EXPECT_EQ(parsed.ruleset.anchor_path(parsed.ruleset.rules[3]), "guests/deep");
  EXPECT_EQ(parsed.ruleset.rules[8].parent, Rule::kNone);
}

TEST(Parser, anchors_nest_64_deep_whether_written_or_loaded) {
  const auto nested = [](unsigned depth) {
    std::string text;
    for (unsigned i = 0; i < depth; ++i) text += "anchor {\n";
    text += "pass\n";
    for (unsigned i = 0; i < depth; ++i) text += "}\n";
    return text;
  };
  MemoryFiles files;
  Environment environment = two_ports();
  environment.files = &files;
  const std::string loads = "anchor guests\nload anchor guests from \"guests.pf\"\n";
  files.files["guests.pf"] = nested(63);
  EXPECT_THAT(errors_of(parse_text(loads, environment)), IsEmpty());
  files.files["guests.pf"] = nested(64);
  EXPECT_THAT(errors_of(parse_text(loads, environment)),
              ElementsAre(HasSubstr("anchors are nested more than 64 deep")));
}

TEST(Parser, every_error_is_found_and_shown_with_its_place) {
  const ParseResult parsed = parse_text(
      "pass in on dmz\nblock proto tpc\npass in proto tcp to any port 70000\nmatch quux\nset timeout tcp.foo 3\n"
      "pass from { 10.0.0.1,\n  10.0.0.x }\nblock in\n  pass on $nothing\ntable <t> { 10.0.0.1 }\ntable <t> { }\n"
      "anchor oops keep {\n  block proto tpc\n}\n}\nblock all");
  EXPECT_THAT(errors_of(parsed),
              ElementsAre("1:12 there is no port or group 'dmz' (known: lan, wan)", "2:13 'tpc' is no protocol",
                          "3:31 port 70000 is above 65535", "4:7 unexpected 'quux': an option of the rule belongs here",
                          "5:13 'tcp.foo' is no timeout", HasSubstr("7:3 '10.0.0.x' is neither an address"),
                          "9:11 macro 'nothing' is not defined", "11:1 table <t> is defined twice",
                          "12:18 unexpected '{': 'state' belongs here", "13:15 'tpc' is no protocol",
                          "15:1 unexpected '}': a statement belongs here"));
  EXPECT_EQ(render(parsed.diagnostics[1]), "pf.conf:2:13: error: 'tpc' is no protocol\nblock proto tpc\n            ^");
  EXPECT_EQ(parsed.ruleset.rules.size(), 2U) << "the lines without errors are read";
}

TEST(Parser, rules_that_contradict_themselves_are_errors) {
  EXPECT_THAT(
      errors_of("pass inet6 proto icmp\nblock return-rst proto udp\npass proto icmp icmp-type echoreq\n"
                "pass from any port 22\npass from 10.0.0.1 to ::1\nblock keep state\npass flags S/A\n"
                "pass inet proto icmp6\npass inet6 proto icmp6 icmp-type 8\npass proto tcp to port 22 fragment\n"
                "pass keep state (overload <x>)\nblock allow-opts\npass proto { tcp icmp } to port 22\n"),
      ElementsAre("1:1 proto icmp does not go with inet6", "2:1 return-rst needs proto tcp",
                  "3:1 icmp-type needs the address family: inet", "4:1 a source port needs proto tcp or udp",
                  HasSubstr("5:1 the rule expands to nothing"), "6:1 only a pass rule can keep state",
                  HasSubstr("7:12 flags outside the mask"), "8:1 proto ipv6-icmp does not go with inet",
                  "9:24 icmp-type does not go with inet6", "10:1 'fragment' allows conditions on the IP header only",
                  "11:18 'overload' needs max-src-conn or max-src-conn-rate",
                  "12:1 allow-opts belongs to pass and match rules", "13:1 a destination port needs proto tcp or udp"));
}

TEST(Parser, what_is_not_supported_is_named) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"pass out on wan nat-to (wan)", "not yet: nat-to"},
      {"match in rdr-to 10.0.0.1", "not yet: rdr-to"},
      {"pass in route-to 10.0.0.1", "not yet: route-to"},
      {"match scrub (no-df)", "not yet: scrub"},
      {"pass set queue x", "not yet: 'set queue'"},
      {"pass synproxy state", "not yet: synproxy state"},
      {"pass from urpf-failed", "not yet: urpf-failed"},
      {"pass user root", "does not apply here: user"},
      {"pass divert-to 127.0.0.1 port 1", "not yet: divert-to"},
      {"pass in on rdomain 1", "does not apply here: rdomain"},
      {"pass rtable 1", "does not apply here: rtable"},
      {"pass from any os OpenBSD", "does not apply here: os"},
      {"pass log (matches)", "not yet: log (matches)"},
      {"pass log (to pflog1)", "does not apply here: log (to pflog1)"},
      {"pass received-on lan", "not yet: received-on"},
      {"pass ! received-on lan", "not yet: received-on"},
      {"set reassemble yes", "not yet: reassemble"},
      {"set fingerprints \"x\"", "does not apply here: fingerprints"},
      {"pass from www.example.org", "does not apply here: host names"},
      {"anchor \"ftp-proxy/*\"", "not yet: anchors that are filled at run time"},
      {"anchor later", "not yet: anchors that are filled at run time"},
      {"queue q on wan", "not yet: queue"},
      {"nat on wan from lan:network -> wan", "nat-to"},
      {"pass keep state (no-sync)", "does not apply here: no-sync"},
  };
  for (const auto& [text, sentence] : cases) {
    EXPECT_THAT(errors_of(text), ElementsAre(HasSubstr(sentence))) << text;
  }
}

TEST(Parser, hostile_texts_end_in_errors_and_not_in_harm) {
  Environment environment = two_ports();
  environment.max_rules = 10'000;
  std::string product = "pass proto tcp from {";
  for (int i = 0; i < 200; ++i) product += " 10.0.0." + std::to_string(i);
  product += " } to {";
  for (int i = 0; i < 200; ++i) product += " 10.1.0." + std::to_string(i);
  EXPECT_THAT(errors_of(parse_text(product + " }\n", environment)), ElementsAre(HasSubstr("more than 10000 rules")));

  std::string nested;
  for (int i = 0; i < 1000; ++i) nested += "anchor {\n";
  EXPECT_FALSE(parse_text(nested, environment).ok());

  std::string doubling = "a = \"xxxxxxxxxxxxxxxx\"\n";
  for (char name = 'b'; name <= 'z'; ++name) {
    const char before = static_cast<char>(name - 1);
    doubling += std::string(1, name) + " = $" + before + " $" + before + "\n";
  }
  EXPECT_FALSE(parse_text(doubling, environment).ok());
  EXPECT_FALSE(parse_text("set limit states 99999999999999999999999\n").ok());
  EXPECT_FALSE(parse_text(std::string("pass \0 in\n", 10)).ok());
  EXPECT_FALSE(parse_text("pass \"\n").ok());
  EXPECT_FALSE(parse_text("pass from {\n").ok());
}

TEST(Parser, alone_a_text_numbers_its_interfaces_in_order_of_appearance) {
  const ParseResult parsed = parse({.name = "pf.conf", .text = "pass on em1\nblock on { em0 em1 }\n"}, Environment{});
  EXPECT_THAT(parsed.ruleset.port_names, ElementsAre("em1", "em0"));
  EXPECT_EQ(parsed.ruleset.rules[1].ports, 2U);
}

TEST(Parser, macros_given_from_outside_win) {
  Environment environment = two_ports();
  environment.macros = {{"if", "wan"}};
  EXPECT_THAT(rules_of(parse_text("if = lan\nblock on $if\n", environment)), ElementsAre("block drop on wan all"));
}

}  // namespace
}  // namespace ringplane::firewall
