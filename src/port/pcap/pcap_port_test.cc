#include "port/pcap/pcap_port.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include "base/ids.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/pcap/pcap_reader.h"
#include "port/pcap/pcap_writer.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t kFrames = 128;
constexpr std::uint64_t kStart = 1'700'000'000'000'000'001;

class PcapPortTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "ringplane-pcap-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override {
    EXPECT_EQ(pool_.free_count(), kFrames) << "a frame was lost";
    for (const std::string& path : made_) (void)std::remove(path.c_str());
    (void)rmdir(folder_.c_str());
  }
  std::string path(const std::string& name) {
    made_.push_back(folder_ + "/" + name);
    return made_.back();
  }
  struct Written {
    std::uint64_t time_ns;
    std::vector<std::uint8_t> bytes;
  };
  std::string write(const std::string& name, const std::vector<Written>& packets) {
    const std::string at = path(name);
    auto writer = PcapWriter::create(at).value();
    for (const Written& packet : packets) writer.write(packet.time_ns, packet.bytes);
    EXPECT_TRUE(writer.flush());
    return at;
  }
  void give(const frame::Burst& burst) {
    for (const frame::Frame& frame : burst.frames()) pool_.give(frame.address);
  }

  frame::Arena arena_ = frame::Arena::create({.frame_count = kFrames + 1, .huge_pages = false}).value();
  frame::FramePool pool_{arena_, 0, kFrames};
  std::string folder_;
  std::vector<std::string> made_;
};

std::vector<std::uint8_t> packet(std::size_t length, std::uint8_t fill) {
  return std::vector<std::uint8_t>(length, fill);
}

TEST_F(PcapPortTest, APacketIsReceivedOnceTheClockHasReachedItsNanosecond) {
  const std::string in = write("in.pcap", {{kStart, packet(60, 1)}, {kStart + 7, packet(61, 2)}});
  auto port = PcapPort::create(arena_, {.id = {5}, .read_path = in}).value();
  auto queue = port->open_queue(0, pool_).value();
  frame::Burst burst;
  EXPECT_EQ(port->next_time_ns(), kStart);
  port->set_now(kStart - 1);
  EXPECT_EQ(queue->receive(burst), 0U);
  port->set_now(kStart);
  ASSERT_EQ(queue->receive(burst), 1U);
  EXPECT_EQ(burst[0].length, 60U);
  EXPECT_EQ(burst[0].port, base::PortId{5});
  EXPECT_EQ(arena_.data(burst[0])[59], 1);
  EXPECT_EQ(port->next_time_ns(), kStart + 7);
  EXPECT_EQ(port->next_number(), 2U);
  port->set_now(kStart + 100);
  EXPECT_EQ(queue->receive(burst), 1U);
  EXPECT_EQ(port->next_time_ns(), std::nullopt);
  EXPECT_EQ(port->error(), "");
  give(burst);
}

TEST_F(PcapPortTest, WhatIsTransmittedReadsBackWithThePortsTime) {
  const std::string out = path("out.pcap");
  {
    auto port = PcapPort::create(arena_, {.write_path = out}).value();
    auto queue = port->open_queue(0, pool_).value();
    const frame::Frame frame{.address = pool_.take(), .length = 99, .port = {}, .reserved = {}};
    arena_.data(frame)[98] = 0x5a;
    port->set_now(kStart + 3);
    EXPECT_EQ(queue->transmit({&frame, 1}), 1U);
  }
  auto reader = PcapReader::open(out).value();
  const std::optional<CapturedPacket> read = reader.next();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->time_ns, kStart + 3);
  EXPECT_EQ(read->bytes.size(), 99U);
  EXPECT_EQ(read->bytes[98], 0x5a);
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.error(), "");
}

TEST_F(PcapPortTest, WithoutAnOutputFileTransmittedFramesGoStraightBackToThePool) {
  auto port = PcapPort::create(arena_, {}).value();
  auto queue = port->open_queue(0, pool_).value();
  const frame::Frame frame{.address = pool_.take(), .length = 60, .port = {}, .reserved = {}};
  EXPECT_EQ(queue->transmit({&frame, 1}), 1U);
  EXPECT_EQ(pool_.free_count(), kFrames);
  EXPECT_EQ(queue->counters().tx_packets.get(), 1U);
}

TEST_F(PcapPortTest, AForeignFrameWaitsToBeMailedHome) {
  auto port = PcapPort::create(arena_, {}).value();
  auto queue = port->open_queue(0, pool_).value();
  frame::FramePool other(arena_, kFrames, 1);
  const frame::Frame frame{.address = other.take(), .length = 60, .port = {}, .reserved = {}};
  ASSERT_EQ(queue->transmit({&frame, 1}), 1U);
  ASSERT_EQ(queue->foreign_frames().size(), 1U);
  EXPECT_TRUE(other.owns(queue->foreign_frames()[0]));
  queue->clear_foreign_frames();
  EXPECT_TRUE(queue->foreign_frames().empty());
}

