#include "port/fault/fault_port.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/pair/pair_port.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

constexpr std::uint32_t kFramesPerPool = 512;

/// Near end wrapped in faults, far end plain, each with its own pool.
struct Cable {
  explicit Cable(const FaultOptions& options, std::uint32_t ring_slots = 1024) {
    PortPair pair = make_pair_ports({.ring_slots = ring_slots});
    faulty = std::make_unique<FaultPort>(std::move(pair.first), arena, options);
    plain = std::move(pair.second);
    near = faulty->open_queue(0, near_pool).value();
    far = plain->open_queue(0, far_pool).value();
  }
  ~Cable() {
    for (std::unique_ptr<Queue>* queue : {&near, &far}) {
      (*queue)->close();
      give_foreign(**queue);
      queue->reset();
    }
    EXPECT_EQ(near_pool.free_count(), kFramesPerPool) << "a frame was lost";
    EXPECT_EQ(far_pool.free_count(), kFramesPerPool) << "a frame was lost";
  }
  Cable(const Cable&) = delete;
  Cable& operator=(const Cable&) = delete;

  void give(std::uint64_t address) { (near_pool.owns(address) ? near_pool : far_pool).give(address); }
  void give_foreign(Queue& queue) {
    for (const std::uint64_t address : queue.foreign_frames()) give(address);
    queue.clear_foreign_frames();
  }
  /// Sends one packet whose bytes all are `number`.
  void send(Queue& queue, frame::FramePool& pool, std::uint8_t number) {
    const frame::Frame frame{.address = pool.take(), .length = 60, .port = {}, .marks = 0, .reserved = {}};
    ASSERT_NE(frame.address, frame::FramePool::kNone);
    for (std::uint8_t& byte : arena.data(frame)) byte = number;
    if (queue.transmit({&frame, 1}) == 0) give(frame.address);
  }
  /// First bytes of all that has arrived.
  std::vector<std::uint8_t> receive(Queue& queue) {
    std::vector<std::uint8_t> numbers;
    for (frame::Burst burst; queue.receive(burst) > 0; burst.clear()) {
      for (const frame::Frame& frame : burst.frames()) {
        numbers.push_back(arena.data(frame)[0]);
        std::uint32_t flipped = 0;
        for (const std::uint8_t byte : arena.data(frame)) {
          flipped += static_cast<std::uint32_t>(std::popcount(static_cast<unsigned>(byte ^ arena.data(frame)[30])));
        }
        flipped_bits += flipped;
        give(frame.address);
      }
    }
    return numbers;
  }

  frame::Arena arena = frame::Arena::create({.frame_count = 2 * kFramesPerPool, .huge_pages = false}).value();
  frame::FramePool near_pool{arena, 0, kFramesPerPool};
  frame::FramePool far_pool{arena, kFramesPerPool, kFramesPerPool};
  std::unique_ptr<FaultPort> faulty;
  std::unique_ptr<Port> plain;
  std::unique_ptr<Queue> near, far;
  std::uint64_t flipped_bits = 0;
};

std::vector<std::uint8_t> one_to(std::uint8_t last) {
  std::vector<std::uint8_t> numbers;
  for (std::uint8_t i = 1; i <= last; ++i) numbers.push_back(i);
  return numbers;
}

TEST(FaultPortTest, WithoutFaultsAllPassesInOrderBothWays) {
  Cable cable({});
  for (const std::uint8_t i : one_to(200)) {
    cable.send(*cable.near, cable.near_pool, i);
    cable.send(*cable.far, cable.far_pool, i);
  }
  EXPECT_EQ(cable.receive(*cable.far), one_to(200));
  EXPECT_EQ(cable.receive(*cable.near), one_to(200));
}

TEST(FaultPortTest, LossTakesItsShareAndGivesTheFramesBack) {
  Cable cable({.receive = {.loss = 0.25}, .transmit = {.loss = 0.5}, .seed = 7});
  std::size_t arrived_far = 0;
  std::size_t arrived_near = 0;
  for (int round = 0; round < 10; ++round) {
    for (const std::uint8_t i : one_to(100)) {
      cable.send(*cable.near, cable.near_pool, i);
      cable.send(*cable.far, cable.far_pool, i);
    }
    arrived_far += cable.receive(*cable.far).size();
    arrived_near += cable.receive(*cable.near).size();
    cable.near->flush();
    cable.give_foreign(*cable.near);
  }
  EXPECT_NEAR(static_cast<double>(arrived_far), 500, 80);
  EXPECT_NEAR(static_cast<double>(arrived_near), 750, 70);
  EXPECT_EQ(cable.faulty->faults(0).lost.get(), 2000 - arrived_far - arrived_near);
}

