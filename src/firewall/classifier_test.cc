// The classifier gives what the linear evaluator gives: over random rule sets and packets drawn near their rules.
#include "firewall/classifier.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/ids.h"
#include "base/random.h"
#include "base/vector_width.h"
#include "firewall/decision.h"
#include "firewall/diagnostic.h"
#include "firewall/key_block.h"
#include "firewall/linear.h"
#include "firewall/match_key.h"
#include "firewall/parser.h"
#include "firewall/policy.h"
#include "firewall/random_rules.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

Environment three_ports() {
  Environment environment{.ports_are_complete = true};
  for (const char* name : {"lan", "wan", "dmz"}) {
    environment.ports.push_back(
        {.name = name, .id = base::PortId{static_cast<std::uint8_t>(environment.ports.size())}});
  }
  return environment;
}

std::string error_text(const ParseResult& parsed) {
  std::string all;
  for (const Diagnostic& diagnostic : parsed.diagnostics) all += render(diagnostic) + "\n";
  return all;
}

struct Agreement {
  std::size_t compared = 0;
  std::size_t decided = 0;  // by some rule
};

/// In blocks of different sizes: full ones, and what bursts are made of.
void classify_all(const Classifier& classifier, const std::vector<MatchKey>& keys, const TableOverlay* overlay,
                  std::vector<Decision>& answers) {
  KeyBlock block;
  std::size_t answered = 0;
  std::uint32_t size = KeyBlock::kCapacity;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    block.add(keys[i]);
    if (block.count < size && i + 1 < keys.size()) continue;
    classifier.classify_block(block, std::span(answers).subspan(answered), overlay);
    answered += block.count;
    block.clear();
    size = size == KeyBlock::kCapacity ? 33 : size == 33 ? 16 : size == 16 ? 1 : KeyBlock::kCapacity;
  }
}

void compare(const Ruleset& ruleset, Classifier& classifier, const std::vector<MatchKey>& keys,
             const TableOverlay* overlay, Agreement& agreement) {
  std::vector<Decision> answers(keys.size());
  std::vector<Decision> expected;
  for (const MatchKey& key : keys) {
    expected.push_back(evaluate(ruleset, key, overlay));
    ++agreement.compared;
    if (expected.back().rule.valid()) ++agreement.decided;
  }
  for (const base::VectorWidth width :
       {base::VectorWidth::kPlain, base::VectorWidth::kAvx2, base::VectorWidth::kAvx512}) {
    if (width > base::widest_vectors()) break;
    classifier.use_vectors(width);
    classify_all(classifier, keys, overlay, answers);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      ASSERT_EQ(answers[i], expected[i]) << "linear says rule " << expected[i].rule.value << ", the classifier "
                                         << answers[i].rule.value << "; packet " << i << ", vectors "
                                         << static_cast<int>(width);
    }
  }
}

TEST(Classifier, decides_as_the_linear_evaluator_over_random_rules_and_packets) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("RINGPLANE_SEED=" + std::to_string(seed));
  RecordProperty("seed", std::to_string(seed));
  base::Random random(seed);
  const Environment environment = three_ports();
  Agreement agreement;
  for (int round = 0; round < 400; ++round) {
    RandomRules rules(random());
    const std::string text = rules.text(1 + random.below(round % 20 == 0 ? 300 : 40));
    SCOPED_TRACE(text);
    ParseResult parsed = parse({.name = "random", .text = text}, environment);
    ASSERT_TRUE(parsed.ok()) << error_text(parsed);
    const Policy policy(std::move(parsed.ruleset));
    Classifier classifier(policy.ruleset());
    std::vector<MatchKey> keys;
    for (int i = 0; i < 250; ++i) keys.push_back(rules.packet(policy.ruleset()));
    compare(policy.ruleset(), classifier, keys, nullptr, agreement);

    TableOverlay overlay(64, base::secret_from_seed(seed));
    for (int i = 0; i < 8; ++i) {
      const MatchKey& key = keys[random.below(keys.size())];
      (void)overlay.insert(static_cast<TableId>(random.below(3)), {.family = key.family, .address = key.source});
    }
    compare(policy.ruleset(), classifier, keys, &overlay, agreement);
    if (HasFatalFailure()) return;
  }
  EXPECT_GE(agreement.decided * 4, agreement.compared) << "the packets hardly meet the rules: the test shows little";
}

