#include "port/tap/tap_port.h"

#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/pair/pair_port.h"
#include "port/pcap/pcap_reader.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

constexpr std::uint32_t kFrames = 16;
std::uint64_t now_ns = 0;

class TapPortTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "ringplane-tap-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/tap.pcap";
    PortPair pair = make_pair_ports({.ring_slots = 4});
    far_port_ = std::move(pair.second);
    tap_ = TapPort::create(std::move(pair.first), arena_, {.path = path_, .clock_ns = [] noexcept { return now_ns; }})
               .value();
    near_ = tap_->open_queue(0, pool_).value();
    far_ = far_port_->open_queue(0, pool_).value();
  }
  void TearDown() override {
    near_.reset();
    far_.reset();
    EXPECT_EQ(pool_.free_count(), kFrames) << "a frame was lost";
    (void)std::remove(path_.c_str());
    (void)rmdir(folder_.c_str());
  }
  frame::Frame make_frame(std::uint8_t fill) {
    const frame::Frame frame{.address = pool_.take(), .length = 60, .port = {}, .reserved = {}};
    for (std::uint8_t& byte : arena_.data(frame)) byte = fill;
    return frame;
  }

  frame::Arena arena_ = frame::Arena::create({.frame_count = kFrames, .huge_pages = false}).value();
  frame::FramePool pool_{arena_, 0, kFrames};
  std::string folder_, path_;
  std::unique_ptr<Port> far_port_;
  std::unique_ptr<TapPort> tap_;
  std::unique_ptr<Queue> near_, far_;
};

TEST_F(TapPortTest, WritesBothDirectionsWithTheTimeOfItsClockAndChangesNothing) {
  now_ns = 1'700'000'000'000'000'123;
  const frame::Frame out = make_frame(1);
  ASSERT_EQ(near_->transmit({&out, 1}), 1U);
  frame::Burst burst;
  ASSERT_EQ(far_->receive(burst), 1U);
  EXPECT_EQ(burst[0].address, out.address);
  EXPECT_EQ(arena_.data(burst[0])[59], 1);

  now_ns += 77;
  arena_.data(burst[0])[0] = 2;
  ASSERT_EQ(far_->transmit(burst.frames()), 1U);
  burst.clear();
  ASSERT_EQ(near_->receive(burst), 1U);
  pool_.give(burst[0].address);
  near_->flush();
  ASSERT_TRUE(tap_->flush_file());
  EXPECT_EQ(near_->counters().tx_packets.get(), 1U);
  EXPECT_EQ(near_->counters().rx_packets.get(), 1U);

  auto reader = PcapReader::open(path_).value();
  std::optional<CapturedPacket> packet = reader.next();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->time_ns, now_ns - 77);
  EXPECT_EQ(packet->bytes.size(), 60U);
  EXPECT_EQ(packet->bytes[0], 1);
  packet = reader.next();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->time_ns, now_ns);
  EXPECT_EQ(packet->bytes[0], 2);
  EXPECT_FALSE(reader.next());
}

TEST_F(TapPortTest, WhatThePortDoesNotTakeIsNotWritten) {
  std::array<frame::Frame, 6> frames;
  for (frame::Frame& frame : frames) frame = make_frame(3);
  EXPECT_EQ(near_->transmit(frames), 4U);
  pool_.give(frames[4].address);
  pool_.give(frames[5].address);
  ASSERT_TRUE(tap_->flush_file());
  auto reader = PcapReader::open(path_).value();
  int written = 0;
  while (reader.next()) ++written;
  EXPECT_EQ(written, 4);
}

TEST_F(TapPortTest, AFileThatCannotBeWrittenIsRefused) {
  PortPair pair = make_pair_ports({});
  const auto tap = TapPort::create(std::move(pair.first), arena_, {.path = folder_ + "/none/tap.pcap"});
  ASSERT_FALSE(tap);
  EXPECT_THAT(tap.error().message, testing::HasSubstr("cannot write capture"));
}

}  // namespace
}  // namespace ringplane::port
