#include "top/keys.h"

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "top/panes.h"
#include "top/sample.h"

namespace ringplane::top {
namespace {

using Kind = Key::Kind;

Effect type(State& state, std::string_view text) {
  Effect effect = Effect::kNone;
  for (const char each : text)
    effect = press(state, {.kind = Kind::kCharacter, .character = static_cast<char32_t>(each)});
  return effect;
}

void hit(State& state, Kind kind) {
  EXPECT_EQ(press(state, {.kind = kind}), Effect::kNone);
}

TEST(Keys, BeginWithTheBusiestFlowsAndRules) {
  const Wanted wanted = State().wanted();
  EXPECT_EQ(wanted.flows, (Wanted::List{.sort = "rate", .search = ""}));
  EXPECT_EQ(wanted.rules, (Wanted::List{.sort = "rate", .search = ""}));
}

TEST(Keys, ChooseThePane) {
  State state;
  type(state, "1");
  EXPECT_EQ(state.focus, Pane::kPorts);
  hit(state, Kind::kBackTab);
  EXPECT_EQ(state.focus, Pane::kWorkers);
  hit(state, Kind::kTab);
  hit(state, Kind::kTab);
  EXPECT_EQ(state.focus, Pane::kFlows);
}

TEST(Keys, GoRoundTheColumnsOfEachPaneBothWays) {
  for (const char pane : std::string_view("12345")) {
    State state;
    type(state, {&pane, 1});
    const Sort& sort = state.at(state.focus).sort;
    const std::size_t first = sort.column;
    std::set<std::size_t> seen;
    do {
      seen.insert(sort.column);
      type(state, "s");
    } while (sort.column != first && seen.size() < 50);
    EXPECT_EQ(seen.size(), sorts_of(state.focus).size());
    type(state, "sS");
    EXPECT_EQ(sort.column, first);
  }
}

TEST(Keys, OrdersOfFlowsAreThoseOfTheApi) {
  State state;
  std::set<std::string> asked;
  for (int i = 0; i < 5; ++i, type(state, "s")) asked.insert(state.wanted().flows.sort);
  EXPECT_EQ(asked, (std::set<std::string>{"rate", "packet_rate", "bytes", "packets", "age"}));
  type(state, "r");
  EXPECT_TRUE(state.at(Pane::kFlows).sort.reverse);
}

TEST(Keys, AFilterIsTakenByEnterAndNotByEscape) {
  State state;
  type(state, "/10.q");
  EXPECT_TRUE(state.is_editing) << "q is a letter here";
  EXPECT_EQ(state.wanted().flows.search, "") << "not yet";
  hit(state, Kind::kBackspace);
  hit(state, Kind::kEnter);
  EXPECT_EQ(state.wanted().flows.search, "10.");
  EXPECT_EQ(state.wanted().rules.search, "") << "of the pane that has the focus";
  type(state, "/9");
  EXPECT_EQ(state.edited, "10.9") << "goes on with what it was";
  hit(state, Kind::kEscape);
  EXPECT_EQ(state.wanted().flows.search, "10.");
  hit(state, Kind::kEscape);
  EXPECT_EQ(state.wanted().flows.search, "");
  type(state, "/");
  type(state, std::string(1'000, 'x'));
  EXPECT_EQ(state.edited.size(), 200U);
}

TEST(Keys, MoveThroughTheList) {
  State state;
  state.page_rows = 10;
  std::size_t& first = state.at(Pane::kFlows).first;
  hit(state, Kind::kUp);
  EXPECT_EQ(first, 0U);
  hit(state, Kind::kDown);
  hit(state, Kind::kPageDown);
  EXPECT_EQ(first, 11U);
  hit(state, Kind::kPageUp);
  hit(state, Kind::kPageUp);
  EXPECT_EQ(first, 0U);
  hit(state, Kind::kEnd);
  hit(state, Kind::kPageDown);
  EXPECT_GT(first, 1'000'000U) << "the view knows where the end is";
  hit(state, Kind::kHome);
  EXPECT_EQ(first, 0U);
}

TEST(Keys, PauseAndPace) {
  State state;
  type(state, " ");
  EXPECT_TRUE(state.is_paused);
  type(state, " ");
  EXPECT_FALSE(state.is_paused);
  type(state, "+");
  EXPECT_EQ(state.interval_s, 2);
  type(state, "---");
  EXPECT_EQ(state.interval_s, kLeastInterval);
  type(state, "-");
  EXPECT_EQ(state.interval_s, kLeastInterval);
  state.interval_s = 3;
  type(state, "+");
  EXPECT_EQ(state.interval_s, 5);
  type(state, "+++++++");
  EXPECT_EQ(state.interval_s, kMostInterval);
}

TEST(Keys, HelpIsLeftByAnyKey) {
  State state;
  type(state, "?");
  EXPECT_TRUE(state.shows_help);
  EXPECT_EQ(type(state, "q"), Effect::kNone);
  EXPECT_FALSE(state.shows_help);
  EXPECT_EQ(type(state, "q"), Effect::kQuit);
}

}  // namespace
}  // namespace ringplane::top