TEST_F(PcapPortTest, APacketBeyondAFrameIsSkippedAndTold) {
  const std::string in =
      write("in.pcap", {{kStart, packet(1792, 1)}, {kStart + 1, packet(1793, 2)}, {kStart + 2, packet(60, 3)}});
  auto port = PcapPort::create(arena_, {.read_path = in}).value();
  auto queue = port->open_queue(0, pool_).value();
  port->set_now(kStart + 2);
  frame::Burst burst;
  ASSERT_EQ(queue->receive(burst), 2U);
  EXPECT_EQ(burst[0].length, 1792U);
  EXPECT_EQ(burst[1].length, 60U);
  const std::vector<OversizedPacket> oversized = port->take_oversized();
  ASSERT_EQ(oversized.size(), 1U);
  EXPECT_EQ(oversized[0].number, 2U);
  EXPECT_EQ(oversized[0].time_ns, kStart + 1);
  EXPECT_EQ(oversized[0].length, 1793U);
  EXPECT_TRUE(port->take_oversized().empty());
  give(burst);
}

TEST_F(PcapPortTest, APacketCutByTheCaptureIsReceivedAsCapturedAndCounted) {
  const std::string in = path("cut.pcap");
  pcap_t* format = pcap_open_dead(DLT_EN10MB, 64);
  pcap_dumper_t* file = pcap_dump_open(format, in.c_str());
  ASSERT_NE(file, nullptr);
  const std::vector<std::uint8_t> bytes = packet(64, 1);
  const pcap_pkthdr header{.ts = {.tv_sec = 1, .tv_usec = 0}, .caplen = 64, .len = 1514};
  pcap_dump(reinterpret_cast<u_char*>(file), &header, bytes.data());
  pcap_dump_close(file);
  pcap_close(format);
  auto port = PcapPort::create(arena_, {.read_path = in}).value();
  auto queue = port->open_queue(0, pool_).value();
  port->set_now(kStart);
  frame::Burst burst;
  ASSERT_EQ(queue->receive(burst), 1U);
  EXPECT_EQ(burst[0].length, 64U);
  EXPECT_EQ(port->cut_packets(), 1U);
  give(burst);
}

TEST_F(PcapPortTest, AnEmptyPoolDelaysPacketsAndLosesNone) {
  const std::string in = write("in.pcap", {{kStart, packet(60, 1)}, {kStart, packet(60, 2)}});
  auto port = PcapPort::create(arena_, {.read_path = in}).value();
  frame::FramePool one(arena_, kFrames, 1);
  auto queue = port->open_queue(0, one).value();
  port->set_now(kStart);
  for (std::uint8_t expected = 1; expected <= 2; ++expected) {
    frame::Burst burst;
    ASSERT_EQ(queue->receive(burst), 1U);
    EXPECT_EQ(arena_.data(burst[0])[0], expected);
    one.give(burst[0].address);
  }
  EXPECT_EQ(queue->counters().rx_no_frame.get(), 1U);
}

TEST_F(PcapPortTest, AFileThatBreaksOffGivesItsWholePacketsAndSaysSo) {
  const std::string in = write("in.pcap", {{kStart, packet(60, 1)}, {kStart + 1, packet(60, 2)}});
  ASSERT_EQ(truncate(in.c_str(), 24 + 16 + 60 + 16 + 10), 0);
  auto port = PcapPort::create(arena_, {.read_path = in}).value();
  auto queue = port->open_queue(0, pool_).value();
  port->set_now(kStart + 1);
  frame::Burst burst;
  EXPECT_EQ(queue->receive(burst), 1U);
  EXPECT_THAT(port->error(), HasSubstr("breaks off after packet 1"));
  give(burst);
}

TEST_F(PcapPortTest, AbsentFilesAndOtherLinkTypesAreRefusedWithASentence) {
  const auto absent = PcapPort::create(arena_, {.read_path = folder_ + "/none.pcap"});
  ASSERT_FALSE(absent);
  EXPECT_THAT(absent.error().message, HasSubstr("No such file"));

  const std::string raw = path("raw.pcap");
  pcap_t* format = pcap_open_dead(DLT_RAW, 64);
  pcap_dump_close(pcap_dump_open(format, raw.c_str()));
  pcap_close(format);
  const auto refused = PcapPort::create(arena_, {.read_path = raw});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("link type RAW"));

  const auto unwritable = PcapPort::create(arena_, {.write_path = folder_ + "/none/out.pcap"});
  ASSERT_FALSE(unwritable);
  EXPECT_THAT(unwritable.error().message, HasSubstr("cannot write capture"));
}

}  // namespace
}  // namespace ringplane::port