/// Nested networks of one family, ports and ranges, some interfaces: enough rules for tables of every size.
std::string many_rules(std::size_t count, base::Random& random) {
  std::string text = "block all\n";
  const auto network = [&random](bool wide) {
    const std::string host = std::to_string(random.below(40)) + (wide ? ":" : ".") + std::to_string(random.below(100));
    if (wide) return "2001:db8:" + host + "::/" + std::to_string(48 + 16 * random.below(2));
    return "10." + host + "." + std::to_string(random.below(256)) + "/" + std::to_string(20 + random.below(13));
  };
  for (std::size_t i = 0; i < count; ++i) {
    const bool wide = random.below(2) == 0;
    text += random.below(3) == 0 ? "block in quick" : "pass in";
    if (random.below(8) == 0) text += random.below(2) == 0 ? " on lan" : " on wan";
    text += wide ? " inet6 proto tcp from " : " inet proto tcp from ";
    text += random.below(3) == 0 ? "any" : network(wide);
    text += " to " + network(wide);
    if (random.below(2) == 0) text += " port " + std::to_string(1 + random.below(5));
    if (random.below(8) == 0) text += " flags any";
    text += "\n";
  }
  return text;
}

TEST(Classifier, decides_as_the_linear_evaluator_among_thousands_of_rules_of_both_families) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("RINGPLANE_SEED=" + std::to_string(seed));
  base::Random random(seed);
  for (const std::size_t count : {500U, 2'000U, 8'000U}) {
    ParseResult parsed = parse({.name = "many", .text = many_rules(count, random)}, three_ports());
    ASSERT_TRUE(parsed.ok()) << error_text(parsed);
    Classifier classifier(parsed.ruleset);
    std::vector<MatchKey> keys;
    for (int i = 0; i < 600; ++i) {
      const Rule& rule = parsed.ruleset.rules[1 + random.below(parsed.ruleset.rules.size() - 1)];
      MatchKey key{.source = rule.source.prefix.address,
                   .destination = rule.destination.prefix.address,
                   .destination_port = static_cast<std::uint16_t>(random.below(7)),
                   .port = base::PortId{static_cast<std::uint8_t>(random.below(3))},
                   .family = rule.family,
                   .protocol = 6,
                   .tcp_flags = static_cast<std::uint8_t>(random.below(4) == 0 ? 0x10 : 0x02)};
      key.destination.bytes[3] ^= static_cast<std::uint8_t>(random.below(4));
      keys.push_back(key);
    }
    Agreement agreement;
    compare(parsed.ruleset, classifier, keys, nullptr, agreement);
    if (HasFatalFailure()) return;
  }
}

