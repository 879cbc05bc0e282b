// A policy that was changed is the policy that was compiled whole: after any row of changes both decide as the linear
// evaluator does, and older versions stay as they were.
#include "firewall/policy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
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
#include "firewall/random_rules.h"
#include "firewall/rule_changes.h"
#include "firewall/ruleset.h"
#include "firewall/ruleset_change.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

std::uint64_t seed_of_run() {
  const char* given = std::getenv("RINGPLANE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : base::os_random_seed();
}

Ruleset parsed(const std::string& text) {
  Environment environment{.ports_are_complete = true};
  for (const char* name : {"lan", "wan", "dmz"}) {
    environment.ports.push_back(
        {.name = name, .id = base::PortId{static_cast<std::uint8_t>(environment.ports.size())}});
  }
  ParseResult result = parse({.name = "pf.conf", .text = text}, environment);
  std::string errors;
  for (const Diagnostic& diagnostic : result.diagnostics) errors += render(diagnostic) + "\n";
  EXPECT_TRUE(result.ok()) << errors << text;
  return std::move(result.ruleset);
}

std::shared_ptr<const Policy> policy_of(const std::string& text) {
  return std::make_shared<const Policy>(parsed(text));
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
        const Ruleset piece = parsed(step.text);
        auto made = policy->with_rules(step.first, step.count, piece);
        ASSERT_TRUE(made) << made.error().message;
        policy = *made;
        ASSERT_EQ(policy->rule_count(), before.size() - step.count + piece.rules.size());
        const std::vector<std::string> after = texts_of(policy->ruleset());
        ASSERT_TRUE(std::equal(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(step.first), after.begin()));
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

}  // namespace
}  // namespace ringplane::firewall
