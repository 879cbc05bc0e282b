#include "flow/expiry_wheel.h"

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "flow/timeouts.h"

namespace ringplane::flow {
namespace {

constexpr Tick kSlotTicks = 1U << ExpiryWheel::kSlotTickShift;
constexpr Tick kCircleTicks = kSlotTicks * ExpiryWheel::kSlots;

/// A wheel over `records` records, and what it ought to hold.
struct Fixture {
  Fixture(std::uint32_t records, Tick now) : links(records), wheel(std::make_unique<ExpiryWheel>(links, now)) {}

  void link(std::uint32_t record, Tick deadline) {
    wheel->link(record, deadline);
    deadlines[record] = deadline;
  }
  void unlink(std::uint32_t record) {
    wheel->unlink(record);
    deadlines.erase(record);
  }
  /// Takes out all that is due, as the flow table does: what is not due yet is linked anew.
  std::set<std::uint32_t> take_due(Tick now) {
    std::set<std::uint32_t> ended;
    for (std::uint32_t record = wheel->first_due(now); record != ExpiryWheel::kNone; record = wheel->first_due(now)) {
      wheel->unlink(record);
      if (static_cast<std::int32_t>(now - deadlines.at(record)) > 0) {
        EXPECT_TRUE(ended.insert(record).second);
        deadlines.erase(record);
      } else {
        wheel->link(record, deadlines.at(record));
      }
    }
    return ended;
  }

  std::vector<WheelLinks> links;
  std::unique_ptr<ExpiryWheel> wheel;
  std::unordered_map<std::uint32_t, Tick> deadlines;
};

TEST(ExpiryWheel, GivesAFlowOutOneSlotAfterItsDeadlineAndNotBefore) {
  Fixture f(4, 1000);
  f.link(2, 1000 + 5 * kSlotTicks);
  EXPECT_EQ(f.wheel->first_due(1000 + 5 * kSlotTicks), ExpiryWheel::kNone);
  EXPECT_EQ(f.wheel->first_due(1000 + 6 * kSlotTicks), 2U);
}

TEST(ExpiryWheel, GivesTheEarliestSlotOutInTheOrderOfLinking) {
  Fixture f(8, 0);
  f.link(5, 100 * kSlotTicks);
  f.link(3, 20 * kSlotTicks);
  f.link(1, 20 * kSlotTicks + 1);
  f.link(7, 20 * kSlotTicks);
  for (const std::uint32_t expected : {3U, 1U, 7U, 5U}) {
    ASSERT_EQ(f.wheel->earliest(), expected);
    f.wheel->unlink(expected);
  }
  EXPECT_EQ(f.wheel->earliest(), ExpiryWheel::kNone);
}

TEST(ExpiryWheel, KnowsWhichDeadlinesLieInLaterSlots) {
  Fixture f(8, 0);
  f.link(0, 20 * kSlotTicks);
  EXPECT_FALSE(f.wheel->later_than_earliest(0));
  EXPECT_FALSE(f.wheel->later_than_earliest(21 * kSlotTicks - 1));
  EXPECT_TRUE(f.wheel->later_than_earliest(21 * kSlotTicks));
}

TEST(ExpiryWheel, AgreesWithASortedListOfDeadlines) {
  constexpr std::uint64_t kSeed = 4711;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  base::Random random(kSeed);
  constexpr std::uint32_t kRecords = 500;
  for (const Tick start : {Tick{12'345}, Tick{0xffff'ff00}}) {  // the second wraps
    Fixture f(kRecords, start);
    Tick now = start;
    std::uint64_t given_out = 0;
    for (int round = 0; round < 30'000; ++round) {
      const auto record = static_cast<std::uint32_t>(random.below(kRecords));
      if (f.deadlines.contains(record)) {
        if (random.chance(0.3)) {
          f.unlink(record);
        } else if (random.chance(0.3)) {
          f.deadlines[record] += static_cast<Tick>(random.below(std::uint64_t{4} * kSlotTicks));  // moves back untold
        }
      } else {
        const std::uint64_t furthest =
            random.chance(0.05) ? std::uint64_t{3} * kCircleTicks : std::uint64_t{40} * kSlotTicks;
        f.link(record, now + static_cast<Tick>(random.below(furthest)));
      }
      if (random.chance(0.2)) now += static_cast<Tick>(random.below(random.chance(0.01) ? kCircleTicks * 2 : 12));
      if (!random.chance(0.1)) continue;
      const auto before = f.deadlines;
      const auto ended = f.take_due(now);
      given_out += ended.size();
      for (const auto& [number, deadline] : before) {
        const auto late = static_cast<std::int32_t>(now - deadline);
        if (late <= 0) {
          ASSERT_FALSE(ended.contains(number)) << "ended " << -late << " ticks early";
        } else if (late > static_cast<std::int32_t>(kSlotTicks)) {
          ASSERT_TRUE(ended.contains(number)) << "still there " << late << " ticks after its deadline";
        }
      }
    }
    EXPECT_GT(given_out, 1000U);
  }
}

}  // namespace
}  // namespace ringplane::flow
