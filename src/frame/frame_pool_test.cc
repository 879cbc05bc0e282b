#include "frame/frame_pool.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/spsc_ring.h"

namespace ringplane::frame {
namespace {

Arena small_arena(std::uint32_t frames = 64) {
  auto arena = Arena::create({.frame_count = frames, .frame_bytes = 2048, .huge_pages = false});
  EXPECT_TRUE(arena) << arena.error().message;
  return std::move(*arena);
}

TEST(Arena, SaysWhatIsWrongWithItsOptions) {
  EXPECT_FALSE(Arena::create({.frame_count = 0}));
  const auto odd = Arena::create({.frame_count = 1, .frame_bytes = 3000});
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().message, "frame_bytes must be 2048 or 4096, not 3000");
  EXPECT_EQ(odd.error().kind, base::ErrorKind::kBadConfiguration);
}

TEST(Arena, MoreThanTheMachineHasIsOneSentence) {
  const auto huge = Arena::create({.frame_count = 0xffffffff, .frame_bytes = 4096, .huge_pages = false});
  ASSERT_FALSE(huge);
  EXPECT_NE(huge.error().message.find("lower memory.frames"), std::string::npos);
}

TEST(Arena, AFrameKnowsItsBuffer) {
  const Arena arena = small_arena();
  const Frame frame{.address = 3ULL * 2048 + 300, .length = 60, .port = {}};
  EXPECT_EQ(arena.buffer_start(frame.address), 3ULL * 2048);
  EXPECT_EQ(arena.room(frame), 2048U - 300);
  EXPECT_EQ(arena.data(frame).size(), 60U);
}

TEST(FramePool, HandsOutEachFrameOnceAndTakesItBackFromAnyAddressInside) {
  const Arena arena = small_arena();
  FramePool pool(arena, 16, 32);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 32; ++i) {
    const std::uint64_t address = pool.take();
    ASSERT_NE(address, FramePool::kNone);
    EXPECT_TRUE(pool.owns(address));
    EXPECT_TRUE(seen.insert(arena.buffer_start(address)).second);
  }
  EXPECT_EQ(pool.take(), FramePool::kNone);
  for (const std::uint64_t start : seen) pool.give(start + 1999);
  EXPECT_EQ(pool.free_count(), pool.total());
  EXPECT_FALSE(pool.owns(0));
  EXPECT_FALSE(pool.owns(48ULL * 2048));
}

TEST(Burst, HoldsAtMostSixtyFour) {
  Burst burst;
  for (std::uint32_t i = 0; i < Burst::kCapacity; ++i) burst.push({.address = i});
  EXPECT_EQ(burst.space(), 0U);
  EXPECT_EQ(burst[63].address, 63U);
  burst.clear();
  EXPECT_TRUE(burst.empty());
}

TEST(SpscRing, FullTakesFewerAndWrapsAround) {
  SpscRing<std::uint32_t> ring(4);
  base::Random random(7);
  std::uint32_t next_in = 0;
  std::uint32_t next_out = 0;
  for (int round = 0; round < 1000; ++round) {
    std::vector<std::uint32_t> in(random.below(7));
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = next_in + static_cast<std::uint32_t>(i);
    const std::uint32_t space = 4 - ring.size();
    const std::uint32_t pushed = ring.push(std::span<const std::uint32_t>(in));
    EXPECT_EQ(pushed, std::min<std::size_t>(in.size(), space));
    next_in += pushed;
    std::vector<std::uint32_t> out(random.below(7));
    const std::uint32_t popped = ring.pop(std::span<std::uint32_t>(out));
    for (std::uint32_t i = 0; i < popped; ++i) EXPECT_EQ(out[i], next_out++);
  }
}

TEST(SpscRing, CarriesEverythingBetweenTwoThreadsInOrder) {
  SpscRing<std::uint64_t> ring(64);
  constexpr std::uint64_t kCount = 200'000;
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kCount;) {
      if (ring.push(i)) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  std::uint64_t expected = 0;
  while (expected < kCount) {
    std::uint64_t value = 0;
    if (ring.pop(value)) {
      ASSERT_EQ(value, expected);
      ++expected;
    } else {
      std::this_thread::yield();
    }
  }
  producer.join();
  EXPECT_TRUE(ring.empty());
}

}  // namespace
}  // namespace ringplane::frame
