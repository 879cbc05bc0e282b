#include "control/rule_difference.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"

namespace ringplane::control {
namespace {

using ::testing::HasSubstr;

firewall::Ruleset rules_of(const std::string& text) {
  firewall::ParseResult parsed = firewall::parse({.name = "pf.conf", .text = text}, {});
  EXPECT_TRUE(parsed.ok()) << (parsed.diagnostics.empty() ? "" : firewall::render(parsed.diagnostics.front()));
  return std::move(parsed.ruleset);
}

RuleDifference between(const std::string& before, const std::string& after) {
  return difference_of(rules_of(before), rules_of(after));
}

/// "+now" "-was" "~was => now" ">now"
std::vector<std::string> lines_of(const RuleDifference& difference) {
  std::vector<std::string> lines;
  for (const RuleChange& change : difference.rules) {
    switch (change.kind) {
      case ChangeKind::kAdded: lines.push_back("+" + change.now); break;
      case ChangeKind::kRemoved: lines.push_back("-" + change.was); break;
      case ChangeKind::kChanged: lines.push_back("~" + change.was + " => " + change.now); break;
      case ChangeKind::kMoved: lines.push_back(">" + change.now); break;
    }
  }
  return lines;
}

TEST(RuleDifference, OfTheSameRulesIsNothing) {
  const std::string text = "table <t> { 10.0.0.1 }\nset skip on lo\nblock\npass proto tcp from <t> label \"a\"\n";
  const RuleDifference difference = between(text, "# a comment, and blanks\n" + text);
  EXPECT_EQ(difference.rule_changes(), 0U);
  EXPECT_TRUE(difference.rules.empty() && difference.tables.empty());
  EXPECT_TRUE(difference.options_added.empty() && difference.options_removed.empty());
}

TEST(RuleDifference, ARuleWithTheSameLabelHasChanged) {
  const RuleDifference difference =
      between("block\npass proto tcp to port 22 label \"ssh\"\npass proto udp\n",
              "block\npass proto udp\npass proto icmp\npass proto tcp to port 2222 label \"ssh\"\n");
  EXPECT_EQ(difference.changed, 1U) << "though it stands elsewhere";
  EXPECT_EQ(difference.added, 1U);
  ASSERT_EQ(difference.rule_changes(), 2U);
  EXPECT_EQ(difference.rules[1].label, "ssh");
  EXPECT_EQ(difference.rules[1].place, "pf.conf:4");
  EXPECT_THAT(difference.rules[1].was, HasSubstr("port = ssh"));
  EXPECT_THAT(difference.rules[1].now, HasSubstr("port = 2222"));
}

TEST(RuleDifference, ARuleAtTheSamePlaceHasChanged) {
  const RuleDifference difference = between("block\npass proto tcp to port 22\npass proto udp\n",
                                            "# a line more\nblock\npass proto tcp to port 23\npass proto udp\n");
  EXPECT_EQ(difference.changed, 1U);
  EXPECT_EQ(difference.rule_changes(), 1U);
}

TEST(RuleDifference, RulesComeAndGoAndMove) {
  const RuleDifference difference = between("block\npass proto tcp\npass proto udp\npass proto icmp\n",
                                            "pass proto udp\nblock\npass proto tcp\npass proto 47\npass proto 50\n");
  // udp stands before the others now; icmp stood behind udp, and nothing new does.
  EXPECT_THAT(lines_of(difference),
              ::testing::ElementsAre(">pass proto udp all keep state", "-pass proto icmp all keep state",
                                     HasSubstr("+pass proto"), HasSubstr("+pass proto")));
  EXPECT_EQ(difference.moved, 1U) << "the fewest that explain the new order";
  EXPECT_EQ(difference.added, 2U);
  EXPECT_EQ(difference.removed, 1U);
}

TEST(RuleDifference, AnotherAnchorIsAnotherPlace) {
  const RuleDifference difference = between("anchor \"a\" {\n pass proto tcp\n}\nanchor \"b\" {\n pass proto udp\n}\n",
                                            "anchor \"a\" {\n}\nanchor \"b\" {\n pass proto tcp\n pass proto udp\n}\n");
  EXPECT_EQ(difference.moved, 1U);
  EXPECT_EQ(difference.rule_changes(), 1U);
}

TEST(RuleDifference, CountsTheEntriesOfTables) {
  const RuleDifference difference =
      between("table <a> { 10.0.0.1, 10.0.0.2 }\ntable <gone> { 10.0.0.9 }\npass from <a>\npass from <gone>\n",
              "table <a> { 10.0.0.2, 10.0.0.3, ! 10.0.0.4 }\ntable <new> const { }\npass from <a>\npass from <new>\n");
  ASSERT_EQ(difference.tables.size(), 3U);
  EXPECT_EQ(difference.tables[0].kind, ChangeKind::kRemoved);
  EXPECT_EQ(difference.tables[0].name, "gone");
  EXPECT_EQ(difference.tables[0].entries_removed, 1U);
  EXPECT_EQ(difference.tables[1].name, "a");
  EXPECT_EQ(difference.tables[1].entries_added, 2U);
  EXPECT_EQ(difference.tables[1].entries_removed, 1U);
  EXPECT_EQ(difference.tables[2].kind, ChangeKind::kAdded);
}

TEST(RuleDifference, TellsOptions) {
  const RuleDifference difference = between("set limit states 5000\nset block-policy drop\npass\n",
                                            "set limit states 6000\nset block-policy drop\npass\n");
  EXPECT_THAT(difference.options_added, ::testing::ElementsAre(HasSubstr("6000")));
  EXPECT_THAT(difference.options_removed, ::testing::ElementsAre(HasSubstr("5000")));
}

TEST(RuleDifference, ListsNoMoreThanAskedForButCountsAll) {
  std::string many = "block\n";
  for (int port = 1; port <= 300; ++port) many += "pass proto tcp to port " + std::to_string(port) + "\n";
  const RuleDifference difference = between("block\n", many);
  EXPECT_EQ(difference.added, 300U);
  EXPECT_EQ(difference.rules.size(), kMostListedChanges);
  EXPECT_EQ(to_json(difference)["not_listed"], 300 - kMostListedChanges);
}

/// Whatever is done to a ruleset: taking the changes back gives the rules before.
TEST(RuleDifference, AccountsForEveryRule) {
  base::Random random(20261128);
  for (int round = 0; round < 300; ++round) {
    const auto some = [&random](std::uint32_t below) { return static_cast<std::uint32_t>(random() % below); };
    std::vector<std::string> before;
    for (std::uint32_t i = some(30); i > 0; --i) {
      const std::string label = some(3) == 0 ? " label \"l" + std::to_string(some(6)) + "\"" : "";
      before.push_back("pass proto tcp to port " + std::to_string(1 + some(20)) + label);
    }
    std::vector<std::string> after = before;
    for (std::uint32_t i = some(8); i > 0; --i) {
      if (const std::uint32_t what = some(3); what == 0 || after.empty()) {
        after.insert(after.begin() + some(static_cast<std::uint32_t>(after.size()) + 1),
                     "pass proto udp to port " + std::to_string(1 + some(20)));
      } else if (what == 1) {
        after.erase(after.begin() + some(static_cast<std::uint32_t>(after.size())));
      } else {
        std::swap(after[some(static_cast<std::uint32_t>(after.size()))],
                  after[some(static_cast<std::uint32_t>(after.size()))]);
      }
    }
    const auto joined = [](const std::vector<std::string>& lines) {
      std::string text;
      for (const std::string& line : lines) text += line + "\n";
      return text;
    };
    const firewall::Ruleset old_rules = rules_of(joined(before));
    const firewall::Ruleset new_rules = rules_of(joined(after));
    const RuleDifference difference = difference_of(old_rules, new_rules);
    std::map<std::string, int> texts;
    for (const firewall::Rule& rule : new_rules.rules) ++texts[firewall::text_of(new_rules, rule)];
    for (const RuleChange& change : difference.rules) {
      if (change.kind == ChangeKind::kMoved) continue;
      if (!change.now.empty()) --texts[change.now];
      if (!change.was.empty()) ++texts[change.was];
    }
    for (const firewall::Rule& rule : old_rules.rules) --texts[firewall::text_of(old_rules, rule)];
    EXPECT_TRUE(std::ranges::all_of(texts, [](const auto& each) { return each.second == 0; })) << "round " << round;
    EXPECT_EQ(new_rules.rules.size() + difference.removed, old_rules.rules.size() + difference.added);
    if (difference.rule_changes() == 0) {
      EXPECT_EQ(before, after) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace ringplane::control
