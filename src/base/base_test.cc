#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/drop_reason.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/token_bucket.h"

namespace ringplane::base {
namespace {

TEST(DropReason, NamesAreUniqueAndEachHasASentence) {
  std::set<std::string_view> names;
  for (const DropReasonText& text : kDropReasonTexts) {
    EXPECT_TRUE(names.insert(text.name).second) << text.name;
    EXPECT_GT(text.sentence.size(), 10U) << text.name;
  }
  EXPECT_EQ(name_of(DropReason::none), "none");
  EXPECT_EQ(name_of(DropReason::mailbox_full), "mailbox_full");
}

TEST(KeyedHash, DependsOnEveryBitOfKeyAndSecret) {
  const HashSecret secret = secret_from_seed(42);
  std::vector<unsigned char> key(48, 0);
  const std::uint64_t before = keyed_hash<48>(key.data(), secret);
  for (std::size_t bit = 0; bit < key.size() * 8; ++bit) {
    key[bit / 8] ^= static_cast<unsigned char>(1U << (bit % 8));
    EXPECT_NE(keyed_hash<48>(key.data(), secret), before) << "bit " << bit;
    key[bit / 8] ^= static_cast<unsigned char>(1U << (bit % 8));
  }
  EXPECT_NE(keyed_hash<48>(key.data(), secret_from_seed(43)), before);
}

TEST(KeyedHash, SpreadsNeighbouringKeysEvenly) {
  const HashSecret secret = secret_from_seed(1);
  constexpr std::size_t kBuckets = 256;
  constexpr std::size_t kKeys = 65536;
  std::vector<unsigned> bucket(kBuckets);
  std::array<std::uint64_t, 6> key{};
  for (key[0] = 0; key[0] < kKeys; ++key[0]) ++bucket[keyed_hash<48>(key.data(), secret) >> 56];
  double chi_squared = 0;
  for (const unsigned count : bucket) chi_squared += (count - 256.0) * (count - 256.0) / 256.0;
  EXPECT_LT(chi_squared, 400) << "255 degrees of freedom: 400 is beyond 1 in 10 million";
}

TEST(Random, RepeatsWithItsSeedAndStaysBelowItsBound) {
  Random a(5);
  Random b(5);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(a(), b());
    EXPECT_LT(a.below(7), 7U);
    b();
  }
  EXPECT_FALSE(Random(1).chance(0.0));
  EXPECT_TRUE(Random(1).chance(1.0));
}

TEST(Id, OfNothingIsNotValid) {
  EXPECT_FALSE(RuleId{}.valid());
  EXPECT_TRUE(RuleId{0}.valid());
  EXPECT_LT(PortId{1}, PortId{2});
}

TEST(TokenBucket, GivesItsRateAndNoMore) {
  TokenBucket bucket(10);
  std::uint64_t now_ns = 5 * kNanosPerSecond;
  const auto taken = [&](int tries) {
    int count = 0;
    for (int i = 0; i < tries; ++i) count += bucket.take(now_ns) ? 1 : 0;
    return count;
  };
  EXPECT_EQ(taken(100), 10) << "a full bucket at once";
  now_ns += 250 * kNanosPerMilli;
  EXPECT_EQ(taken(100), 2);
  now_ns += 50 * kNanosPerMilli;
  EXPECT_EQ(taken(100), 1) << "the half token of before counts";
  now_ns += 3600 * kNanosPerSecond;
  EXPECT_EQ(taken(100), 10) << "never more than full";
  EXPECT_FALSE(TokenBucket(0).take(now_ns));
}

TEST(Counter, AddsAndSubtracts) {
  Counter counter;
  counter.add(5);
  counter.subtract(2);
  EXPECT_EQ(counter.get(), 3U);
}

}  // namespace
}  // namespace ringplane::base
