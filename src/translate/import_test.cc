// What real programs printed (tests/import_cases), and what becomes of single rules. Every text that comes out is read
// by the parser of pf.conf. That the kernel and the translation decide the same is lab/import_oracle_test.py's to say.
#include <cstddef>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/result.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "translate/filter.h"
#include "translate/ipset_save.h"
#include "translate/iptables_save.h"
#include "translate/lines.h"
#include "translate/nft_json.h"
#include "translate/pf_writer.h"

namespace ringplane::translate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kCases = "tests/import_cases/";

std::string contents_of(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Translation written(base::Result<Filter> filter, const std::string& host_port = {}) {
  if (!filter) {
    ADD_FAILURE() << filter.error().message;
    return {};
  }
  auto made = write_pf_conf(std::move(*filter), {.source = "a test", .host_port = host_port});
  if (!made) {
    ADD_FAILURE() << made.error().message;
    return {};
  }
  const firewall::ParseResult parsed = firewall::parse({.name = "pf.conf", .text = made->text}, {});
  for (const firewall::Diagnostic& one : parsed.diagnostics) {
    if (one.severity == firewall::Severity::kError) ADD_FAILURE() << firewall::render(one);
  }
  return std::move(*made);
}

/// The lines without comments, of the table `filter` with these rules and policy DROP.
std::string from_iptables(const std::string& rules, const std::string& host_port = {}) {
  const Translation made =
      written(read_iptables_save(
                  "rules", "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:user - [0:0]\n" +
                               rules + "COMMIT\n"),
              host_port);
  std::string lines;
  std::string_view line;
  for (Lines all(made.text); all.next(line);) {
    const std::size_t first = line.find_first_not_of(' ');
    if (first != std::string_view::npos && line[first] != '#') lines += std::string(line) + "\n";
  }
  return lines;
}

std::string refusal_of(const std::string& rule) {
  return written(read_iptables_save("rules", "*filter\n:FORWARD DROP [0:0]\n:user - [0:0]\n" + rule + "\nCOMMIT\n"))
      .text;
}

template <class Reader>
std::string error_of(Reader reader, const std::string& text) {
  const auto read = reader("rules", text);
  return read ? "none" : read.error().message;
}

std::string iptables_error(const std::string& text) {
  return error_of([](const std::string& name, std::string_view rules) { return read_iptables_save(name, rules); },
                  text);
}

TEST(ImportOfRealPrograms, iptables_save_becomes_the_text_beside_it) {
  const Translation made = written(read_iptables_save("iptables.save", contents_of(kCases + "iptables.save")));
  EXPECT_EQ(made.text, contents_of(kCases + "iptables.pf.conf"));
  EXPECT_LT(made.translated, made.statements);
}

TEST(ImportOfRealPrograms, ip6tables_save_is_known_by_its_first_line) {
  const Translation made = written(read_iptables_save("ip6tables.save", contents_of(kCases + "ip6tables.save")));
  EXPECT_EQ(made.text, contents_of(kCases + "ip6tables.pf.conf"));
  EXPECT_EQ(made.translated, made.statements);
}

TEST(ImportOfRealPrograms, nft_json_becomes_the_text_beside_it) {
  const Translation made = written(read_nft_json("nft.json", contents_of(kCases + "nft.json")));
  EXPECT_EQ(made.text, contents_of(kCases + "nft.pf.conf"));
}

TEST(ImportOfRealPrograms, ipset_save_becomes_the_text_beside_it) {
  const Translation made = written(read_ipset_save("ipset.save", contents_of(kCases + "ipset.save")));
  EXPECT_EQ(made.text, contents_of(kCases + "ipset.pf.conf"));
}

TEST(ImportOfIptables, rules_without_states_keep_none) {
  EXPECT_EQ(from_iptables("-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT\n"),
            "pass out quick inet proto tcp to any port 80 no state\nblock drop out quick inet\n");
}

TEST(ImportOfIptables, states_that_only_other_hooks_ask_for_do_not_count) {
  EXPECT_THAT(from_iptables("-A INPUT -m state --state ESTABLISHED -j ACCEPT\n-A FORWARD -p gre -j ACCEPT\n"),
              HasSubstr("pass out quick inet proto gre no state\n"));
}

TEST(ImportOfIptables, states_of_pf_stand_for_rules_about_states) {
  EXPECT_EQ(from_iptables("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
                          "-A FORWARD -m conntrack --ctstate INVALID -j DROP\n"
                          "-A FORWARD -p udp -m udp --dport 53 -m conntrack --ctstate NEW -j ACCEPT\n"),
            "pass out quick inet proto udp to any port 53\nblock drop out quick inet\n");
}

TEST(ImportOfIptables, the_interface_a_packet_came_by_is_a_tag_where_it_leaves) {
  EXPECT_EQ(from_iptables("-A FORWARD -i lan ! -o dmz -j ACCEPT\n"),
            "match in on lan tag lan\npass out quick on ! dmz inet tagged lan no state\nblock drop out quick inet\n");
}

TEST(ImportOfIptables, negated_lists_of_ports_and_flags_are_written_out) {
  EXPECT_EQ(
      from_iptables("-A FORWARD -p tcp -m multiport ! --dports 22,25 -j ACCEPT\n"),
      "pass out quick inet proto tcp to any port { 0:21, 23:24, 26:65535 } no state\nblock drop out quick inet\n");
  EXPECT_EQ(from_iptables("-A FORWARD -p tcp -m tcp ! --tcp-flags SYN,ACK SYN -j DROP\n"),
            "block drop out quick inet proto tcp flags /S\nblock drop out quick inet proto tcp flags A/A\n"
            "block drop out quick inet\n");
}

TEST(ImportOfIptables, what_an_answer_or_an_address_implies_is_said) {
  EXPECT_THAT(from_iptables("-A FORWARD -j REJECT --reject-with tcp-reset\n"),
              HasSubstr("block return-rst out quick inet proto tcp\n"));
  EXPECT_EQ(from_iptables("-A FORWARD -p ipv6-icmp -j ACCEPT\n"), "block drop out quick inet\n");
}

TEST(ImportOfIptables, a_set_that_pf_has_no_name_for_is_an_error) {
  EXPECT_THAT(iptables_error("*filter\n:FORWARD DROP [0:0]\n-A FORWARD -m set --match-set .odd src -j DROP\nCOMMIT\n"),
              HasSubstr("'.odd' is no name of a set"));
}

TEST(ImportOfNft, a_number_beyond_all_is_an_error) {
  EXPECT_THAT(error_of([](const std::string& name, std::string_view rules) { return read_nft_json(name, rules); },
                       R"({"nftables": [1e999]})"),
              HasSubstr("too large"));
}

TEST(ImportOfIptables, words_of_the_grammar_are_quoted) {
  EXPECT_THAT(from_iptables("-A FORWARD -o set -j ACCEPT\n"), HasSubstr("on \"set\" inet"));
  EXPECT_THAT(from_iptables("-A FORWARD -p gre -m multiport --dports 80 -j ACCEPT\n"), Not(HasSubstr("gre")));
}

TEST(ImportOfNft, addresses_that_have_no_family_in_common_match_nothing) {
  const auto lines_of = [](const std::string& expressions) {
    return written(read_nft_json("nft",
                                 R"({"nftables":[{"chain":{"family":"inet","table":"t","name":"c","hook":"forward",)"
                                 R"("type":"filter","prio":0,"policy":"accept"}},{"rule":{"family":"inet","table":"t",)"
                                 R"("chain":"c","handle":1,"expr":[)" +
                                     expressions + R"({"drop":null}]}}]})"))
        .text;
  };
  const auto match = [](const std::string& protocol, const std::string& field, const std::string& address) {
    return R"({"match":{"op":"==","left":{"payload":{"protocol":")" + protocol + R"(","field":")" + field +
           R"("}},"right":")" + address + R"("}},)";
  };
  EXPECT_THAT(lines_of(match("ip", "saddr", "10.0.0.1") + match("ip", "daddr", "10.0.0.2")),
              HasSubstr("block drop out quick inet from 10.0.0.1 to 10.0.0.2"));
  EXPECT_THAT(lines_of(match("ip", "saddr", "10.0.0.1") + match("ip", "daddr", "2001:db8::1")),
              Not(HasSubstr("block")));
}

