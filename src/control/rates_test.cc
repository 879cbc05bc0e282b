// Which flows and rules move most now, though their counters know only the whole of their lives.
#include "control/rates.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"
#include "control/data_plane.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/rule_counts.h"

namespace ringplane::control {
namespace {

using base::kNanosPerSecond;

/// A table of one worker as the worker would look at it (worker/slice_jobs.cc), with flows that send steadily.
class Table {
 public:
  struct Entry {
    std::uint64_t bytes_per_s = 0;
    std::uint64_t began_ns = 0;
    std::uint64_t bytes = 0;  ///< before began_ns
    std::uint16_t port = 0;
  };
  std::map<std::uint32_t, Entry> entries;
  std::uint32_t fresh = 0;  ///< records ever used

  void add(std::uint32_t record, const Entry& entry) {
    entries[record] = entry;
    fresh = std::max(fresh, record + 1);
  }

  std::vector<DataPlane::ListedFlow> look(DataPlane::FlowLook& look, std::uint64_t now_ns) {
    std::vector<DataPlane::ListedFlow> seen;
    for (const base::FlowId id : look.again) {
      if (const auto found = entries.find(id.value); found != entries.end()) seen.push_back(listed(*found, now_ns));
    }
    const std::uint32_t end = std::min(fresh, look.cursor + std::min(look.most, fresh));
    std::uint32_t next = end;
    for (auto at = entries.lower_bound(look.cursor); at != entries.end() && at->first < end; ++at) {
      if (at->second.bytes_per_s == 0) continue;
      if (seen.size() == look.room) {
        next = at->first;
        break;
      }
      seen.push_back(listed(*at, now_ns));
    }
    look.cursor = next < fresh ? next : 0;
    return seen;
  }

