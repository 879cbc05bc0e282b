// A policy that was changed is the policy that was compiled whole: after any row of changes both decide as the linear
// evaluator does, and older versions stay as they were.
#include "firewall/policy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/ids.h"
#include "base/random.h"
#include "firewall/decision.h"
#include "firewall/diagnostic.h"
#include "firewall/key_block.h"
#include "firewall/linear.h"
#include "firewall/match_key.h"
#include "firewall/parser.h"
#include "firewall/policy_editor.h"
#include "firewall/prefix_set.h"
#include "firewall/random_rules.h"
#include "firewall/rule_changes.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

ParseResult parsed(const std::string& text) {
  Environment environment{.ports_are_complete = true};
  for (const char* name : {"lan", "wan", "dmz"}) {
    environment.ports.push_back(
        {.name = name, .id = base::PortId{static_cast<std::uint8_t>(environment.ports.size())}});
  }
  ParseResult result = parse({.name = "pf.conf", .text = text}, environment);
  std::string errors;
  for (const Diagnostic& diagnostic : result.diagnostics) errors += render(diagnostic) + "\n";
  EXPECT_TRUE(result.ok()) << errors << text;
  return result;
}

std::shared_ptr<const Policy> policy_of(const std::string& text) {
  return std::make_shared<const Policy>(parsed(text).ruleset);
}

std::vector<std::string> texts_of(const Ruleset& ruleset) {
  std::vector<std::string> texts;
  for (const Rule& rule : ruleset.rules) texts.push_back(ruleset.anchor_path(rule) + ":" + text_of(ruleset, rule));
  return texts;
}

/// The same packets by blocks and one by one.
void expect_decides_as_linear(const Policy& policy, const std::vector<MatchKey>& keys, const TableOverlay* overlay) {
  std::vector<Decision> answers(keys.size());
  KeyBlock block;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    block.add(keys[i]);
    if (!block.is_full() && i + 1 < keys.size()) continue;
    policy.classify_block(block, std::span(answers).subspan(i + 1 - block.count), overlay);
    block.clear();
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Decision expected = evaluate(policy.ruleset(), keys[i], overlay);
    ASSERT_EQ(answers[i], expected) << "linear says rule " << expected.rule.value << ", the block "
                                    << answers[i].rule.value << "; packet " << i;
    ASSERT_EQ(policy.classify(keys[i], overlay), expected) << "packet " << i;
  }
}

struct Step {
  std::size_t first = 0;
  std::size_t count = 0;
  std::string text{};
};

/// A change that with_rules() accepts: no anchor among what is replaced, and all in the same one.
Step random_step(const Ruleset& ruleset, RandomRules& rules, base::Random& random) {
  Step step{.first = random.below(ruleset.rules.size() + 1)};
  const std::uint64_t wanted = random.below(3);
  while (step.count < wanted && step.first + step.count < ruleset.rules.size()) {
    const Rule& rule = ruleset.rules[step.first + step.count];
    if (rule.is_anchor() || rule.parent != ruleset.rules[step.first].parent) break;
    ++step.count;
  }
  for (std::uint64_t i = random.below(3); i > 0; --i) step.text += rules.rule();
  return step;
}