TEST(ImportOfIptables, a_chain_is_an_anchor_where_rules_jump_to_it) {
  EXPECT_EQ(from_iptables("-A FORWARD -s 10.0.0.0/8 -j user\n-A FORWARD -p udp -j ACCEPT\n-A user -p tcp -j ACCEPT\n"),
            "anchor \"user\" out inet from 10.0.0.0/8 {\n  pass out quick inet proto tcp no state\n}\n"
            "pass out quick inet proto udp no state\nblock drop out quick inet\n");
}

TEST(ImportOfIptables, return_is_what_follows_if_that_is_the_same_for_all) {
  // Behind the jump only the policy is left.
  EXPECT_EQ(from_iptables("-A FORWARD -j user\n-A user -p tcp -j RETURN\n-A user -j ACCEPT\n"),
            "anchor \"user\" out inet {\n  block drop out quick inet proto tcp\n  pass out quick inet no state\n}\n"
            "block drop out quick inet\n");
}

TEST(ImportOfIptables, return_before_other_rules_turns_its_condition_round) {
  EXPECT_EQ(
      from_iptables("-A FORWARD -j user\n-A FORWARD -p udp -j ACCEPT\n-A user -s 10.1.0.0/16 -j RETURN\n"
                    "-A user -j REJECT --reject-with icmp-host-prohibited\n"),
      "anchor \"user\" out inet {\n  anchor out inet from ! 10.1.0.0/16 {\n    block return-icmp (10) out quick inet\n"
      "  }\n}\npass out quick inet proto udp no state\nblock drop out quick inet\n");
  EXPECT_THAT(refusal_of("-A FORWARD -j user\n-A FORWARD -p udp -j ACCEPT\n-A user -s 10.1.0.0/16 -p tcp -j RETURN\n"
                         "-A user -j DROP"),
              HasSubstr("pf cannot leave a chain"));
}

