#include "flow/flow_index.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/random.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

constexpr auto kAnyRecord = [](std::uint32_t) noexcept { return true; };

/// Bits 0..31 choose the bucket (scaled), bits 32..47 are the tag.
std::uint64_t hash_with(std::uint32_t place, std::uint16_t tag) {
  return (std::uint64_t{tag} << 32) | place;
}

TEST(FlowIndex, MatchesEverySlotOfABucket) {
  IndexBucket bucket{};
  for (std::size_t i = 0; i < kBucketSlots; ++i) bucket.tag[i] = static_cast<std::uint16_t>(100 + i);
  for (std::size_t i = 0; i < kBucketSlots; ++i) {
    EXPECT_EQ(bucket.match(static_cast<std::uint16_t>(100 + i)), 1U << i) << "slot " << i;
  }
  EXPECT_EQ(bucket.match(99), 0U);
  bucket.tag.fill(7);
  EXPECT_EQ(bucket.match(7), (1U << kBucketSlots) - 1) << "guests and overflow are not tags";
  bucket = IndexBucket{};
  bucket.guests = 5;
  bucket.overflow = 5;
  EXPECT_EQ(bucket.match(5), 0U);
}

TEST(FlowIndex, KeepsEntriesWithTheSameHashApart) {
  std::vector<IndexBucket> buckets(4);
  FlowIndex index(buckets);
  const std::uint64_t hash = hash_with(0, 77);
  // Two buckets of ten are all that one hash can fill.
  std::uint32_t placed = 0;
  while (index.place(hash, placed) != FlowIndex::Placed::kFull) ++placed;
  EXPECT_EQ(placed, 2 * kBucketSlots);
  for (std::uint32_t record = 0; record < placed; ++record) {
    EXPECT_EQ(index.find(hash, [&](std::uint32_t found) noexcept { return found == record; }), record);
  }
  EXPECT_TRUE(index.remove(hash, 13));
  EXPECT_FALSE(index.remove(hash, 13));
  EXPECT_EQ(index.find(hash, [](std::uint32_t found) noexcept { return found == 13; }), FlowIndex::kNone);
  EXPECT_EQ(index.place(hash, 13), FlowIndex::Placed::kPlaced);
}