TEST(Classifier, walks_any_number_of_rules_that_tag_log_or_roll_dice_in_their_order) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("RINGPLANE_SEED=" + std::to_string(seed));
  base::Random random(seed);
  std::string text = "block all\n";
  // Far more than are gathered at a time match every packet of their protocol.
  for (int i = 0; i < 3'000; ++i) {
    const std::string tag = "T" + std::to_string(random.below(6));
    const std::string other = "T" + std::to_string(random.below(6));
    const std::string host = " from 10.0.0." + std::to_string(random.below(4));
    const std::string from = random.below(3) == 0 ? "" : host;
    if (random.below(40) == 0) {
      text += "anchor" + std::string(random.below(2) == 0 ? " quick" : "") + from + " tagged " + tag + " {\n  pass" +
              from + " tag " + other + "\n  match log" + from + "\n}\n";
      continue;
    }
    switch (random.below(4)) {
      case 0: text += "match in proto tcp" + from + " tagged " + tag + " tag " + other + "\n"; break;
      case 1: text += "pass in" + from + " probability 20% tag " + tag + "\n"; break;
      case 2: text += "match log proto udp" + from + "\n"; break;
      default: text += (random.below(500) == 0 ? "pass quick" : "pass") + from + " ! tagged " + tag + "\n"; break;
    }
  }
  ParseResult parsed = parse({.name = "walked", .text = text}, three_ports());
  ASSERT_TRUE(parsed.ok()) << error_text(parsed);
  Classifier classifier(parsed.ruleset);
  std::vector<MatchKey> keys;
  for (int i = 0; i < 300; ++i) {
    keys.push_back({.source = wire::IpAddress::from_ipv4(0x0a000000 + static_cast<std::uint32_t>(random.below(5))),
                    .destination = wire::IpAddress::from_ipv4(0x0a000001),
                    .port = base::PortId{0},
                    .way = random.below(4) == 0 ? Way::kOut : Way::kIn,
                    .family = wire::Family::kIpv4,
                    .protocol = static_cast<std::uint8_t>(random.below(2) == 0 ? 6 : 17),
                    .tcp_flags = 0x02,
                    .tag = static_cast<TagId>(random.below(parsed.ruleset.tags.size())),
                    .random = static_cast<std::uint32_t>(random())});
  }
  Agreement agreement;
  compare(parsed.ruleset, classifier, keys, nullptr, agreement);
}

/// Tables of networks that hold each other, some taken out again; `many` are the tables that hold 10.9.0.0/16.
std::string rules_of_tables(std::size_t tables, std::size_t many, base::Random& random) {
  std::string text = "set limit tables 20000\n";
  const auto network = [&random] {
    const std::string host = std::to_string(random.below(6)) + "." + std::to_string(random.below(6));
    if (random.below(4) == 0) return "2001:db8:" + std::to_string(random.below(9)) + "::/48";
    return "10." + host + ".0/" + std::to_string(14 + random.below(11));
  };
  for (std::size_t i = 0; i < tables; ++i) {
    text += "table <t" + std::to_string(i) + "> { " + (i < many ? "10.9.0.0/16 " : "");
    for (std::uint64_t n = random.below(4); n > 0; --n) text += (random.below(3) == 0 ? "!" : "") + network() + " ";
    text += "}\n";
  }
  text += "block all\n";
  for (std::size_t i = 0; i < tables; ++i) {
    const std::string name = "<t" + std::to_string(i) + ">";
    const std::string other = " <t" + std::to_string(random.below(tables)) + ">";
    text += random.below(3) == 0 ? "block quick" : "pass";
    switch (random.below(5)) {
      case 0: text += " from any to " + name; break;
      case 1: text += " from " + name + " to" + (random.below(2) == 0 ? " !" : "") + other; break;
      case 2: text += " proto tcp from " + name + " to any port 80"; break;
      default: text += " from " + name; break;
    }
    text += random.below(8) == 0 ? " tag A\n" : "\n";
  }
  return text;
}