TEST(ImportOfIptables, goto_with_conditions_needs_a_chain_that_decides_or_a_known_end) {
  EXPECT_THAT(from_iptables("-A FORWARD -p tcp -g user\n-A FORWARD -j ACCEPT\n-A user -s 10.0.0.0/8 -j ACCEPT\n"),
              HasSubstr("  pass out quick inet from 10.0.0.0/8 no state\n  block drop out quick inet\n}\n"
                        "pass out quick inet no state\n"));
}

TEST(ImportOfIptables, what_cannot_match_leaves_nothing) {
  EXPECT_EQ(from_iptables("-A FORWARD -p tcp -m tcp --tcp-flags ACK SYN -j ACCEPT\n"), "block drop out quick inet\n");
}

TEST(ImportOfIptables, rules_of_a_host_stand_before_its_port) {
  EXPECT_EQ(from_iptables("-A INPUT -i lo -j ACCEPT\n-A INPUT -i eth0 -p tcp -m tcp --dport 22 -j ACCEPT\n"
                          "-A OUTPUT -d 192.0.2.9/32 -j DROP\n",
                          "dmz"),
            "pass out quick on dmz inet proto tcp to any port 22 no state\nblock drop out quick on dmz inet\n"
            "block drop in quick on dmz inet to 192.0.2.9\npass in quick on dmz inet no state\n");
}

TEST(ImportOfIptables, refusals_say_what_to_do_instead) {
  EXPECT_THAT(refusal_of("-A FORWARD -m connlimit --connlimit-above 5 -j DROP"), HasSubstr("max-src-conn N"));
  EXPECT_THAT(refusal_of("-A FORWARD -m limit --limit 5/min -j ACCEPT"), HasSubstr("max-src-conn-rate"));
  EXPECT_THAT(refusal_of("-A FORWARD -i eth+ -j ACCEPT"), HasSubstr("wildcard"));
  EXPECT_THAT(refusal_of("-A FORWARD -j TCPMSS --clamp-mss-to-pmtu"), HasSubstr("# 0 of 1 translated\n"));
  EXPECT_THAT(refusal_of("-A FORWARD -j CT"), HasSubstr("target 'CT': not yet"));
}

