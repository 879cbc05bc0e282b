#include "flow/source_table.h"

#include <cstdint>
#include <map>
#include <tuple>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"
#include "wire/ip_address.h"

namespace ringplane::flow {
namespace {

using Begun = SourceTable::Begun;

wire::HostAddress host(std::uint32_t number) {
  return {wire::Family::kIpv4, wire::IpAddress::from_ipv4(0x0a000000 + number)};
}

constexpr base::RuleId kRule{3};

TEST(SourceTable, LimitsTheFlowsOfOneHost) {
  SourceTable table(10, base::secret_from_seed(1));
  const SourceLimits limits{.max_flows = 2};
  EXPECT_EQ(table.begin_flow(kRule, host(1), limits, 0), Begun::kFirst);
  EXPECT_EQ(table.begin_flow(kRule, host(1), limits, 1), Begun::kAnother);
  EXPECT_EQ(table.begin_flow(kRule, host(1), limits, 1), Begun::kLimit);
  EXPECT_EQ(table.begin_flow(kRule, host(2), limits, 1), Begun::kFirst) << "another host has its own limit";
  EXPECT_EQ(table.begin_flow({}, host(1), limits, 0), Begun::kFirst) << "and so has the count over all rules";
  EXPECT_FALSE(table.end_flow(kRule, host(1), false));
  EXPECT_EQ(table.begin_flow(kRule, host(1), limits, 1), Begun::kAnother);
}

TEST(SourceTable, LimitsTheHostsOfARule) {
  SourceTable table(10, base::secret_from_seed(1));
  const SourceLimits limits{.max_sources = 2};
  EXPECT_EQ(table.begin_flow(kRule, host(1), limits, 0), Begun::kFirst);
  EXPECT_EQ(table.begin_flow(kRule, host(2), limits, 1), Begun::kFirst);
  EXPECT_EQ(table.begin_flow(kRule, host(3), limits, 2), Begun::kLimit);
  EXPECT_EQ(table.begin_flow(kRule, host(1), limits, 2), Begun::kAnother);
}

TEST(SourceTable, RefusesWhenFull) {
  SourceTable table(1, base::secret_from_seed(1));
  EXPECT_EQ(table.begin_flow(kRule, host(1), {}, 0), Begun::kFirst);
  EXPECT_EQ(table.begin_flow(kRule, host(2), {}, 1), Begun::kFull);
  EXPECT_TRUE(table.end_flow(kRule, host(1), false));
  EXPECT_EQ(table.begin_flow(kRule, host(2), {}, 0), Begun::kFirst);
}

TEST(SourceTable, TellsWhenConnectionsOrTheirRateAreBeyondTheLimit) {
  SourceTable table(10, base::secret_from_seed(1));
  const SourceLimits count{.max_connections = 2};
  for (int i = 0; i < 3; ++i) static_cast<void>(table.begin_flow(kRule, host(1), count, 0));
  EXPECT_FALSE(table.begin_connection(kRule, host(1), count, 0));
  EXPECT_FALSE(table.begin_connection(kRule, host(1), count, 0));
  EXPECT_TRUE(table.begin_connection(kRule, host(1), count, 0));

  const SourceLimits rate{.rate_count = 3, .rate_seconds = 10};
  std::uint64_t now_ns = base::kNanosPerSecond;
  static_cast<void>(table.begin_flow(kRule, host(2), rate, 0));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(table.begin_connection(kRule, host(2), rate, now_ns));
  EXPECT_TRUE(table.begin_connection(kRule, host(2), rate, now_ns)) << "the fourth at once";
  now_ns += 10 * base::kNanosPerSecond;
  for (int i = 0; i < 3; ++i)
    EXPECT_FALSE(table.begin_connection(kRule, host(2), rate, now_ns)) << "the window is over";
}

TEST(SourceTable, AgreesWithAMap) {
  const std::uint64_t seed = 20261122;
  base::Random random(seed);
  SourceTable table(64, base::secret_from_seed(seed));
  std::map<std::tuple<std::uint32_t, std::uint32_t>, std::uint32_t> oracle;
  for (int step = 0; step < 50'000; ++step) {
    const base::RuleId rule{static_cast<std::uint32_t>(random.below(3))};
    const auto number = static_cast<std::uint32_t>(random.below(40));
    const auto key = std::tuple(rule.value, number);
    if (random.chance(0.001)) {
      table.clear();
      oracle.clear();
    }
    if (random.chance(0.5)) {
      const Begun begun = table.begin_flow(rule, host(number), {}, 0);
      if (oracle.contains(key)) {
        EXPECT_EQ(begun, Begun::kAnother) << "seed " << seed << " step " << step;
        ++oracle[key];
      } else if (oracle.size() == 64) {
        EXPECT_EQ(begun, Begun::kFull);
      } else {
        EXPECT_EQ(begun, Begun::kFirst);
        oracle[key] = 1;
      }
    } else if (const auto found = oracle.find(key); found != oracle.end()) {
      const bool last = --found->second == 0;
      EXPECT_EQ(table.end_flow(rule, host(number), false), last);
      if (last) oracle.erase(found);
    } else {
      EXPECT_FALSE(table.end_flow(rule, host(number), false));
    }
    ASSERT_EQ(table.size(), oracle.size());
  }
}

TEST(SourceTable, ForgetsAllAsOftenAsItIsTold) {
  SourceTable table(8, base::secret_from_seed(5));
  const base::RuleId rule{1};
  for (std::uint32_t reload = 0; reload < 70'000; ++reload) {
    ASSERT_EQ(table.begin_flow(rule, host(reload % 3), {}, 0), Begun::kFirst) << reload;
    ASSERT_EQ(table.size(), 1U);
    table.clear();
    ASSERT_EQ(table.size(), 0U);
  }
}

}  // namespace
}  // namespace ringplane::flow