TEST(Classifier, tells_rules_apart_by_the_tables_that_hold_an_address) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("RINGPLANE_SEED=" + std::to_string(seed));
  base::Random random(seed);
  for (const std::size_t tables : {60U, 400U}) {
    for (const std::size_t many : {0U, 10U, 50U, 300U}) {
      const std::string text = rules_of_tables(tables, many, random);
      ParseResult parsed = parse({.name = "tables", .text = text}, three_ports());
      ASSERT_TRUE(parsed.ok()) << error_text(parsed);
      Classifier classifier(parsed.ruleset);
      const auto address = [&random](bool wide) {
        wire::IpAddress made = wire::IpAddress::from_ipv4(
            0x0a000000 + static_cast<std::uint32_t>((random.below(5) == 0 ? 9 : random.below(6)) << 16 |
                                                    random.below(6) << 8 | random.below(2)));
        if (wide) made = wire::parse_host_address("2001:db8:" + std::to_string(random.below(9)) + "::1")->address;
        return made;
      };
      std::vector<MatchKey> keys;
      TableOverlay overlay(2'000, base::secret_from_seed(seed));
      for (int i = 0; i < 300; ++i) {
        const bool wide = random.below(4) == 0;
        keys.push_back({.source = address(wide),
                        .destination = address(wide),
                        .destination_port = static_cast<std::uint16_t>(random.below(2) == 0 ? 80 : 81),
                        .port = base::PortId{0},
                        .family = wide ? wire::Family::kIpv6 : wire::Family::kIpv4,
                        .protocol = 6,
                        .tcp_flags = 0x02});
        // The first address is in more tables than there is room for.
        for (std::uint64_t n = i == 0 ? 200 : random.below(3); n > 0; --n) {
          (void)overlay.insert(static_cast<TableId>(random.below(tables)),
                               {.family = keys.back().family, .address = keys.back().source});
        }
      }
      Agreement agreement;
      compare(parsed.ruleset, classifier, keys, nullptr, agreement);
      compare(parsed.ruleset, classifier, keys, &overlay, agreement);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Classifier, finds_one_rule_among_many_that_differ_by_address_and_port) {
  std::string text = "block all\n";
  for (unsigned i = 0; i < 20'000; ++i) {
    text += "pass in proto tcp from 10." + std::to_string(i / 250) + "." + std::to_string(i % 250) +
            ".0/24 to any port " + std::to_string(1000 + i % 7) + "\n";
  }
  ParseResult parsed = parse({.name = "many", .text = text}, three_ports());
  ASSERT_TRUE(parsed.ok()) << error_text(parsed);
  const Classifier classifier(parsed.ruleset);
  EXPECT_EQ(classifier.walked_count(), 0U);
  EXPECT_LE(classifier.table_count(Way::kIn, wire::Family::kIpv4), 4U);
  EXPECT_LE(classifier.memory_bytes(), parsed.ruleset.rules.size() * 160);
  MatchKey key{.source = wire::IpAddress::from_ipv4(0x0a130507),
               .destination = wire::IpAddress::from_ipv4(0x01020304),
               .source_port = 40000,
               .destination_port = 1000 + (19 * 250 + 5) % 7,
               .port = base::PortId{0},
               .family = wire::Family::kIpv4,
               .protocol = 6,
               .tcp_flags = 0x02};
  EXPECT_EQ(classifier.classify(key, nullptr).rule.value, 1U + 19 * 250 + 5);
  key.destination_port = 999;
  EXPECT_EQ(classifier.classify(key, nullptr).rule.value, 0U);
}

TEST(Classifier, an_address_in_the_overlay_counts_at_once) {
  ParseResult parsed = parse({.name = "overload", .text = "table <bad> persist\nblock from <bad>\n"}, three_ports());
  ASSERT_TRUE(parsed.ok());
  const Classifier classifier(parsed.ruleset);
  const MatchKey key{.source = wire::IpAddress::from_ipv4(0x0a000001),
                     .destination = {},
                     .port = base::PortId{0},
                     .family = wire::Family::kIpv4,
                     .protocol = 6};
  TableOverlay overlay(1, base::secret_from_seed(1));
  EXPECT_EQ(classifier.classify(key, &overlay).action, Action::kPass);
  EXPECT_EQ(overlay.insert(*parsed.ruleset.find_table("bad"), {wire::Family::kIpv4, key.source}),
            TableOverlay::Inserted::kNew);
  EXPECT_EQ(classifier.classify(key, &overlay).action, Action::kBlock);
  EXPECT_EQ(classifier.classify(key, nullptr).action, Action::kPass);
}

}  // namespace
}  // namespace ringplane::firewall