TEST(ImportOfIptables, chains_that_jump_in_a_circle_or_unfold_without_end_are_refused) {
  EXPECT_THAT(refusal_of("-A FORWARD -p tcp -j user\n-A user -p tcp -j user"), HasSubstr("in a circle"));
  std::string doubling = "*filter\n:FORWARD DROP [0:0]\n:c0 - [0:0]\n-A FORWARD -p tcp -j c0\n";
  for (int i = 0; i < 25; ++i) {
    const std::string to = " -j c" + std::to_string(i + 1) + "\n";
    const std::string from = "-A c" + std::to_string(i);
    doubling.append(from).append(" -p tcp").append(to).append(from).append(" -p udp").append(to);
  }
  auto filter = read_iptables_save("rules", doubling + "-A c25 -p tcp -j ACCEPT\nCOMMIT\n");
  ASSERT_TRUE(filter) << filter.error().message;
  const auto made = write_pf_conf(std::move(*filter), {.source = "test", .host_port = {}});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("1,000,000"));
}

TEST(ImportOfIptables, text_in_comments_cannot_become_a_rule) {
  const Translation made = written(read_iptables_save("rules",
                                                      "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -m mark --mark 1 -m "
                                                      "comment --comment \"x\\\\\" -j ACCEPT\\\nCOMMIT\n"));
  EXPECT_THAT(made.text, HasSubstr("# 0 of 1 translated\n"));
}