 private:
  static DataPlane::ListedFlow listed(const std::pair<const std::uint32_t, Entry>& entry, std::uint64_t now_ns) {
    DataPlane::ListedFlow flow;
    const std::uint64_t age_ns = now_ns - entry.second.began_ns;
    const std::uint64_t bytes = entry.second.bytes + entry.second.bytes_per_s * (age_ns / 1'000) / 1'000'000;
    flow.details.key.family = wire::Family::kIpv4;
    flow.details.key.protocol = wire::protocol::kUdp;
    flow.details.key.port = {static_cast<std::uint16_t>(entry.first), entry.second.port};
    flow.details.bytes = {bytes, 0};
    flow.details.packets = {bytes / 100, 0};
    flow.details.age_ns = age_ns;
    flow.details.id = base::FlowId{entry.first};
    flow.details.at_ns = now_ns;
    flow.worker = base::WorkerId{0};
    return flow;
  }
};

constexpr std::uint64_t kStartNs = 1'000 * kNanosPerSecond;

/// One look of `rates` at `table`; the number of records that it walked over.
std::uint32_t look_at(FlowRates& rates, Table& table, std::uint64_t now_ns) {
  std::vector<DataPlane::FlowLook> looks = rates.plan(1, now_ns);
  const std::uint32_t begin = looks[0].cursor;
  const std::vector<DataPlane::ListedFlow> seen = table.look(looks[0], now_ns);
  EXPECT_LE(seen.size(), FlowRates::kRoom + FlowRates::kAgain);
  const std::uint32_t end = looks[0].cursor == 0 ? table.fresh : looks[0].cursor;
  rates.take(seen, looks, 1, now_ns);
  return end - begin;
}

std::uint64_t rate_of(const FlowRates& rates, std::uint32_t record) {
  const auto found =
      std::ranges::find(rates.rated(), record, [](const FlowRates::Rated& each) { return each.flow.details.id.value; });
  return found == rates.rated().end() ? 0 : found->rate.bytes_per_s;
}

TEST(FlowRates, AreWhatMovedBetweenTwoLooksNotTheMeanOfALife) {
  Table table;
  table.add(0, {.bytes_per_s = 1'000, .began_ns = kStartNs - 100 * kNanosPerSecond, .bytes = 1'000'000'000});
  table.add(1, {.bytes_per_s = 50'000, .began_ns = kStartNs - 10 * kNanosPerSecond});
  FlowRates rates;
  look_at(rates, table, kStartNs);
  EXPECT_NEAR(static_cast<double>(rate_of(rates, 0)), 1e7, 1e4) << "the first time its mean is all there is";
  look_at(rates, table, kStartNs + kNanosPerSecond);
  EXPECT_NEAR(static_cast<double>(rate_of(rates, 0)), 1'000, 2);
  EXPECT_NEAR(static_cast<double>(rate_of(rates, 1)), 50'000, 2);
}

TEST(FlowRates, OfAFlowThatBeganSinceCountFromTheLookBefore) {
  Table table;
  table.add(0, {.bytes_per_s = 1'000, .began_ns = kStartNs - kNanosPerSecond});
  FlowRates rates;
  look_at(rates, table, kStartNs);
  table.add(1, {.bytes_per_s = 8'000, .began_ns = kStartNs + kNanosPerSecond / 2});
  look_at(rates, table, kStartNs + kNanosPerSecond);
  EXPECT_NEAR(static_cast<double>(rate_of(rates, 1)), 4'000, 2);
}

TEST(FlowRates, ARecordThatAnotherFlowHasNowBeginsAgain) {
  Table table;
  table.add(0, {.bytes_per_s = 1'000, .began_ns = kStartNs - kNanosPerSecond, .port = 1});
  FlowRates rates;
  look_at(rates, table, kStartNs);
  table.add(0, {.bytes_per_s = 9'000, .began_ns = kStartNs + kNanosPerSecond / 2, .port = 2});
  look_at(rates, table, kStartNs + kNanosPerSecond);
  EXPECT_NEAR(static_cast<double>(rate_of(rates, 0)), 4'500, 2);
  // The same key once more, with more bytes than the one before ever had.
  table.add(0, {.bytes_per_s = 100'000, .began_ns = kStartNs + 3 * kNanosPerSecond / 2, .port = 2});
  look_at(rates, table, kStartNs + 2 * kNanosPerSecond);
  EXPECT_NEAR(static_cast<double>(rate_of(rates, 0)), 50'000, 2);
}

TEST(FlowRates, ALookAfterALongTimeIsTheFirstOne) {
  Table table;
  table.add(0, {.bytes_per_s = 1'000, .began_ns = 0, .bytes = 1'000'000'000});
  FlowRates rates;
  look_at(rates, table, kStartNs);
  look_at(rates, table, kStartNs + kForgetNs + kNanosPerSecond);
  EXPECT_GT(rate_of(rates, 0), 100'000U) << "the mean of its life";
}

/// A million busy flows: no look walks over or lists more than its share, all records have their turn, and a flow that
/// is among the busiest is known from then on.
TEST(FlowRates, FindTheBusiestOfMillionsInBoundedLooks) {
  Table table;
  base::Random random(0x70b);
  constexpr std::uint32_t kFlows = 300'000;
  constexpr std::uint32_t kBusiest = 299'999;
  for (std::uint32_t i = 0; i < kFlows; ++i)
    table.add(i, {.bytes_per_s = random.below(4) == 0 ? 1 + random.below(1'000) : 0,
                  .began_ns = kStartNs - 100 * kNanosPerSecond});
  table.add(kBusiest, {.bytes_per_s = 1'000'000, .began_ns = kStartNs - 100 * kNanosPerSecond});
  FlowRates rates;
  std::uint64_t now_ns = kStartNs;
  std::uint64_t walked = 0;
  for (int i = 0; i < 40 && rate_of(rates, kBusiest) == 0; ++i, now_ns += kNanosPerSecond) {
    const std::uint32_t step = look_at(rates, table, now_ns);
    EXPECT_LE(step, FlowRates::kRecords);
    walked += step;
  }
  EXPECT_EQ(walked, kFlows) << "once round";
  for (int i = 0; i < 3; ++i, now_ns += kNanosPerSecond) {
    look_at(rates, table, now_ns);
    EXPECT_NEAR(static_cast<double>(rate_of(rates, kBusiest)), 1'000'000, 1) << "though its turn is over";
  }
}

worker::RuleCounts counted(std::uint64_t packets) {
  return {.packets = packets, .bytes = 100 * packets};
}

TEST(RuleRates, AreWhatWasCountedBetweenTwoLooks) {
  RuleRates rates;
  rates.take({counted(1'000), counted(5)}, 1, kStartNs);
  EXPECT_EQ(rates.rates()[0].packets_per_s, 0U) << "not known yet";
  rates.take({counted(1'500), counted(5)}, 1, kStartNs + 2 * kNanosPerSecond);
  EXPECT_EQ(rates.rates()[0].packets_per_s, 250U);
  EXPECT_EQ(rates.rates()[0].bytes_per_s, 25'000U);
  EXPECT_EQ(rates.rates()[1].packets_per_s, 0U);
}

TEST(RuleRates, BeginAgainWithOtherRulesAndCountersThatWentBack) {
  RuleRates rates;
  rates.take({counted(1'000), counted(1'000)}, 1, kStartNs);
  rates.take({counted(10), counted(2'000)}, 1, kStartNs + kNanosPerSecond);
  EXPECT_EQ(rates.rates()[0].packets_per_s, 0U);
  EXPECT_EQ(rates.rates()[1].packets_per_s, 1'000U);
  rates.take({counted(5'000)}, 2, kStartNs + 2 * kNanosPerSecond);
  ASSERT_EQ(rates.rates().size(), 1U);
  EXPECT_EQ(rates.rates()[0].packets_per_s, 0U);
}

TEST(RuleRates, TwoAskersAtOnceAreOneLook) {
  RuleRates rates;
  rates.take({counted(0)}, 1, kStartNs);
  rates.take({counted(100)}, 1, kStartNs + kNanosPerSecond);
  rates.take({counted(101)}, 1, kStartNs + kNanosPerSecond + kSoonNs / 2);
  EXPECT_EQ(rates.rates()[0].packets_per_s, 100U);
}

// What was seen names rules by their numbers, which mean nothing, or nothing at all, to the rules that run next.
TEST(FlowRates, RulesOfAnEarlierSnapshotAreNotShown) {
  FlowRates rates;
  EXPECT_FALSE(rates.is_fresh(1, kStartNs));
  rates.take({}, {}, 1, kStartNs);
  EXPECT_TRUE(rates.is_fresh(1, kStartNs + kSoonNs / 2));
  EXPECT_FALSE(rates.is_fresh(2, kStartNs + kSoonNs / 2));
  EXPECT_FALSE(rates.is_fresh(1, kStartNs + kSoonNs));
}

}  // namespace
}  // namespace ringplane::control
