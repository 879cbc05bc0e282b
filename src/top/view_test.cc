// What is seen: golden screens, and what must hold for any size, state and text.
#include "top/view.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "top/keys.h"
#include "top/panes.h"
#include "top/rates.h"
#include "top/sample.h"
#include "top/test_samples.h"
#include "top/text.h"

namespace ringplane::top {
namespace {

std::string text_of(const Line& line) {
  std::string text;
  for (const Span& span : line) text += span.text;
  return text;
}

/// As it stands on the screen, without the spaces at the ends of lines; several empty lines are counted.
std::string screen(const Model& model, State& state, const Surroundings& around) {
  std::string all;
  std::size_t empty = 0;
  for (const Line& line : draw(model, state, around)) {
    std::string text = text_of(line);
    EXPECT_EQ(width_of(text), around.size.columns) << text;
    text.erase(text.find_last_not_of(' ') + 1);
    if (text.empty()) {
      ++empty;
      continue;
    }
    if (empty > 0) all += "(empty: " + std::to_string(std::exchange(empty, 0)) + ")\n";
    all += text + "\n";
  }
  return all;
}

const Model& small_firewall() {
  static const Model model = compare(sample_after(1), sample_after(3));
  return model;
}

TEST(View, EightyByTwentyFour) {
  State state;
  EXPECT_EQ("\n" + screen(small_firewall(), state, {.size = {.columns = 80, .lines = 24}}), R"(
ringplane 0.1.0  up 1:00:03  3 rules, generation 3                     every 1 s
1500 pkt/s  1.50M bit/s  20 drops/s  50 new flows/s  1.23M of 2.00M flows
 1 Ports  2 Flows  3 Rules  4 Drops  5 Workers               2 of 1.23M by BIT/S
PORT   LINK RX PKT/S RX BIT/S TX PKT/S TX BIT/S LOST/S   LOST NO FRAME INTERFACE
lan    up       1000    1.00M      500     500k      0      0        0 eth0
wan    up        500     500k     1000    1.00M      0      7        1 eth1
PROTO  SOURCE                  DESTINATION             PKT/S ▼BIT/S  BYTES   AGE
tcp    192.168.100.10:40000    198.51.100.7:443          900  1.20M   450k   13s
udp    [2001:db8:1234:5678:9a~ [2001:db8::53]:53         100   100k  37500   25h
  RULE  PKT/S ▼BIT/S  PACKETS  BYTES  STATES LABEL        TEXT
     2    900  1.20M     2700   450k       1 web          pass in on lan proto ~
     0     20   8000       60   3000       0              block return
DROP REASON                     ▼PKT/S  PACKETS MEANING
rule_block                          20       60 a rule blocks it
flow_table_full                      0        4 there is no room for another fl~
WORKER  LOAD   PKT/S   FLOWS     OF  NEW/S HANDED/S SLEEPS/S LOG LOST
     0  25 %    1000    700k  1.00M     50       10      100        0
     1 100 %     500    535k  1.00M      0        0        0        3
(empty: 5)
q quit  h help  Tab pane  s sort  r reverse  / filter  Space pause  - + pace
)");
}

TEST(View, SixtyByFifteenInAsciiWithAnotherFocus) {
  State state;
  state.focus = Pane::kRules;
  state.at(Pane::kRules).sort.reverse = true;
  EXPECT_EQ("\n" + screen(small_firewall(), state, {.size = {.columns = 60, .lines = 15}, .ascii = true}), R"(
ringplane 0.1.0  up 1:00:03  3 rules, generation 3 every 1 s
1500 pkt/s  1.50M bit/s  20 drops/s  50 new flows/s  1.23M ~
 1 Ports  2 Flows  3 Rules  4 Drops  5 Workers  2 of 3 by B~
PORT         LINK RX PKT/S RX BIT/S TX PKT/S TX BIT/S LOST/S
lan          up       1000    1.00M      500     500k      0
wan          up        500     500k     1000    1.00M      0
PROTO  SOURCE                  DESTINATION            vBIT/S
tcp    192.168.100.10:40000    198.51.100.7:443        1.20M
udp    [2001:db8:1234:5678:9a~ [2001:db8::53]:53        100k
  RULE  PKT/S ^BIT/S  BYTES  STATES TEXT
     0     20   8000   3000       0 block return
     2    900  1.20M   450k       1 pass in on lan proto tc~
WORKER  LOAD   PKT/S   FLOWS     OF  NEW/S HANDED/S SLEEPS/S
     0  25 %    1000    700k  1.00M     50       10      100
q quit  h help  Tab pane  s sort  r reverse  / filter
)");
}

TEST(View, TwoHundredByFifty) {
  State state;
  EXPECT_EQ("\n" + screen(small_firewall(), state, {.size = {.columns = 200, .lines = 50}}), R"(
ringplane 0.1.0  up 1:00:03  3 rules, generation 3                                                                                                                                             every 1 s
1500 pkt/s  1.50M bit/s  20 drops/s  50 new flows/s  1.23M of 2.00M flows
 1 Ports  2 Flows  3 Rules  4 Drops  5 Workers                                                                                                                                       2 of 1.23M by BIT/S
PORT            LINK RX PKT/S RX BIT/S TX PKT/S TX BIT/S LOST/S   LOST NO FRAME INTERFACE
lan             up       1000    1.00M      500     500k      0      0        0 eth0
wan             up        500     500k     1000    1.00M      0      7        1 eth1
PROTO  SOURCE                                          DESTINATION                                      PKT/S ▼BIT/S  BYTES  PACKETS   AGE STATE                   RULE
tcp    192.168.100.10:40000                            198.51.100.7:443                                   900  1.20M   450k     2700   13s ESTABLISHED:ESTABLISHED web
udp    [2001:db8:1234:5678:9abc:def0:1234:5678]:50000  [2001:db8::53]:53                                  100   100k  37500      300   25h SINGLE:MULTIPLE         pf.conf:4
  RULE  PKT/S ▼BIT/S  PACKETS  BYTES  STATES LABEL                    TEXT
     2    900  1.20M     2700   450k       1 web                      pass in on lan proto tcp to port 443 flags S/SA keep state
     0     20   8000       60   3000       0                          block return
DROP REASON                     ▼PKT/S  PACKETS MEANING
rule_block                          20       60 a rule blocks it
flow_table_full                      0        4 there is no room for another flow
WORKER  LOAD   PKT/S   FLOWS     OF  NEW/S HANDED/S SLEEPS/S LOG LOST
     0  25 %    1000    700k  1.00M     50       10      100        0
     1 100 %     500    535k  1.00M      0        0        0        3
(empty: 31)
q quit  h help  Tab pane  s sort  r reverse  / filter  Space pause  - + pace
)");
}

TEST(View, OfAFirewallOfWhichNothingIsKnownYet) {
  State state;
  const std::string text = screen(Model(), state, {.size = {.columns = 80, .lines = 24}});
  EXPECT_NE(text.find("- pkt/s"), std::string::npos) << text;
  EXPECT_NE(text.find("no flows"), std::string::npos) << text;
}

TEST(View, SaysWhyWhatItShowsIsOld) {
  State state;
  const std::string text =
      screen(small_firewall(), state,
             {.size = {.columns = 80, .lines = 24}, .trouble = "no ringplane answers at /run/ringplane.sock"});
  EXPECT_NE(text.find("\nno answer, trying again: no ringplane answers at /run/ringplane.sock\n"), std::string::npos);
}

TEST(View, SaysThatThereIsTooLittleRoom) {
  State state;
  EXPECT_EQ(screen(small_firewall(), state, {.size = {.columns = 39, .lines = 2}}),
            "too small: 39 x 2, needs 40 x 8\n");
  EXPECT_EQ(screen(small_firewall(), state, {.size = {.columns = 10, .lines = 24}}).substr(0, 11), "too small~\n");
}

TEST(View, HelpNamesEveryKey) {
  State state;
  state.shows_help = true;
  const std::string text = screen(small_firewall(), state, {.size = {.columns = 80, .lines = 24}});
  for (const char* key : {"Tab", "s, S", "\nr ", "\n/ ", "Esc", "PgUp", "Space", "-, +", "h, ?", "\nq "})
    EXPECT_NE(text.find(key), std::string::npos) << key;
}

TEST(View, TheFilterIsSeenWhileItIsTypedAndAfterwards) {
  State state;
  state.is_editing = true;
  state.edited = std::string(100, 'x') + "end";
  std::string text = screen(small_firewall(), state, {.size = {.columns = 60, .lines = 15}});
  EXPECT_NE(text.find("xend_\n"), std::string::npos) << text;
  state.is_editing = false;
  state.focus = Pane::kDrops;
  state.at(Pane::kDrops).search = "table";
  text = screen(small_firewall(), state, {.size = {.columns = 80, .lines = 24}});
  EXPECT_NE(text.find("filter table"), std::string::npos) << text;
  EXPECT_NE(text.find("flow_table_full"), std::string::npos) << text;
  EXPECT_EQ(text.find("rule_block"), std::string::npos) << text;
  state.at(Pane::kDrops).search = "\x1b[31m";
  text = screen(small_firewall(), state, {.size = {.columns = 80, .lines = 24}});
  EXPECT_NE(text.find("nothing that the filter finds"), std::string::npos) << text;
}

TEST(View, SortsByNumbersDownAndByWordsUp) {
  State state;
  const auto column = [&](Pane pane, std::size_t place) {
    std::vector<std::string> texts;
    for (const Row& row : rows_of(pane, small_firewall(), state.at(pane).sort, "")) texts.push_back(row[place].text);
    return texts;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(column(Pane::kDrops, 0), (Texts{"rule_block", "flow_table_full"})) << "by rate";
  state.at(Pane::kDrops).sort.column = 0;
  EXPECT_EQ(column(Pane::kDrops, 0), (Texts{"flow_table_full", "rule_block"})) << "by name";
  EXPECT_EQ(column(Pane::kPorts, 0), (Texts{"lan", "wan"}));
  state.at(Pane::kPorts).sort.reverse = true;
  EXPECT_EQ(column(Pane::kPorts, 0), (Texts{"wan", "lan"}));
  EXPECT_EQ(column(Pane::kRules, 0), (Texts{"2", "0"})) << "busiest first";
}

TEST(View, PutsThePlaceInTheListRight) {
  Sample now = sample_after(3);
  for (int i = 0; i < 100; ++i) now.flows.list.push_back(now.flows.list[0]);
  const Model model = compare(sample_after(1), now);
  State state;
  state.at(Pane::kFlows).first = 100'000;
  (void)draw(model, state, {.size = {.columns = 80, .lines = 24}});
  EXPECT_EQ(state.at(Pane::kFlows).first, 102 - state.page_rows);
  EXPECT_GE(state.page_rows, 5U);
}

TEST(View, PlainTextHasAllPanes) {
  const std::string text = plain_text(small_firewall(), State(), 80, true);
  for (const char* word : {"PORT", "SOURCE", "RULE", "DROP REASON", "WORKER", "lan", "198.51.100.7:443", "rule_block"})
    EXPECT_NE(text.find(word), std::string::npos) << word;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    EXPECT_LE(end - begin, 80U);
}

/// Any size, any texts, any keys: each screen is exactly full, and no control character is in it.
TEST(View, HoldsForAnySizeStateAndText) {
  base::Random random(0x5c4ee2);
  const auto bytes = [&] {
    std::string text;
    for (std::uint64_t i = random.below(60); i > 0; --i) text += static_cast<char>(random.below(256));
    return text;
  };
  State state;
  for (int round = 0; round < 2'000; ++round) {
    Sample now = sample_after(3);
    now.version = bytes();
    for (Port& port : now.ports.list) port.name = port.interface = bytes();
    for (Flow& flow : now.flows.list) flow.source = flow.destination = flow.label = flow.state = flow.proto = bytes();
    for (Rule& rule : now.rules.list) rule.label = rule.text = bytes();
    for (Drop& drop : now.drops.list) drop.reason = drop.meaning = bytes();
    now.rules.list[0].packets = random();
    const Model model = compare(sample_after(1), now);
    const Key key{.kind = random.below(2) == 0 ? Key::Kind::kCharacter : static_cast<Key::Kind>(random.below(13)),
                  .character = static_cast<char32_t>(random.below(0x80))};
    (void)press(state, key);
    const std::string trouble = random.below(3) == 0 ? bytes() : "";
    const Surroundings around{.size = {.columns = random.below(220), .lines = 1 + random.below(60)},
                              .ascii = random.below(2) == 0,
                              .trouble = trouble};
    const std::vector<Line> lines = draw(model, state, around);
    ASSERT_EQ(lines.size(), around.size.lines);
    for (const Line& line : lines) {
      const std::string text = text_of(line);
      ASSERT_EQ(width_of(text), around.size.columns) << text;
      ASSERT_EQ(clean(text, around.ascii), text);
    }
  }
}

}  // namespace
}  // namespace ringplane::top