TEST(ImportOfNft, names_with_line_ends_cannot_become_rules) {
  const Translation made = written(read_nft_json("rules", R"({"nftables": [
      {"chain": {"family": "ip", "table": "t", "name": "f\npass", "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
      {"chain": {"family": "ip", "table": "t", "name": "u\npass"}},
      {"rule": {"family": "ip", "table": "t", "chain": "f\npass", "expr": [{"jump": {"target": "u\npass"}}]}},
      {"rule": {"family": "ip", "table": "t", "chain": "f\npass", "expr": [{"jump": {"target": "x\npass"}}]}},
      {"rule": {"family": "ip", "table": "t", "chain": "f\npass", "comment": "c\npass", "expr": [{"drop": null}]}},
      {"rule": {"family": "ip", "table": "t", "chain": "u\npass", "expr": [{"match":
          {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "i\npass"}}, {"drop": null}]}}]})"));
  EXPECT_THAT(made.text, Not(HasSubstr("\npass")));
}

TEST(ImportOfIptables, lines_that_no_iptables_save_prints_are_errors_with_their_number) {
  EXPECT_THAT(iptables_error(""), HasSubstr("no '*filter'"));
  EXPECT_THAT(iptables_error("*filter\nnonsense\nCOMMIT\n"), HasSubstr("rules:2: 'nonsense' is no rule"));
  EXPECT_THAT(iptables_error("*filter\n:FORWARD DROP [0:0]\n"), HasSubstr("rules:2: the input ends before"));
  EXPECT_THAT(iptables_error("*filter\n-A FORWARD -s\nCOMMIT\n"), HasSubstr("rules:2: '-s' lacks its value"));
  EXPECT_THAT(iptables_error("*filter\n-A FORWARD -s 10.0.0.300 -j DROP\nCOMMIT\n"),
              HasSubstr("rules:2: '10.0.0.300'"));
  EXPECT_THAT(iptables_error("*filter\n-A FORWARD -m comment --comment \"x\nCOMMIT\n"), HasSubstr("rules:2: a quote"));
  EXPECT_THAT(iptables_error("*filter\n-A FORWARD -p tcp --dport 99999 -j DROP\nCOMMIT\n"),
              HasSubstr("rules:2: '99999'"));
  EXPECT_THAT(iptables_error("-A FORWARD -j DROP\n"), HasSubstr("rules:1: '-A FORWARD -j DROP' stands in no table"));
  EXPECT_THAT(iptables_error("*filter\n" + std::string(70'000, 'x') + "\n"),
              HasSubstr("rules:2: a line of more than 64 KiB"));
}

TEST(ImportOfNft, of_several_chains_at_a_hook_the_first_is_translated) {
  const Translation made = written(read_nft_json("rules", R"({"nftables": [
      {"chain": {"family": "inet", "table": "late", "name": "f", "type": "filter", "hook": "forward", "prio": 10, "policy": "drop"}},
      {"chain": {"family": "inet", "table": "soon", "name": "f", "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}},
      {"rule": {"family": "inet", "table": "late", "chain": "f", "handle": 2, "expr": [{"accept": null}]}},
      {"rule": {"family": "inet", "table": "soon", "chain": "f", "handle": 3, "expr": [{"drop": null}]}}]})"));
  EXPECT_THAT(made.text, HasSubstr("# inet soon f\nblock drop out quick\n"));
  EXPECT_THAT(made.text, HasSubstr("inet late f handle 2: a second chain at hook 'forward'"));
  EXPECT_THAT(made.text, HasSubstr("# 1 of 2 translated\n"));
}

TEST(ImportOfNft, rules_of_iptables_in_nftables_are_refused) {
  const Translation made = written(read_nft_json("rules", R"({"nftables": [
      {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
      {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 2,
                "expr": [{"xt": {"type": "match", "name": "conntrack"}}, {"accept": null}]}}]})"));
  EXPECT_THAT(made.text, HasSubstr("not yet: xt"));
  EXPECT_THAT(made.text, Not(HasSubstr("pass out")));
}

TEST(ImportOfNft, text_that_is_no_list_of_nft_is_an_error) {
  const auto nft_error = [](const std::string& text) {
    return error_of([](const std::string& name, std::string_view json) { return read_nft_json(name, json); }, text);
  };
  EXPECT_THAT(nft_error("{\n\"nftables\": [\n"), HasSubstr("rules:3: no JSON"));
  EXPECT_THAT(nft_error("[]"), HasSubstr("no list named 'nftables'"));
  EXPECT_THAT(nft_error(std::string(100'000, '[')), HasSubstr("rules"));
  EXPECT_THAT(nft_error(R"({"nftables": [{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": []}}]})"),
              HasSubstr("chain 'ip t c'"));
}

TEST(ImportOfIpset, entries_that_are_none_are_errors_with_their_line) {
  const auto ipset_error = [](const std::string& text) {
    return error_of([](const std::string& name, std::string_view sets) { return read_ipset_save(name, sets); }, text);
  };
  EXPECT_THAT(ipset_error(""), HasSubstr("no 'create SET TYPE'"));
  EXPECT_THAT(ipset_error("create a hash:ip family inet\nadd a 10.0.0.0.1\n"), HasSubstr("rules:2: '10.0.0.0.1'"));
  EXPECT_THAT(ipset_error("add a 10.0.0.1\n"), HasSubstr("rules:1: set 'a' is not created"));
  EXPECT_THAT(ipset_error("create a hash:ip\ncreate a hash:ip\n"), HasSubstr("rules:2: set 'a' is created twice"));
}

TEST(PortRangesOfRules, complement_and_common_part) {
  EXPECT_EQ(complement_of({{80, 80}, {81, 90}}), (PortRanges{{0, 79}, {91, 65535}}));
  EXPECT_EQ(complement_of({{0, 65535}}), PortRanges{});
  EXPECT_EQ(complement_of({{0, 0}, {65535, 65535}}), (PortRanges{{1, 65534}}));
  EXPECT_EQ(common_of({{10, 20}, {30, 40}}, {{15, 35}}), (PortRanges{{15, 20}, {30, 35}}));
}

}  // namespace
}  // namespace ringplane::translate
