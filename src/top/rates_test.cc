#include "top/rates.h"

#include <optional>
#include <utility>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "top/sample.h"
#include "top/test_samples.h"

namespace ringplane::top {
namespace {

TEST(Rates, AreDifferencesOverTheTimeBetween) {
  const Model model = compare(sample_after(1), sample_after(3));
  EXPECT_EQ(model.ports[0].rx_packets, 1'000);
  EXPECT_EQ(model.ports[0].rx_bits, 1'000'000);
  EXPECT_EQ(model.ports[1].lost, 0);
  EXPECT_EQ(model.packets, 1'500);
  EXPECT_EQ(model.bits, 1'500'000);
  EXPECT_EQ(model.dropped, 20);
  EXPECT_EQ(model.new_flows, 50);
  EXPECT_EQ(model.workers[0].load, 0.25);
  EXPECT_EQ(model.workers[1].load, 1) << "never more than all of the time";
  EXPECT_EQ(model.live_flows, 1'234'567U);
}

TEST(Rates, OfFlowsAndRulesAreTheDaemonsWhereItSaysThem) {
  Sample now = sample_after(3);
  now.flows.list[1].rate.reset();
  now.rules.list[0].rate = Rate{.packets = 1, .bytes = 2};
  const Model model = compare(sample_after(1), now);
  EXPECT_EQ(model.flows[0].bits, 1'200'000);
  EXPECT_EQ(model.flows[1].packets, 100) << "computed from its counters";
  EXPECT_EQ(model.flows[1].bits, 100'000);
  EXPECT_EQ(model.rules[0].bits, 16);
}

TEST(Rates, OfWhatWasNotThereBeforeAreUnknown) {
  Sample before = sample_after(1);
  before.flows.list.clear();
  before.ports.list.erase(before.ports.list.begin());
  Sample now = sample_after(2);
  now.flows.list[0].rate.reset();
  const Model model = compare(before, now);
  EXPECT_EQ(model.flows[0].bits, std::nullopt);
  EXPECT_EQ(model.ports[0].rx_packets, std::nullopt);
  EXPECT_EQ(model.ports[1].rx_packets, 500) << "found by its name, not by its place";
}

TEST(Rates, OfCountersThatWentBackAreUnknownAndNeverNegative) {
  Sample now = sample_after(2);
  now.ports.list[0].rx_packets = 3;
  now.workers.list[0].flows_total = 0;
  now.workers.list[1].flows_total = 0;
  now.drops.list[0].packets = 0;
  const Model model = compare(sample_after(1), now);
  EXPECT_EQ(model.ports[0].rx_packets, std::nullopt);
  EXPECT_EQ(model.packets, 500) << "of what is known";
  EXPECT_EQ(model.new_flows, std::nullopt);
  EXPECT_EQ(model.drops[0], std::nullopt);
}

TEST(Rates, OfARuleWhoseNumberIsAnotherRulesAreUnknown) {
  Sample before = sample_after(1);
  before.rules.list[0].text = "pass all";
  Sample now = sample_after(2);
  now.rules.list[0].rate.reset();
  EXPECT_EQ(compare(before, now).rules[0].bits, std::nullopt);
}

TEST(History, HasRatesFromTheSecondSampleOn) {
  History history;
  history.take(sample_after(1));
  EXPECT_FALSE(history.has_rates());
  EXPECT_EQ(history.model().ports[0].rx_packets, std::nullopt);
  history.take(sample_after(2));
  EXPECT_TRUE(history.has_rates());
  EXPECT_EQ(history.model().ports[0].rx_packets, 1'000);
}

TEST(History, ListsAloneTakeThePlaceOfListsAndLeaveTheRest) {
  History history;
  history.take(sample_after(1));
  history.take(sample_after(2));
  Sample lists;
  lists.flows = sample_after(2).flows;
  lists.flows.at_ns += base::kNanosPerSecond / 2;
  lists.flows.list.erase(lists.flows.list.begin());
  lists.flows.list[0].rate.reset();
  lists.flows.list[0].bytes += 12'500;
  lists.rules.at_ns = lists.flows.at_ns;
  history.take(std::move(lists));
  const Model& model = history.model();
  ASSERT_EQ(model.flows.size(), 1U);
  EXPECT_NEAR(*model.flows[0].bits, 8 * 25'000 / 1.5, 1) << "since the whole sample before";
  EXPECT_TRUE(model.rules.empty());
  EXPECT_EQ(model.ports[0].rx_packets, 1'000);
}

}  // namespace
}  // namespace ringplane::top
