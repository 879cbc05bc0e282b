#include "port/pair/pair_port.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>

#include <gtest/gtest.h>

#include "base/ids.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

constexpr std::uint32_t kFramesPerPool = 128;

class PairPortTest : public testing::Test {
 protected:
  void open(const PairOptions& options) {
    ports_ = make_pair_ports(options);
    first_ = ports_.first->open_queue(0, first_pool_).value();
    second_ = ports_.second->open_queue(0, second_pool_).value();
  }
  void TearDown() override {
    close(first_);
    close(second_);
    EXPECT_EQ(first_pool_.free_count(), kFramesPerPool) << "a frame of the first end was lost";
    EXPECT_EQ(second_pool_.free_count(), kFramesPerPool) << "a frame of the second end was lost";
  }
  void give(std::uint64_t address) { (first_pool_.owns(address) ? first_pool_ : second_pool_).give(address); }
  void close(std::unique_ptr<Queue>& queue) {
    if (!queue) return;
    queue->close();
    for (const std::uint64_t address : queue->foreign_frames()) give(address);
    queue.reset();
  }
  static frame::Frame make_frame(frame::FramePool& pool, std::uint32_t length) {
    return {.address = pool.take(), .length = length, .port = {}, .marks = 0, .reserved = {}};
  }

  frame::Arena arena_ = frame::Arena::create({.frame_count = 2 * kFramesPerPool, .huge_pages = false}).value();
  frame::FramePool first_pool_{arena_, 0, kFramesPerPool};
  frame::FramePool second_pool_{arena_, kFramesPerPool, kFramesPerPool};
  PortPair ports_;
  std::unique_ptr<Queue> first_, second_;
};

TEST_F(PairPortTest, WhatOneEndTransmitsTheOtherReceivesInTheSameBuffer) {
  open({.first_id = {7}, .second_id = {9}});
  const frame::Frame sent = make_frame(first_pool_, 60);
  arena_.data(sent)[0] = 0xab;
  ASSERT_EQ(first_->transmit({&sent, 1}), 1U);
  frame::Burst burst;
  ASSERT_EQ(second_->receive(burst), 1U);
  EXPECT_EQ(burst[0].address, sent.address);
  EXPECT_EQ(burst[0].length, 60U);
  EXPECT_EQ(burst[0].port, base::PortId{9});
  EXPECT_EQ(arena_.data(burst[0])[0], 0xab);
  EXPECT_EQ(first_->counters().tx_bytes.get(), 60U);
  EXPECT_EQ(second_->counters().rx_packets.get(), 1U);
  give(burst[0].address);
}

TEST_F(PairPortTest, ReceiveFillsOnlyTheSpaceLeftInTheBurst) {
  open({});
  for (int i = 0; i < 70; ++i) {
    const frame::Frame frame = make_frame(first_pool_, 60);
    ASSERT_EQ(first_->transmit({&frame, 1}), 1U);
  }
  frame::Burst burst;
  EXPECT_EQ(second_->receive(burst), 64U);
  EXPECT_EQ(second_->receive(burst), 0U);
  for (const frame::Frame& frame : burst.frames()) give(frame.address);
}

TEST_F(PairPortTest, AFullRingLeavesTheTailWithTheCaller) {
  open({.ring_slots = 4});
  std::array<frame::Frame, 6> frames;
  for (frame::Frame& frame : frames) frame = make_frame(first_pool_, 60);
  EXPECT_EQ(first_->transmit(frames), 4U);
  EXPECT_EQ(first_->counters().tx_ring_full.get(), 2U);
  give(frames[4].address);
  give(frames[5].address);
}

TEST_F(PairPortTest, FramesUnderWayComeBackWhicheverEndClosesFirst) {
  for (const bool first_closes_first : {true, false}) {
    open({});
    for (Queue* queue : {first_.get(), second_.get()}) {
      const frame::Frame frame = make_frame(queue == first_.get() ? first_pool_ : second_pool_, 60);
      ASSERT_EQ(queue->transmit({&frame, 1}), 1U);
    }
    close(first_closes_first ? first_ : second_);
    // The end that is left goes on transmitting into nothing, and gets it back at its own close.
    Queue* left = first_closes_first ? second_.get() : first_.get();
    const frame::Frame late = make_frame(first_closes_first ? second_pool_ : first_pool_, 60);
    ASSERT_EQ(left->transmit({&late, 1}), 1U);
    close(first_closes_first ? second_ : first_);
    ASSERT_EQ(first_pool_.free_count(), kFramesPerPool);
    ASSERT_EQ(second_pool_.free_count(), kFramesPerPool);
  }
}

TEST_F(PairPortTest, AClosedQueueIsNotAliveAndTakesNothing) {
  open({});
  first_->close();
  EXPECT_FALSE(first_->alive());
  const frame::Frame frame = make_frame(first_pool_, 60);
  EXPECT_EQ(first_->transmit({&frame, 1}), 0U);
  give(frame.address);
}

TEST_F(PairPortTest, AQueueIsOpenedOnceAndOnlyIfItExists) {
  open({});
  EXPECT_FALSE(ports_.first->open_queue(0, first_pool_).has_value());
  EXPECT_FALSE(ports_.first->open_queue(1, first_pool_).has_value());
}

TEST_F(PairPortTest, EndsOnTwoThreadsEchoEveryFrameInOrder) {
  open({.ring_slots = 32});
  constexpr std::uint32_t kRounds = 20'000;
  std::jthread echo([this] {
    std::uint32_t echoed = 0;
    while (echoed < kRounds) {
      frame::Burst burst;
      (void)second_->receive(burst);
      std::span<const frame::Frame> rest = burst.frames();
      while (!rest.empty()) rest = rest.subspan(second_->transmit(rest));
      echoed += burst.size();
      if (burst.empty()) std::this_thread::yield();
    }
  });
  std::uint32_t sent = 0;
  std::uint32_t received = 0;
  while (received < kRounds) {
    if (sent < kRounds && first_pool_.free_count() > 0) {
      const frame::Frame frame = make_frame(first_pool_, 60 + sent % 100);
      if (first_->transmit({&frame, 1}) == 1) {
        ++sent;
      } else {
        give(frame.address);
      }
    }
    frame::Burst burst;
    if (first_->receive(burst) == 0) std::this_thread::yield();
    for (const frame::Frame& frame : burst.frames()) {
      ASSERT_EQ(frame.length, 60 + received % 100);
      ++received;
      give(frame.address);
    }
  }
}

}  // namespace
}  // namespace ringplane::port