/// Keys that somebody who knew `secret` would send: all fall into one in `parts` of the buckets.
std::vector<wire::FlowKey> crafted_keys(std::size_t count, const base::HashSecret& secret, std::uint32_t parts) {
  base::Random random(1);
  std::vector<wire::FlowKey> keys;
  while (keys.size() < count) {
    wire::FlowKey key{};
    key.family = wire::Family::kIpv4;
    key.protocol = wire::protocol::kTcp;
    const std::uint64_t addresses = random();
    key.address[0] = wire::IpAddress::from_ipv4(static_cast<std::uint32_t>(addresses));
    key.address[1] = wire::IpAddress::from_ipv4(static_cast<std::uint32_t>(addresses >> 32));
    key.port[0] = static_cast<std::uint16_t>(random());
    if (static_cast<std::uint32_t>(key.hash(secret)) < 0xffff'ffffU / parts) keys.push_back(key);
  }
  return keys;
}

std::size_t refused_of(const std::vector<wire::FlowKey>& keys, const base::HashSecret& secret) {
  std::vector<IndexBucket> buckets(FlowIndex::buckets_for(keys.size()));
  FlowIndex index(buckets);
  std::size_t refused = 0;
  for (std::uint32_t record = 0; record < keys.size(); ++record) {
    if (index.place(keys[record].hash(secret), record) == FlowIndex::Placed::kFull) ++refused;
  }
  return refused;
}

TEST(FlowIndex, KeysCraftedForOneSecretAreOrdinaryUnderAnother) {
  const base::HashSecret known = base::secret_from_seed(1);
  const std::vector<wire::FlowKey> keys = crafted_keys(4'000, known, 256);
  EXPECT_GT(refused_of(keys, known), keys.size() / 32) << "the keys are no attack: the test shows nothing";
  for (std::uint64_t seed = 2; seed < 12; ++seed) {
    EXPECT_EQ(refused_of(keys, base::secret_from_seed(seed)), 0U) << "seed " << seed;
  }
}

TEST(FlowIndex, ReadsTheAlternateBucketOnlyWhileAnEntryLivesThere) {
  std::vector<IndexBucket> buckets(4);
  FlowIndex index(buckets);
  const std::uint64_t hash = hash_with(0, 77);
  for (std::uint32_t record = 0; record <= kBucketSlots; ++record) {
    EXPECT_FALSE(index.candidate(hash).overflowed);
    ASSERT_EQ(index.place(hash, record), FlowIndex::Placed::kPlaced);
  }
  EXPECT_TRUE(index.candidate(hash).overflowed);
  EXPECT_TRUE(index.alternate_candidate(hash).matches);
  EXPECT_EQ(index.alternate_candidate(hash).record, kBucketSlots);
  EXPECT_TRUE(index.remove(hash, kBucketSlots));
  EXPECT_FALSE(index.candidate(hash).overflowed);
}

TEST(FlowIndex, AgreesWithAMapUnderAnyLoadItAccepts) {
  constexpr std::uint64_t kSeed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  base::Random random(kSeed);
  for (const std::size_t bucket_count : {2U, 3U, 7U, 64U}) {
    std::vector<IndexBucket> buckets(bucket_count);
    FlowIndex index(buckets);
    std::unordered_map<std::uint32_t, std::uint64_t> oracle;
    std::uint32_t next_record = 0;
    std::uint64_t displaced = 0;
    std::uint64_t refused = 0;
    for (int round = 0; round < 20'000; ++round) {
      if (random.chance(oracle.size() < bucket_count * 9 ? 0.7 : 0.48)) {
        const std::uint64_t hash = random();
        const auto placed = index.place(hash, next_record);
        displaced += placed == FlowIndex::Placed::kDisplaced;
        refused += placed == FlowIndex::Placed::kFull;
        if (placed != FlowIndex::Placed::kFull) oracle.emplace(next_record, hash);
        ++next_record;
      } else if (!oracle.empty()) {
        const auto victim = oracle.begin();
        ASSERT_TRUE(index.remove(victim->second, victim->first));
        oracle.erase(victim);
      }
      if (round % 64 != 0) continue;
      for (const auto& [record, hash] : oracle) {
        ASSERT_EQ(index.find(hash, [&](std::uint32_t found) noexcept { return found == record; }), record);
      }
    }
    EXPECT_GT(displaced, 0U) << bucket_count << " buckets";
    EXPECT_GT(refused, 0U) << bucket_count << " buckets";
    for (const auto& [record, hash] : oracle) ASSERT_TRUE(index.remove(hash, record));
    for (const IndexBucket& bucket : buckets) {
      EXPECT_EQ(bucket.overflow, 0);
      EXPECT_EQ(bucket.match(0), (1U << kBucketSlots) - 1);
    }
    EXPECT_EQ(index.find(random(), kAnyRecord), FlowIndex::kNone);
  }
}

TEST(FlowIndex, TakesAsManyEntriesAsItWasSizedFor) {
  constexpr std::uint64_t kSeed = 7;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  base::Random random(kSeed);
  for (const std::uint32_t capacity : {1U, 10U, 100U, 1'000U, 100'000U}) {
    std::vector<IndexBucket> buckets(FlowIndex::buckets_for(capacity));
    FlowIndex index(buckets);
    for (std::uint32_t record = 0; record < capacity; ++record) {
      ASSERT_NE(index.place(random(), record), FlowIndex::Placed::kFull) << record << " of " << capacity;
    }
  }
}

}  // namespace
}  // namespace ringplane::flow