TEST(Policy, decides_as_the_linear_evaluator_after_any_changes_of_rules_and_tables) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("RINGPLANE_SEED=" + std::to_string(seed));
  base::Random random(seed);
  std::size_t changed_in_place = 0;
  for (int round = 0; round < 60; ++round) {
    RandomRules rules(random());
    std::shared_ptr<const Policy> policy = policy_of(rules.text(1 + random.below(round % 10 == 0 ? 200 : 40)));
    std::vector<std::pair<std::shared_ptr<const Policy>, std::vector<std::string>>> older;
    for (int change = 0; change < 40; ++change) {
      older.emplace_back(policy, texts_of(policy->ruleset()));
      if (random.below(5) == 0) {
        const auto table = static_cast<TableId>(random.below(3));
        const TableEntry entry{.prefix = wire::Prefix::of(wire::Family::kIpv4, rules.packet(policy->ruleset()).source,
                                                          static_cast<unsigned>(16 + random.below(17))),
                               .negated = random.below(4) == 0};
        auto made = random.below(2) == 0 ? policy->with_table_change(table, {}, {&entry, 1})
                                         : policy->with_table_change(table, {&entry.prefix, 1}, {});
        ASSERT_TRUE(made) << made.error().message;
        policy = *made;
      } else {
        const Step step = random_step(policy->ruleset(), rules, random);
        SCOPED_TRACE("rules " + std::to_string(step.first) + " and " + std::to_string(step.count) + " more are now " +
                     step.text);
        const std::vector<std::string> before = texts_of(policy->ruleset());
        const ParseResult piece = parsed(step.text);
        auto made = policy->with_rules(step.first, step.count, piece);
        ASSERT_TRUE(made) << made.error().message;
        policy = *made;
        ASSERT_EQ(policy->rule_count(), before.size() - step.count + piece.ruleset.rules.size());
        const std::vector<std::string> after = texts_of(policy->ruleset());
        ASSERT_TRUE(
            std::equal(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(step.first), after.begin()));
        ASSERT_TRUE(std::equal(before.begin() + static_cast<std::ptrdiff_t>(step.first + step.count), before.end(),
                               after.end() - static_cast<std::ptrdiff_t>(before.size() - step.first - step.count)));
      }
      if (policy->classifier().changes() != nullptr) ++changed_in_place;
      if (change % 10 != 9) continue;
      std::vector<MatchKey> keys;
      for (int i = 0; i < 200; ++i) keys.push_back(rules.packet(policy->ruleset()));
      TableOverlay overlay(64, base::secret_from_seed(seed));
      for (int i = 0; i < 8; ++i) {
        const MatchKey& key = keys[random.below(keys.size())];
        (void)overlay.insert(static_cast<TableId>(random.below(3)), {.family = key.family, .address = key.source});
      }
      expect_decides_as_linear(*policy, keys, nullptr);
      expect_decides_as_linear(*policy, keys, &overlay);
      const std::shared_ptr<const Policy> folded = policy->folded();
      EXPECT_EQ(folded->classifier().changes(), nullptr);
      ASSERT_EQ(texts_of(folded->ruleset()), texts_of(policy->ruleset()));
      expect_decides_as_linear(*folded, keys, &overlay);
      if (HasFatalFailure()) return;
    }
    for (const auto& [version, texts] : older) ASSERT_EQ(texts_of(version->ruleset()), texts);
  }
  EXPECT_GE(changed_in_place, 1000U) << "most changes compile everything: the test shows little";
}