TEST(FaultPortTest, ADuplicateIsAnotherFrameWithTheSameBytes) {
  Cable cable({.transmit = {.duplicate = 1}});
  cable.send(*cable.near, cable.near_pool, 9);
  frame::Burst burst;
  ASSERT_EQ(cable.far->receive(burst), 2U);
  EXPECT_NE(burst[0].address, burst[1].address);
  EXPECT_TRUE(std::ranges::equal(cable.arena.data(burst[0]), cable.arena.data(burst[1])));
  for (const frame::Frame& frame : burst.frames()) cable.give(frame.address);
}

TEST(FaultPortTest, AnEmptyPoolMeansNoDuplicates) {
  Cable cable({.transmit = {.duplicate = 1}});
  std::vector<std::uint64_t> taken(kFramesPerPool - 1);
  ASSERT_EQ(cable.near_pool.take(taken.data(), kFramesPerPool - 1), kFramesPerPool - 1);
  cable.send(*cable.near, cable.near_pool, 9);
  EXPECT_EQ(cable.receive(*cable.far).size(), 1U);
  EXPECT_EQ(cable.faulty->faults(0).duplicated.get(), 0U);
  for (const std::uint64_t address : taken) cable.near_pool.give(address);
}

TEST(FaultPortTest, ACorruptedPacketHasOneBitFlipped) {
  Cable cable({.receive = {.corrupt = 1}, .seed = 3});
  for (int i = 0; i < 20; ++i) {
    cable.flipped_bits = 0;
    cable.send(*cable.far, cable.far_pool, 0);
    ASSERT_EQ(cable.receive(*cable.near).size(), 1U);
    // If the flipped bit is in the byte compared with, all 59 others differ by it.
    EXPECT_TRUE(cable.flipped_bits == 1 || cable.flipped_bits == 59) << cable.flipped_bits;
  }
}

TEST(FaultPortTest, AReorderedPacketIsLateByTheDepthAndNotLost) {
  Cable cable({.transmit = {.reorder = 0.2}, .reorder_depth = 3, .seed = 5});
  for (const std::uint8_t i : one_to(100)) cable.send(*cable.near, cable.near_pool, i);
  for (int turn = 0; turn < 3; ++turn) cable.near->flush();
  const std::vector<std::uint8_t> arrived = cable.receive(*cable.far);
  EXPECT_EQ(arrived.size(), 100U);
  EXPECT_EQ(std::set<std::uint8_t>(arrived.begin(), arrived.end()).size(), 100U);
  EXPECT_NE(arrived, one_to(100));
  for (std::size_t i = 0; i < arrived.size(); ++i) EXPECT_LE(std::abs(static_cast<int>(i) + 1 - arrived[i]), 3 + 2);
  EXPECT_GT(cable.faulty->faults(0).reordered.get(), 5U);
}

TEST(FaultPortTest, TheLastPacketOfAConversationIsLateNotLost) {
  Cable cable({.receive = {.reorder = 1}, .transmit = {.reorder = 1}, .reorder_depth = 2});
  cable.send(*cable.near, cable.near_pool, 1);
  cable.send(*cable.far, cable.far_pool, 2);
  EXPECT_TRUE(cable.receive(*cable.far).empty());
  EXPECT_TRUE(cable.receive(*cable.near).empty());
  for (int turn = 0; turn < 2; ++turn) cable.near->flush();
  EXPECT_EQ(cable.receive(*cable.far), one_to(1));
  EXPECT_EQ(cable.receive(*cable.near).size(), 1U);
}

TEST(FaultPortTest, TheSameSeedDoesTheSameHarm) {
  const auto run = [](std::uint64_t seed) {
    Cable cable({.transmit = {.loss = 0.1, .duplicate = 0.1, .corrupt = 0.1, .reorder = 0.1}, .seed = seed});
    for (const std::uint8_t i : one_to(200)) cable.send(*cable.near, cable.near_pool, i);
    return cable.receive(*cable.far);
  };
  EXPECT_EQ(run(11), run(11));
  EXPECT_NE(run(11), run(12));
}

TEST(FaultPortTest, EveryFrameIsAccountedForUnderAllFaultsAtOnceAndFullRings) {
  const std::uint64_t seed = base::os_random_seed();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  base::Random random(seed);
  const FaultRates rates{.loss = 0.2, .duplicate = 0.3, .corrupt = 0.1, .reorder = 0.3};
  Cable cable({.receive = rates, .transmit = rates, .reorder_depth = 64, .seed = seed}, 16);
  for (int step = 0; step < 5'000; ++step) {
    switch (random.below(5)) {
      case 0:
        if (cable.near_pool.free_count() > 0) cable.send(*cable.near, cable.near_pool, 1);
        break;
      case 1:
        if (cable.far_pool.free_count() > 0) cable.send(*cable.far, cable.far_pool, 2);
        break;
      case 2: (void)cable.receive(*cable.near); break;
      case 3: (void)cable.receive(*cable.far); break;
      default: cable.near->flush(); cable.give_foreign(*cable.near);
    }
  }
  // ~Cable checks both pools, with frames still held back and under way.
}

}  // namespace
}  // namespace ringplane::port
