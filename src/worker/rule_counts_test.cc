// What rules count over reloads: who carries on whom, and that nothing is counted twice or lost.
#include "worker/rule_counts.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/ids.h"
#include "base/random.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"
#include "wire/compose.h"
#include "wire/packet.h"
#include "wire/udp.h"
#include "worker/test_connection.h"
#include "worker/test_rig.h"

namespace ringplane::worker {
namespace {

namespace flag = wire::tcp_flag;

firewall::Ruleset ruleset_of(const std::string& text) {
  firewall::ParseResult parsed = firewall::parse({.name = "pf.conf", .text = text}, {});
  EXPECT_TRUE(parsed.ok()) << text;
  return std::move(parsed.ruleset);
}

/// By rule of `present` the index of its heir in `next`, -1 for none.
std::vector<int> heirs(const std::string& present, const std::string& next) {
  const firewall::Ruleset before = ruleset_of(present);
  const firewall::Ruleset after = ruleset_of(next);
  const RuleSuccession succession(before, after);
  EXPECT_EQ(succession.next_count(), after.rules.size());
  std::vector<int> list;
  for (std::uint32_t i = 0; i < before.rules.size(); ++i) {
    const base::RuleId heir = succession.heir_of(base::RuleId{i});
    list.push_back(heir.valid() ? static_cast<int>(heir.value) : -1);
  }
  return list;
}

using List = std::vector<int>;

TEST(RuleSuccession, ARuleWithoutALabelIsKnownByItsTextHoweverItIsWritten) {
  EXPECT_EQ(heirs("block\npass proto tcp to port 22\n", "pass proto tcp to port ssh keep state\nblock drop all\n"),
            (List{1, 0}));
  EXPECT_EQ(heirs("pass proto tcp to port 22\n", "pass proto tcp to port 23\n"), (List{-1}));
}

TEST(RuleSuccession, ARuleWithALabelMayChangeAsMuchAsItLikes) {
  EXPECT_EQ(
      heirs("pass proto tcp to port 22 label \"admin\"\nblock\n", "block\nblock proto udp to port 9 label \"admin\"\n"),
      (List{1, 0}));
  EXPECT_EQ(heirs("pass label \"a\"\n", "pass label \"b\"\n"), (List{-1}));
  EXPECT_EQ(heirs("pass label \"a\"\n", "pass\n"), (List{-1})) << "the label is part of what it is";
}

TEST(RuleSuccession, OfRulesThatShareALabelTheOnesThatDidNotChangeStayThemselves) {
  EXPECT_EQ(heirs("pass proto { tcp, udp } to port 1 label \"x\"\n",
                  "pass proto icmp label \"x\"\npass proto { tcp, udp } to port 1 label \"x\"\n"),
            (List{1, 2}));
  EXPECT_EQ(
      heirs("pass proto tcp to port { 1, 2, 3 } label \"x\"\n", "pass proto tcp to port { 3, 5, 4 } label \"x\"\n"),
      (List{1, 2, 0}));
}

TEST(RuleSuccession, TheNthOfSeveralAlikeCarriesOnTheNth) {
  EXPECT_EQ(heirs("pass\npass\nblock\npass\n", "block\npass\npass\n"), (List{1, 2, 0, -1}));
  EXPECT_EQ(heirs("pass\n", "pass\npass\n"), (List{0}));
}

TEST(RuleSuccession, TheAnchorTellsRulesOfTheSameTextApart) {
  EXPECT_EQ(heirs("anchor \"a\" {\n pass\n}\nanchor \"b\" {\n pass\n}\n",
                  "anchor \"b\" {\n pass\n}\nanchor \"a\" {\n pass\n}\n"),
            (List{2, 3, 0, 1}));
  EXPECT_EQ(heirs("anchor \"a\" {\n pass\n}\n", "anchor \"b\" {\n pass\n}\n"), (List{-1, 1}))
      << "renaming an anchor does not set back what is in it";
}

TEST(RuleSuccession, EveryRuleHasOneHeirAtMostAndIsHeirOfOneAtMost) {
  base::Random random(4);
  for (int round = 0; round < 500; ++round) {
    const auto any_rules = [&] {
      std::string text;
      for (std::uint64_t i = random.below(12); i > 0; --i) {
        text += random.chance(0.5) ? "pass" : "block";
        if (random.chance(0.5)) text += " proto tcp to port " + std::to_string(1 + random.below(3));
        if (random.chance(0.5)) text += " label \"l" + std::to_string(random.below(3)) + "\"";
        text += "\n";
      }
      return text;
    };
    const std::string present = any_rules();
    const std::string next = any_rules();
    const firewall::Ruleset before = ruleset_of(present);
    const firewall::Ruleset after = ruleset_of(next);
    const RuleSuccession succession(before, after);
    std::set<std::uint32_t> taken;
    // By label or, without one, by text: as many go over as there are on both sides.
    std::map<std::string, std::array<std::size_t, 3>> alike;
    const auto name = [](const firewall::Ruleset& ruleset, const firewall::Rule& rule) {
      const std::string_view label = ruleset.label_of(rule);
      return label.empty() ? firewall::text_of(ruleset, rule) : std::string(label);
    };
    for (const firewall::Rule& rule : after.rules) ++alike[name(after, rule)][1];
    for (std::uint32_t i = 0; i < before.rules.size(); ++i) {
      auto& counts = alike[name(before, before.rules[i])];
      ++counts[0];
      const base::RuleId heir = succession.heir_of(base::RuleId{i});
      if (!heir.valid()) continue;
      ++counts[2];
      EXPECT_TRUE(taken.insert(heir.value).second) << present << "--\n" << next;
      EXPECT_EQ(name(after, after.rule(heir)), name(before, before.rules[i]));
    }
    for (const auto& [who, counts] : alike) {
      EXPECT_EQ(counts[2], std::min(counts[0], counts[1])) << who << "\n" << present << "--\n" << next;
    }
  }
}

constexpr const char* kWeb =
    "block label \"default\"\npass out label \"out\"\npass in on lan proto tcp to port 80 label \"web\"\n";

TEST(RuleCounts, GoOnOverAReloadWithTheFlowsThatStay) {
  TestRig rig(kWeb);
  const Connection web;
  web.establish(rig);
  const RuleCounts before = rig.rule("web");
  EXPECT_EQ(before.packets, 3U);
  EXPECT_EQ(before.states_total, 1U);
  rig.reload(std::string("pass in on lan proto tcp to port 22\n") + kWeb);
  rig.turn(4);
  EXPECT_EQ(rig.rule("web"), before) << "the flow is still one";
  EXPECT_EQ(rig.through(kWan, web.from_server(flag::kAck, 901, 101, 50)).size(), 1U);
  EXPECT_EQ(rig.rule("web").packets, 4U);
  EXPECT_EQ(rig.rule("out").packets, 4U);
  EXPECT_EQ(rig.rule("web").bytes, before.bytes + 90);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(RuleCounts, OfAFlowThatChangesHandsStayWithTheRuleThatMadeIt) {
  TestRig rig(kWeb);
  Connection{}.establish(rig);
  rig.reload("block label \"default\"\npass out label \"out\"\npass in on lan label \"all\"\n");
  rig.turn(4);
  EXPECT_EQ(rig.rule("all").states, 1U);
  EXPECT_EQ(rig.rule("all").states_total, 0U);
  EXPECT_EQ(rig.rule("out").states_total, 1U) << "made once, however many reloads it has lived through";
  rig.reload(kWeb);
  rig.turn(4);
  EXPECT_EQ(rig.rule("web").packets, 0U) << "a rule that was gone begins anew";
  EXPECT_EQ(rig.rule("out").packets, 3U);
}

TEST(RuleCounts, OfAWorkerThatHasNotTakenTheNewRulesYetAreNotLost) {
  TestRig rig(kWeb, {.workers = 2});
  std::vector<Connection> connections;
  for (std::uint16_t i = 0; i < 20; ++i) {
    connections.push_back({.client_port = static_cast<std::uint16_t>(2000 + i)});
    connections.back().establish(rig);
  }
  const auto say = [&](std::uint32_t seq) {
    for (const Connection& connection : connections) {
      ASSERT_TRUE(rig.send(kLan, connection.from_client(flag::kAck, seq, 901, 10), connection.client_port % 2));
    }
  };
  rig.reload(kWeb);
  say(101);
  rig.worker(1).run_once(rig.now_ns);  // takes the new rules, and hands over to the other what is the other's
  EXPECT_FALSE(rig.reloaded());
  rig.turn(4);
  ASSERT_TRUE(rig.reloaded());
  rig.carry_over();
  say(111);
  rig.turn(4);
  EXPECT_EQ(rig.rule("web").packets, 20U * 5);
  EXPECT_EQ(rig.rule("out").packets, 20U * 5);
  EXPECT_EQ(rig.rule("web").states_total, 20U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

/// Random rules, each for a port of its own, come and go; an oracle that knows nothing of snapshots, workers and pairs
/// counts beside them.
class OverManyReloads : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  static constexpr std::size_t kPorts = 12;

  std::string next_rules() {
    std::string text = "block label \"default\"\npass out label \"out\"\n";
    std::vector<std::size_t> order;
    for (std::size_t port = 0; port < kPorts; ++port) {
      if (!random_.chance(0.8)) continue;
      order.insert(order.begin() + static_cast<std::ptrdiff_t>(random_.below(order.size() + 1)), port);
    }
    present_.clear();
    for (const std::size_t port : order) {
      present_.insert(port);
      for (std::uint64_t n = random_.below(3); n > 0; --n) text += "block in inet proto icmp icmp-type unreach\n";
      text += "pass in on lan proto udp from 10.0.0.0/" + std::to_string(8 + random_.below(8)) + " to port " +
              std::to_string(port + 1) + " label \"" + name(port) + "\"\n";
    }
    return text;
  }
  static std::string name(std::size_t port) { return "port " + std::to_string(port + 1); }

  base::Random random_{GetParam()};
  std::set<std::size_t> present_;
};

TEST_P(OverManyReloads, EveryRuleHasCountedWhatAnOracleCounted) {
  TestRig rig(next_rules(), {.workers = 2, .flow_capacity = 500});
  std::map<std::string, RuleCounts> counted;
  std::set<std::pair<std::size_t, std::uint16_t>> flows;  // port, client
  const auto count = [&](const std::string& rule, std::size_t bytes, bool makes_flow) {
    RuleCounts& counts = counted[rule];
    ++counts.packets;
    counts.bytes += bytes;
    if (makes_flow) ++counts.states_total;
  };
  for (int reload = 0; reload < 60; ++reload) {
    for (int n = 0; n < 40; ++n) {
      const std::size_t port = random_.below(kPorts);
      const auto client = static_cast<std::uint16_t>(1000 + random_.below(8));
      const bool back = random_.chance(0.4);
      const std::size_t payload = random_.below(200);
      wire::UdpHeader header{.source_port = client, .destination_port = static_cast<std::uint16_t>(port + 1)};
      if (back) std::swap(header.source_port, header.destination_port);
      ASSERT_TRUE(rig.send(back ? kWan : kLan,
                           wire::compose_udp(back ? between(kServer, kClient) : between(kClient, kServer), header,
                                             std::vector<std::uint8_t>(payload)),
                           static_cast<std::uint32_t>(random_.below(2))));
      rig.turn(3);
      const bool has_flow = flows.contains({port, client});
      const bool passes = has_flow || (!back && present_.contains(port));
      ASSERT_EQ(rig.count_received(back ? kLan : kWan), passes ? 1U : 0U);
      if (passes) {
        count(name(port), 28 + payload, !has_flow);
        count("out", 28 + payload, !has_flow);
        flows.insert({port, client});
      } else {
        count("default", 28 + payload, false);
      }
      rig.now_ns += base::kNanosPerSecond / 1'000'000;
    }
    rig.reload(next_rules());
    for (std::size_t port = 0; port < kPorts; ++port) {
      if (present_.contains(port)) continue;
      counted.erase(name(port));  // gone with its rule
      std::erase_if(flows, [&](const auto& flow) { return flow.first == port; });
    }
    rig.turn(40);  // the sweep is through
    for (const auto& [rule, expected] : counted) {
      RuleCounts counts = rig.rule(rule);
      counts.states = 0;
      ASSERT_EQ(counts.packets, expected.packets) << rule << ", seed " << GetParam() << ", reload " << reload;
      ASSERT_EQ(counts, expected) << rule << ", seed " << GetParam() << ", reload " << reload;
    }
    ASSERT_EQ(rig.rule("out").states, flows.size());
  }
  EXPECT_EQ(rig.missing_frames(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, OverManyReloads, ::testing::Range<std::uint64_t>(1, 7));

TEST(RuleCounts, AddUpToThePacketsWhenWorkersOnThreadsAreReloadedUnderThem) {
  const std::string rules = "pass in label \"in\"\npass out label \"out\"\n";
  TestRig rig(rules, {.workers = 2, .frames_per_worker = 512, .flow_capacity = 4000});
  rig.start_threads();
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  int reloads = 0;
  const auto collect = [&] { received += rig.count_received(kLan) + rig.count_received(kWan); };
  for (std::uint32_t round = 0; round < 200'000 && reloads < 50; ++round) {
    for (std::uint32_t i = 0; i < 8; ++i) {
      const Connection connection{.client_port = static_cast<std::uint16_t>(1000 + (round * 8 + i) % 500)};
      // Half of what a worker receives belongs to the other one.
      sent += rig.send(kLan, connection.syn(), i % 2) ? 1 : 0;
    }
    collect();
    std::this_thread::yield();
    if (sent > 200 * static_cast<std::uint64_t>(reloads) && rig.reloaded()) {
      rig.carry_over();  // at once, while the workers count on
      rig.reload((++reloads % 2 == 0 ? "block in proto udp\n" : "") + rules);
    }
  }
  for (int i = 0; i < 5000 && received + rig.dropped() < sent; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    collect();
  }
  rig.stop_threads();
  collect();
  EXPECT_EQ(reloads, 50);
  // What found no place in a ring between the workers was never judged.
  const std::uint64_t judged = sent - rig.dropped(base::DropReason::mailbox_full);
  std::uint64_t made = 0;
  for (std::size_t i = 0; i < 2; ++i) made += rig.worker(i).tables().flows->counters().inserted.get();
  EXPECT_EQ(rig.rule("in").packets, judged);
  EXPECT_EQ(rig.rule("out").packets, judged);
  EXPECT_EQ(rig.rule("in").states_total, made);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

}  // namespace
}  // namespace ringplane::worker