TEST(PolicyEditor, folds_aside_and_repeats_what_was_changed_meanwhile) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("RINGPLANE_SEED=" + std::to_string(seed));
  base::Random random(seed);
  RandomRules rules(seed);
  PolicyEditor editor(policy_of(rules.text(300)));
  std::shared_ptr<const Policy> alone = editor.policy();  // without ever being folded aside
  std::size_t folded = 0;
  bool was_folding = false;
  for (int change = 0; change < 600; ++change) {
    // Left alone for a while, so that changes do pile up behind it.
    if (editor.is_folding() && random.below(20) == 0) {
      editor.finish_folding();
      ASSERT_EQ(texts_of(editor.policy()->ruleset()), texts_of(alone->ruleset()));
    }
    if (was_folding && !editor.is_folding()) ++folded;
    was_folding = editor.is_folding();
    if (random.below(4) == 0) {
      const TableEntry entry{.prefix = wire::Prefix::of(wire::Family::kIpv4, rules.packet(alone->ruleset()).source, 24),
                             .negated = random.below(4) == 0};
      ASSERT_TRUE(editor.change_table(0, {}, {entry}));
      alone = *alone->with_table_change(0, {}, {&entry, 1});
      continue;
    }
    const Step step = random_step(alone->ruleset(), rules, random);
    const auto made = editor.change_rules(step.first, step.count, parsed(step.text));
    ASSERT_TRUE(made) << made.error().message;
    alone = *alone->with_rules(step.first, step.count, parsed(step.text));
  }
  EXPECT_GE(folded, 1U);
  ASSERT_EQ(texts_of(editor.policy()->ruleset()), texts_of(alone->ruleset()));
  std::vector<MatchKey> keys;
  for (int i = 0; i < 500; ++i) keys.push_back(rules.packet(alone->ruleset()));
  for (const MatchKey& key : keys) {
    ASSERT_EQ(editor.policy()->classify(key, nullptr), evaluate(alone->ruleset(), key, nullptr));
  }
  EXPECT_FALSE(editor.change_rules(100'000, 0, parsed("pass\n")));
}

/// More tables than are remembered as changed, more changes than fit into one, and a table that grows from nothing.
TEST(Policy, tables_that_rules_are_found_by_may_change_without_end) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("RINGPLANE_SEED=" + std::to_string(seed));
  base::Random random(seed);
  constexpr std::size_t kTables = 100;
  std::string text;
  for (std::size_t i = 0; i < kTables; ++i) text += "table <t" + std::to_string(i) + "> persist\n";
  for (std::size_t i = 0; i < kTables; ++i) text += "block in from <t" + std::to_string(i) + ">\n";
  const std::shared_ptr<const Policy> first = policy_of(text);
  std::shared_ptr<const Policy> policy = first;
  std::vector<MatchKey> keys;
  bool was_half_full = false;
  for (int change = 0; change < 600; ++change) {
    const std::size_t reach = change < 200 ? 5 : kTables;
    const auto table = static_cast<TableId>(random.below(reach));
    std::vector<TableEntry> entries;
    for (std::uint64_t n = random.below(40); n > 0; --n) {
      const auto host = wire::IpAddress::from_ipv4(0x0a000000 + static_cast<std::uint32_t>(random.below(1'000)));
      entries.push_back({.prefix = wire::Prefix::of(wire::Family::kIpv4, host, 32), .negated = false});
    }
    std::vector<wire::Prefix> gone;
    for (const TableEntry& entry : policy->ruleset().tables[table].addresses.entries()) {
      if (random.below(10) == 0) gone.push_back(entry.prefix);
    }
    auto made = change % 50 == 49 ? policy->with_table_contents(table, entries)
                                  : policy->with_table_change(table, gone, entries);
    ASSERT_TRUE(made) << made.error().message;
    was_half_full |= (*made)->wants_folding();
    policy = *made;
    if (change % 20 != 19) continue;
    keys.clear();
    for (int i = 0; i < 100; ++i) {
      keys.push_back(
          {.source = wire::IpAddress::from_ipv4(0x0a000000 + static_cast<std::uint32_t>(random.below(1'000))),
           .destination = {},
           .port = base::PortId{0},
           .family = wire::Family::kIpv4,
           .protocol = 6});
    }
    expect_decides_as_linear(*policy, keys, nullptr);
    if (HasFatalFailure()) return;
  }
  EXPECT_TRUE(was_half_full);
  for (const Table& table : first->ruleset().tables) EXPECT_EQ(table.addresses.size(), 0U);
}

TEST(Policy, a_table_that_rules_name_may_be_defined_later) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "block in from <t" + std::to_string(i) + ">\n";
  const std::shared_ptr<const Policy> policy = policy_of(text);
  const MatchKey key{.source = wire::IpAddress::from_ipv4(0x0a000001),
                     .destination = {},
                     .port = base::PortId{0},
                     .family = wire::Family::kIpv4,
                     .protocol = 6};
  EXPECT_EQ(policy->classify(key, nullptr).action, Action::kPass);
  const auto made = policy->with_rules(100, 0, parsed("table <t50> { 10.0.0.1 }\npass in from 10.0.0.2 to <t50>\n"));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ((*made)->classify(key, nullptr).rule.value, 50U);
}

TEST(Policy, folds_by_itself_when_changes_do_not_fit_any_more) {
  std::string text;
  for (int i = 0; i < 2'000; ++i)
    text += "pass in from 10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + "\n";
  std::shared_ptr<const Policy> policy = policy_of(text);
  std::size_t most = 0;
  for (std::size_t i = 0; i < 2 * RuleChanges::kMaxAdded; ++i) {
    auto made = policy->with_rules(2 * i, 1, parsed("block in label \"l" + std::to_string(i) + "\"\n"));
    ASSERT_TRUE(made) << made.error().message;
    policy = *made;
    if (const RuleChanges* changes = policy->classifier().changes()) most = std::max(most, changes->count());
  }
  EXPECT_EQ(most, 2 * RuleChanges::kMaxAdded) << "one rule gone and one more for each";
  EXPECT_EQ(policy->ruleset().label_of(policy->ruleset().rules[10]), "l5");
}

TEST(Policy, says_why_a_change_is_refused) {
  const std::shared_ptr<const Policy> policy = policy_of(
      "set limit table-entries 2\ntable <a> const { 10.0.0.1 }\ntable <b> persist\n"
      "pass\nanchor in {\n  block\n}\nblock from { <a>, <b> }\n");
  const auto error_of = [](const auto& made) { return made ? std::string("it was taken") : made.error().message; };
  EXPECT_EQ(error_of(policy->with_rules(6, 0, parsed("pass\n"))),
            "there is no rule 6: there are 5 rules, counted from 0");
  EXPECT_EQ(error_of(policy->with_rules(1, 1, parsed(""))),
            "rule 1 is an anchor, which cannot be changed in running rules: reload them");
  EXPECT_EQ(error_of(policy->with_rules(2, 2, parsed(""))),
            "rules 2 and 3 stand in different anchors: change one after the other");
  EXPECT_EQ(error_of(policy->with_rules(0, 0, parsed("anchor { pass\n}\n"))),
            "an anchor cannot be added to running rules: reload them");
  EXPECT_EQ(error_of(policy->with_rules(0, 0, parsed("set skip on lan\n"))),
            "'set' has no place in a change of rules: reload them");
  EXPECT_EQ(error_of(policy->with_rules(0, 0, parsed("table <a> { 10.0.0.9 }\n"))), "table <a> is defined already");
  const std::vector<TableEntry> two = {{.prefix = *wire::parse_prefix("10.0.0.2")},
                                       {.prefix = *wire::parse_prefix("10.0.0.3")}};
  EXPECT_EQ(error_of(policy->with_table_change(0, {}, two)), "table <a> is const: it changes by a reload only");
  EXPECT_EQ(error_of(policy->with_table_change(1, {}, two)),
            "the tables hold more than 2 addresses: see 'set limit table-entries'");
  EXPECT_EQ(error_of(policy->with_table_change(1, {}, std::span(two).first(1))), "it was taken");
}

TEST(Policy, new_rules_stand_where_they_are_put_and_bring_what_they_name) {
  std::shared_ptr<const Policy> policy =
      policy_of("table <a> { 10.0.0.1 }\npass tag RED\nanchor inner in {\n  block tagged RED\n  pass\n}\npass out\n");
  const auto change = [&policy](std::size_t first, std::size_t count, const std::string& text) {
    auto made = policy->with_rules(first, count, parsed(text));
    ASSERT_TRUE(made) << made.error().message;
    policy = *made;
  };
  change(3, 0, "block from { <a>, <new> } tagged RED tag BLUE label \"one\"\n");
  change(6, 1, "table <more> { 10.0.0.2 }\npass out from <more> keep state (max 7)\npass out to 10.0.0.0 - 10.0.0.5\n");
  change(0, 0, "block\n");
  EXPECT_EQ(texts_of(policy->ruleset()),
            (std::vector<std::string>{
                ":block drop all", ":pass all flags S/SA keep state tag RED", ":anchor \"inner\" in all",
                "inner:block drop all tagged RED", "inner:block drop from <a> to any label \"one\" tag BLUE tagged RED",
                "inner:block drop from <new> to any label \"one\" tag BLUE tagged RED",
                "inner:pass all flags S/SA keep state", ":pass out from <more> to any flags S/SA keep state (max 7)",
                ":pass out inet from any to 10.0.0.0 - 10.0.0.5 flags S/SA keep state"}));
  EXPECT_EQ(policy->ruleset().anchors[0].rule, 2U);
  EXPECT_EQ(policy->ruleset().anchors[0].end, 7U);
  EXPECT_EQ(policy->ruleset().place_of(policy->ruleset().rules[7]), "pf.conf:2");
  EXPECT_EQ(texts_of(policy->folded()->ruleset()), texts_of(policy->ruleset()));
}

}  // namespace
}  // namespace ringplane::firewall
