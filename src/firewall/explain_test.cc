#include "firewall/explain.h"

#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"

namespace ringplane::firewall {
namespace {

using ::testing::HasSubstr;

Ruleset ruleset_of(std::string text) {
  ParseResult parsed = parse({.name = "pf.conf", .text = std::move(text)}, Environment{});
  for (const Diagnostic& diagnostic : parsed.diagnostics) {
    EXPECT_NE(diagnostic.severity, Severity::kError) << render(diagnostic);
  }
  return std::move(parsed.ruleset);
}

/// "pass 3", "block 1", "pass -": the verdict and the line of the deciding rule.
std::string verdict(const Ruleset& ruleset, std::string_view packet) {
  const auto line = parse_packet_line(packet, ruleset);
  if (!line) return render(line.error());
  const Explanation explanation = explain(ruleset, *line);
  const base::RuleId rule = explanation.deciding().decision.rule;
  return std::string(explanation.passes ? "pass " : "block ") +
         (rule.valid() ? std::to_string(ruleset.rule(rule).where.line) : "-");
}

TEST(Explain, the_last_match_wins_and_quick_ends) {
  const Ruleset rules = ruleset_of(
      "block all\npass in on lan proto tcp to port 22\nblock in quick on lan from 10.0.0.5\npass on lan from "
      "10.0.0.5\n");
  EXPECT_EQ(verdict(rules, "in on lan proto tcp from 10.0.0.1 port 40000 to 192.0.2.10 port 22 flags S"), "pass 2");
  EXPECT_EQ(verdict(rules, "in on lan proto tcp from 10.0.0.5 port 40000 to 192.0.2.10 port 22 flags S"), "block 3");
  EXPECT_EQ(verdict(rules, "in on wan proto tcp from 10.0.0.5 port 40000 to 192.0.2.10 port 22"), "block 1");
  EXPECT_EQ(verdict(rules, "in on lan proto tcp from 10.0.0.1 port 40000 to 192.0.2.10 port 22 flags SA"), "block 1");
}

TEST(Explain, without_a_matching_rule_a_packet_passes) {
  EXPECT_EQ(verdict(ruleset_of("block proto udp\n"), "in on lan proto tcp from 10.0.0.1 to 10.0.0.2"), "pass -");
}

TEST(Explain, tags_stick_from_match_to_filter_and_from_in_to_out) {
  const Ruleset rules = ruleset_of(
      "block\nmatch in on lan from 10.0.0.0/8 tag INSIDE\npass in on lan tagged INSIDE\npass out on wan tagged INSIDE\n"
      "block out on wan ! tagged INSIDE\n");
  EXPECT_EQ(verdict(rules, "in on lan out on wan proto udp from 10.0.0.1 port 1 to 192.0.2.1 port 53"), "pass 4");
  EXPECT_EQ(verdict(rules, "in on lan out on wan proto udp from 172.16.0.1 port 1 to 192.0.2.1 port 53"), "block 1");
  EXPECT_EQ(verdict(rules, "out on wan proto udp from 10.0.0.1 port 1 to 192.0.2.1 port 53"), "block 5");
  EXPECT_EQ(verdict(rules, "out on wan proto udp from 10.0.0.1 port 1 to 192.0.2.1 port 53 tagged INSIDE"), "pass 4");
}

TEST(Explain, anchors_are_entered_only_if_their_conditions_hold) {
  const Ruleset rules = ruleset_of(
      "block\nanchor in on lan {\n  pass proto tcp\n}\nanchor in quick on dmz {\n  pass proto udp\n}\nblock proto "
      "udp\n");
  EXPECT_EQ(verdict(rules, "in on lan proto tcp from 10.0.0.1 to 10.0.0.2"), "pass 3");
  EXPECT_EQ(verdict(rules, "out on lan proto tcp from 10.0.0.1 to 10.0.0.2"), "block 1");
  EXPECT_EQ(verdict(rules, "in on dmz proto udp from 10.0.0.1 to 10.0.0.2"), "pass 6");
  EXPECT_EQ(verdict(rules, "in on dmz proto icmp from 10.0.0.1 to 10.0.0.2"), "block 1");
}

TEST(Explain, fragments_match_no_rule_on_ports_and_ip_options_need_allow_opts) {
  const Ruleset rules = ruleset_of("block\npass proto udp to port 53\npass proto udp to port 99 allow-opts\n");
  EXPECT_EQ(verdict(rules, "in on lan proto udp from 10.0.0.1 port 1 to 10.0.0.2 port 53"), "pass 2");
  EXPECT_EQ(verdict(rules, "in on lan proto udp from 10.0.0.1 to 10.0.0.2 fragment"), "block 1");
  EXPECT_EQ(verdict(rules, "in on lan proto udp from 10.0.0.1 port 1 to 10.0.0.2 port 53 ip-options"), "block 2");
  EXPECT_EQ(verdict(rules, "in on lan proto udp from 10.0.0.1 port 1 to 10.0.0.2 port 99 ip-options"), "pass 3");
}

TEST(Explain, a_reply_to_a_query_does_not_match_a_rule_that_keeps_state) {
  const Ruleset rules = ruleset_of("block\npass inet proto icmp\npass inet proto icmp from 10.0.0.9 no state\n");
  EXPECT_EQ(verdict(rules, "in on lan proto icmp from 10.0.0.1 to 10.0.0.2 icmp-type echoreq"), "pass 2");
  EXPECT_EQ(verdict(rules, "in on lan proto icmp from 10.0.0.1 to 10.0.0.2 icmp-type echorep"), "block 1");
  EXPECT_EQ(verdict(rules, "in on lan proto icmp from 10.0.0.9 to 10.0.0.2 icmp-type echorep"), "pass 3");
}

TEST(Explain, block_return_answers_by_protocol) {
  const Ruleset rules = ruleset_of("block return in\nblock return-icmp(host-unr) out\n");
  const auto reply = [&rules](std::string_view packet) {
    const Decision decision = explain(rules, parse_packet_line(packet, rules).value()).deciding().decision;
    return std::pair(decision.reply, int{decision.reply_code});
  };
  EXPECT_EQ(reply("in on lan proto tcp from 10.0.0.1 to 10.0.0.2").first, Reply::kTcpRst);
  EXPECT_EQ(reply("in on lan proto tcp from 10.0.0.1 to 10.0.0.2 flags R").first, Reply::kNone);
  EXPECT_EQ(reply("in on lan proto udp from 10.0.0.1 to 10.0.0.2"), std::pair(Reply::kUnreachable, 3));
  EXPECT_EQ(reply("in on lan proto udp from ::1 to ::2"), std::pair(Reply::kUnreachable, 4));
  EXPECT_EQ(reply("in on lan proto icmp from 10.0.0.1 to 10.0.0.2").first, Reply::kNone);
  EXPECT_EQ(reply("out on lan proto tcp from 10.0.0.1 to 10.0.0.2"), std::pair(Reply::kUnreachable, 1));
}

TEST(Explain, the_account_names_the_rule_and_why_others_did_not_decide) {
  const Ruleset rules = ruleset_of(
      "block all\npass in on lan proto udp\nblock in quick on lan proto tcp to port 22 label \"no ssh\"\npass all\n");
  const auto line =
      parse_packet_line("in on lan proto tcp from 10.0.0.5 port 40000 to 192.0.2.10 port 22 flags S", rules);
  const std::string text = to_text(rules, explain(rules, line.value()));
  EXPECT_THAT(text, HasSubstr("block\nin on lan: block, no answer\n  decided by\n    pf.conf:3  block drop in quick"));
  EXPECT_THAT(text, HasSubstr("label \"no ssh\""));
  EXPECT_THAT(text, HasSubstr("did not decide (the last match wins)\n    pf.conf:1  block drop all"));
  EXPECT_THAT(text, HasSubstr("pf.conf:2  pass in on lan proto udp all keep state\n      another protocol"));
  EXPECT_THAT(text, HasSubstr("not reached\n    pf.conf:4"));
}

TEST(Explain, a_test_file_holds_expectations) {
  const Ruleset rules = ruleset_of("block label \"all\"\npass proto tcp to port 22 label \"ssh\"\n");
  const TestFile file = parse_test_file(
      {.name = "tests",
       .text = "# rules\n\nin on lan proto tcp from 10.0.0.1 to 10.0.0.2 port 22 expect pass by \"ssh\"\n"
               "in on lan proto udp from 10.0.0.1 to 10.0.0.2 expect block by all # why\n"
               "in on lan proto tcp from 10.0.0.1 to 10.0.0.2 port 23 expect pass\n"
               "in on lan proto tcp from 10.0.0.1 to 10.0.0.2 port 22 expect pass by \"all\"\n"
               "in on lan proto tcp from 10.0.0.1 to 10.0.0.2\nnonsense expect pass\n"},
      rules);
  ASSERT_EQ(file.lines.size(), 4U);
  std::string why;
  EXPECT_TRUE(expectation_holds(rules, file.lines[0], explain(rules, file.lines[0]), &why)) << why;
  EXPECT_TRUE(expectation_holds(rules, file.lines[1], explain(rules, file.lines[1]), &why)) << why;
  EXPECT_FALSE(expectation_holds(rules, file.lines[2], explain(rules, file.lines[2]), &why));
  EXPECT_THAT(why, HasSubstr("expected pass, but it is blocked by pf.conf:1"));
  EXPECT_FALSE(expectation_holds(rules, file.lines[3], explain(rules, file.lines[3]), &why));
  EXPECT_THAT(why, HasSubstr("labelled \"all\""));
  ASSERT_EQ(file.diagnostics.size(), 2U);
  EXPECT_THAT(render(file.diagnostics[0]), HasSubstr("tests:7:1: error: the line does not say"));
  EXPECT_THAT(render(file.diagnostics[1]), HasSubstr("tests:8:1: error: a packet begins with"));
}

TEST(Explain, nonsense_packets_are_refused_with_the_place) {
  const Ruleset rules = ruleset_of("block on lan\n");
  const auto error = [&rules](std::string_view text) { return render(parse_packet_line(text, rules).error()); };
  EXPECT_THAT(error("in on lan proto tcp from 10.0.0.300"),
              HasSubstr("packet:1:26: error: '10.0.0.300' is no address"));
  EXPECT_THAT(error("in on lan from 10.0.0.1 to ::1"), HasSubstr("IPv4 and IPv6"));
  EXPECT_THAT(error("in on lan proto icmp from 10.0.0.1 port 3"), HasSubstr("only TCP and UDP have ports"));
  EXPECT_THAT(error("out on lan in on lan"), HasSubstr("comes in on one port"));
}

}  // namespace
}  // namespace ringplane::firewall
