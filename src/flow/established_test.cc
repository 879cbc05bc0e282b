// The short way is held to the long one: whatever it takes, step() takes too, and leaves the same flow.
#include "flow/established.h"

#include <array>
#include <cstdint>
#include <cstring>

#include <gtest/gtest.h>

#include "base/drop_reason.h"
#include "base/hash.h"
#include "base/random.h"
#include "flow/conntrack.h"
#include "flow/flow.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

constexpr std::uint16_t kGeneration = 7;

Flow random_flow(base::Random& random, std::uint8_t protocol) {
  const auto near = [&random] { return static_cast<std::uint32_t>(1'000'000 + random.below(300'000)); };
  const auto state = [&random, protocol] {
    if (random.below(4) == 0) return static_cast<std::uint8_t>(random.below(8));
    return static_cast<std::uint8_t>(protocol == wire::protocol::kTcp ? PeerState::kEstablished : PeerState::kMultiple);
  };
  const auto peer = [&] { return static_cast<std::uint8_t>((random.below(15) << 4) | state()); };
  const auto window = [&random] { return static_cast<std::uint16_t>(random()); };
  Flow flow;
  flow.addresses = 0x0a000001'0a000002;
  flow.port = {1000, 2000};
  flow.zone = wire::make_zone(1, 0, 0);
  flow.protocol = protocol;
  flow.family = wire::Family::kIpv4;
  flow.flags = static_cast<std::uint8_t>(flow_flag::kLive | (random() & (flow_flag::kOriginalUpper)) |
                                         (random.below(8) == 0 ? random() & 0xff : 0));
  flow.generation = random.below(8) == 0 ? kGeneration + 1 : kGeneration;
  flow.peer = {peer(), peer()};
  flow.max_window = {window(), window()};
  flow.sent_end = {near(), near()};
  flow.allowed_end = {near(), near()};
  return flow;
}

wire::Packet random_packet(base::Random& random, const Flow& flow) {
  static constexpr std::array<std::uint8_t, 6> kFlags{0x10, 0x10, 0x18, 0x11, 0x14, 0x12};
  wire::Packet packet;
  packet.kind = wire::PacketKind::kFlow;
  packet.family = wire::Family::kIpv4;
  packet.protocol = flow.protocol;
  packet.from_upper = random.below(2) == 0;
  packet.tcp_flags = kFlags[random.below(kFlags.size())];
  packet.tcp_seq = static_cast<std::uint32_t>(1'000'000 + random.below(300'000));
  packet.tcp_ack = static_cast<std::uint32_t>(1'000'000 + random.below(300'000));
  packet.tcp_window = static_cast<std::uint16_t>(random());
  packet.payload_length = static_cast<std::uint16_t>(random.below(3) == 0 ? 0 : random.below(1460));
  packet.ip_length = static_cast<std::uint16_t>(40 + packet.payload_length);
  return packet;
}

EstablishedPacket shortened(const wire::Packet& packet, const Flow& flow, bool second_side) {
  return {.addresses = flow.addresses,
          .ports_and_zone = base::load64(flow.port.data()),
          .ip_length = packet.ip_length,
          .seq = packet.tcp_seq,
          .end = packet.tcp_seq + packet.payload_length,
          .ack = packet.tcp_ack,
          .window = packet.tcp_window,
          .from_upper = packet.from_upper,
          .second_side = second_side};
}

bool same(const Flow& one, const Flow& other) {
  return std::memcmp(&one, &other, sizeof one) == 0;
}

bool is_ordinary(const wire::Packet& packet) {
  constexpr std::uint8_t kJudged =
      wire::tcp_flag::kSyn | wire::tcp_flag::kFin | wire::tcp_flag::kRst | wire::tcp_flag::kAck;
  return (packet.tcp_flags & kJudged) == wire::tcp_flag::kAck;
}

TEST(Established, TheShortWayOfTcpLeavesTheFlowAsTheLongWayDoes) {
  base::Random random(31);
  int taken = 0;
  int left = 0;
  for (int i = 0; i < 400'000; ++i) {
    const Flow before = random_flow(random, wire::protocol::kTcp);
    const wire::Packet packet = random_packet(random, before);
    if (!is_ordinary(packet)) continue;
    const bool second_side = random.below(2) == 0;
    Flow by_short = before;
    const bool took =
        step_established(by_short, shortened(packet, before, second_side), EstablishedFlow::tcp(kGeneration));
    if (!took) {
      ASSERT_TRUE(same(by_short, before)) << i;
      ++left;
      continue;
    }
    ++taken;
    Flow by_long = before;
    const StepResult result = step(by_long, packet);
    ASSERT_EQ(result.reason, base::DropReason::none) << i;
    ASSERT_FALSE(result.restart) << i;
    ASSERT_TRUE(same(by_short, by_long)) << i;
    const bool original = before.direction_of(packet) == wire::Direction::kOriginal;
    ASSERT_EQ(second_side, original == before.has(flow_flag::kOriginalSecondPort)) << i;
    ASSERT_EQ(before.generation, kGeneration) << i;
    ASSERT_FALSE(before.has(flow_flag::kLog) || before.has(flow_flag::kPickedUp)) << i;
  }
  EXPECT_GT(taken, 5'000);
  EXPECT_GT(left, 50'000);
}

TEST(Established, TheShortWayOfUdpIsForFlowsThatTheLongWayLeavesAsTheyAre) {
  base::Random random(32);
  int taken = 0;
  for (int i = 0; i < 100'000; ++i) {
    const Flow before = random_flow(random, wire::protocol::kUdp);
    const wire::Packet packet = random_packet(random, before);
    const EstablishedPacket shorter = shortened(packet, before, random.below(2) == 0);
    if (differs(before, shorter, EstablishedFlow::udp(kGeneration)) != 0) continue;
    ++taken;
    Flow by_long = before;
    const StepResult result = step(by_long, packet);
    ASSERT_EQ(result.reason, base::DropReason::none) << i;
    ASSERT_TRUE(same(by_long, before)) << i;
  }
  EXPECT_GT(taken, 10'000);
}

TEST(Established, EveryPartOfTheKeyCounts) {
  base::Random random(33);
  const EstablishedFlow wanted = EstablishedFlow::udp(kGeneration);
  Flow flow = random_flow(random, wire::protocol::kUdp);
  flow.peer = {0x07, 0x07};
  flow.flags = flow_flag::kLive;
  flow.generation = kGeneration;
  const EstablishedPacket packet = shortened({}, flow, false);
  ASSERT_EQ(differs(flow, packet, wanted), 0U);
  for (std::size_t bit = 0; bit < 64; ++bit) {
    EstablishedPacket other = packet;
    other.addresses ^= std::uint64_t{1} << bit;
    EXPECT_NE(differs(flow, other, wanted), 0U) << bit;
    other = packet;
    other.ports_and_zone ^= std::uint64_t{1} << bit;
    EXPECT_NE(differs(flow, other, wanted), 0U) << bit;
  }
  EXPECT_NE(differs(flow, packet, EstablishedFlow::tcp(kGeneration)), 0U);
  EXPECT_NE(differs(flow, packet, EstablishedFlow::udp(kGeneration + 1)), 0U);
  flow.family = wire::Family::kNone;  // freed
  EXPECT_NE(differs(flow, packet, wanted), 0U);
}

}  // namespace
}  // namespace ringplane::flow
