// Sets of rules and traces are read as they are written, and mean the same in pf.conf.
#include "bench/classbench.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/ids.h"
#include "bench/rig.h"
#include "bench/rule_source.h"
#include "firewall/match_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::bench {
namespace {

TEST(ClassBench, reads_a_rule_and_a_header) {
  const auto rules = parse_classbench(
      "set",
      "@10.1.2.0/24\t192.0.2.1/32\t0 : 65535\t80 : 443\t0x06/0xFF\t0x1000/0x1000\t\n@0.0.0.0/0\t0.0.0.0/0\t"
      "0 : 65535\t0 : 65535\t0x00/0x00\n");
  ASSERT_TRUE(rules) << rules.error().message;
  ASSERT_EQ(rules->size(), 2U);
  EXPECT_EQ(rules->front().source, 0x0a010200U);
  EXPECT_EQ(rules->front().destination_port_high, 443);
  EXPECT_FALSE(rules->front().any_protocol);
  EXPECT_TRUE(rules->back().any_protocol);
  const auto text = pf_conf_of(*rules);
  ASSERT_TRUE(text);
  EXPECT_EQ(*text,
            "pass quick inet proto 6 from 10.1.2.0/24 to 192.0.2.1/32 port 80:443\npass quick inet from any to any\n");
  const auto trace = parse_trace("trace", "167838209 3221225985 1024 80 6 0\n1 2 3 4 5 -1\n");
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_EQ(first_match(*rules, trace->front()), 0);
  EXPECT_EQ(trace->back().match, -1);
}

TEST(ClassBench, names_the_line_that_is_wrong) {
  const std::string good = "@10.0.0.0/8 10.0.0.0/8 0 : 65535 0 : 65535 0x06/0xFF\n";
  for (const char* bad :
       {"10.0.0.0/8 10.0.0.0/8 0 : 1 0 : 1 0x06/0xFF", "@10.0.0/8 10.0.0.0/8 0 : 1 0 : 1 0x06/0xFF",
        "@10.0.0.0/33 10.0.0.0/8 0 : 1 0 : 1 0x06/0xFF", "@10.0.0.0/8 10.0.0.0/8 2 : 1 0 : 1 0x06/0xFF",
        "@10.0.0.0/8 10.0.0.0/8 0 : 65536 0 : 1 0x06/0xFF", "@10.0.0.0/8 10.0.0.0/8 0 : 1 0 : 1 0x06/0x0F",
        "@10.0.0.0/8 10.0.0.0/8 0 : 1 0 : 1 0x06/0xFF and more"}) {
    const auto rules = parse_classbench("set", good + bad + "\n");
    ASSERT_FALSE(rules) << bad;
    EXPECT_TRUE(rules.error().message.starts_with("set:2:")) << rules.error().message;
  }
  EXPECT_FALSE(parse_classbench("set", ""));
  EXPECT_FALSE(parse_trace("trace", "1 2 3 4 5\n"));
}

TEST(ClassBench, refuses_ports_where_pf_has_none) {
  EXPECT_FALSE(pf_conf_of({{.destination_port_low = 80, .destination_port_high = 80}}));
}

TEST(ClassBench, generated_rules_are_the_same_for_the_same_seed_and_mean_the_same_in_pf) {
  const auto source = find_rules("synth:2k:7");
  ASSERT_TRUE(source) << source.error().message;
  const auto again = find_rules("synth:2000:7");
  ASSERT_TRUE(again);
  EXPECT_EQ(source->pf_conf, again->pf_conf);
  EXPECT_GT(source->rules.size(), 1'900U);
  const auto policy = policy_of(source->name, source->pf_conf);
  ASSERT_TRUE(policy) << policy.error().message;
  for (const char* kind : {"u", "x"}) {
    const auto trace = find_trace(kind, *source);
    ASSERT_TRUE(trace);
    for (const TraceHeader& header : *trace) {
      firewall::MatchKey key{.source = wire::IpAddress::from_ipv4(header.source),
                             .destination = wire::IpAddress::from_ipv4(header.destination),
                             .family = wire::Family::kIpv4,
                             .protocol = header.protocol,
                             .tcp_flags = wire::tcp_flag::kSyn,
                             .icmp_type = 8};
      key.source_port = header.source_port;
      key.destination_port = header.destination_port;
      const base::RuleId rule = (*policy)->classify(key, nullptr).rule;
      ASSERT_EQ(rule.valid() ? std::int64_t{rule.value} : -1, header.match);
    }
  }
}

TEST(ClassBench, says_what_a_wrong_word_should_have_been) {
  for (const char* word : {"synth:", "synth:0", "synth:2G", "synth:1k:x", "no-such-set", "/no/such/file"}) {
    EXPECT_FALSE(find_rules(word)) << word;
  }
}

}  // namespace
}  // namespace ringplane::bench
