// Sixteen at a time is held to one at a time, over flows and headers made at random so that all conditions fail and
// hold often, and both counters run over.
#include "flow/established_lanes.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/vector_width.h"
#include "flow/established.h"
#include "flow/flow.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/plain_headers.h"

namespace ringplane::flow {
namespace {

constexpr std::uint16_t kOwnGeneration = 7;
constexpr Tick kNow = 123'456;
constexpr std::size_t kFlows = 40;

bool often(base::Random& random) {
  return random.below(12) != 0;
}

Flow random_flow(base::Random& random) {
  const bool udp = random.below(3) == 0;
  const auto near = [&random] { return static_cast<std::uint32_t>(0xffff'f000 + random.below(300'000)); };
  const auto peer = [&] {
    const auto usual = udp ? PeerState::kMultiple : PeerState::kEstablished;
    const std::uint64_t state = often(random) ? static_cast<std::uint64_t>(usual) : random.below(8);
    return static_cast<std::uint8_t>((random.below(15) << 4) | state);
  };
  const auto half = [&random] { return static_cast<std::uint16_t>(random()); };
  Flow flow;
  flow.addresses = random();
  flow.port = {half(), half()};
  flow.zone = wire::make_zone(static_cast<std::uint8_t>(random.below(3)), 0, 0);
  flow.protocol = udp ? 17 : 6;
  flow.family = often(random) ? wire::Family::kIpv4 : wire::Family::kNone;
  flow.flags = static_cast<std::uint8_t>(
      (often(random) ? flow_flag::kLive : random()) |
      (random() & (flow_flag::kOriginalUpper | flow_flag::kOriginalSecondPort | flow_flag::kConnectionCounted)));
  flow.timeout_set = static_cast<std::uint8_t>(random());
  flow.generation = often(random) ? kOwnGeneration : half();
  flow.packets = {often(random) ? half() : std::uint16_t{0xffff}, often(random) ? half() : std::uint16_t{0xffff}};
  flow.peer = {peer(), peer()};
  flow.max_window = {half(), half()};
  flow.sent_end = {near(), near()};
  flow.allowed_end = {near(), near()};
  flow.bytes = {0xffff'ff00U + static_cast<std::uint32_t>(random.below(300)), static_cast<std::uint32_t>(random())};
  flow.path = base::RulePathId{static_cast<std::uint32_t>(random())};
  return flow;
}

/// A packet that mostly is of `flow`.
void set_headers(wire::PlainHeaders& headers, std::size_t i, const Flow& flow, base::Random& random) {
  const std::uint64_t bit = std::uint64_t{1} << i;
  const auto near = [&random] { return static_cast<std::uint32_t>(0xffff'f000 + random.below(300'000)); };
  headers.addresses[i] = often(random) ? flow.addresses : flow.addresses ^ (std::uint64_t{1} << random.below(64));
  headers.ports_and_zone[i] = base::load64(flow.port.data());
  if (!often(random)) headers.ports_and_zone[i] ^= std::uint64_t{1} << random.below(64);
  headers.ip_length[i] = static_cast<std::uint32_t>(random.below(1500));
  headers.seq[i] = near();
  headers.end[i] = headers.seq[i] + static_cast<std::uint32_t>(random.below(1460));
  headers.ack[i] = near();
  headers.window[i] = static_cast<std::uint16_t>(random());
  headers.plain |= bit;
  const bool udp = often(random) ? flow.protocol == 17 : random.below(2) == 0;
  headers.udp |= udp ? bit : 0;
  headers.ordinary |= !udp && often(random) ? bit : 0;
  headers.from_upper |= random.below(2) == 0 ? bit : 0;
}

/// What one at a time makes of packet `i`.
bool step_one(Flow& flow, const EstablishedBurst& burst, std::size_t i) {
  const EstablishedPacket packet = EstablishedPacket::of(burst.headers, i, (burst.second_side >> i & 1) != 0);
  const bool udp = (burst.headers.udp >> i & 1) != 0;
  if (udp ? differs(flow, packet, EstablishedFlow::udp(kOwnGeneration)) != 0
          : (burst.headers.ordinary >> i & 1) == 0 ||
                !step_established(flow, packet, EstablishedFlow::tcp(kOwnGeneration))) {
    return false;
  }
  const std::size_t side = sender_of(flow, packet);
  flow.bytes[side] += packet.ip_length;
  ++flow.packets[side];
  flow.last_seen = kNow;
  return true;
}

TEST(EstablishedLanes, DoWhatOneAtATimeDoes) {
  if (base::widest_vectors() != base::VectorWidth::kAvx512) GTEST_SKIP() << "this processor has no AVX-512";
  constexpr std::uint64_t kSeed = 41;
  base::Random random(kSeed);
  std::size_t tracked_packets = 0;
  std::size_t carries = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<Flow> flows(kFlows);
    for (Flow& flow : flows) flow = random_flow(random);
    wire::PlainHeaders headers;
    alignas(64) std::array<base::FlowId, 64> likely;
    const std::size_t first = 16 * random.below(4);
    for (std::size_t i = 0; i < 16; ++i) {
      likely[first + i] = base::FlowId{static_cast<std::uint32_t>((i * 2 + random.below(2)) % kFlows)};
      set_headers(headers, first + i, flows[likely[first + i].value], random);
    }
    const EstablishedBurst burst{
        .headers = headers, .second_side = random(), .likely = likely, .generation = kOwnGeneration, .now = kNow};
    const auto wanted = static_cast<std::uint16_t>(random.below(2) == 0 ? 0xffff : random());
    std::vector<Flow> expected = flows;
    std::uint16_t expected_tracked = 0;
    EstablishedLanes carried;
    for (std::size_t i = 0; i < 16; ++i) {
      Flow& flow = expected[likely[first + i].value];
      if ((wanted >> i & 1) == 0 || !step_one(flow, burst, first + i)) continue;
      expected_tracked |= static_cast<std::uint16_t>(1U << i);
      const Flow& before = flows[likely[first + i].value];
      for (std::size_t side = 0; side < 2; ++side) {
        if (flow.bytes[side] < before.bytes[side]) carried.bytes_carry |= static_cast<std::uint16_t>(1U << i);
        if (flow.packets[side] < before.packets[side]) carried.packets_carry |= static_cast<std::uint16_t>(1U << i);
      }
    }
    Flow spare;
    std::array<base::RulePathId, 16> paths;
    const EstablishedLanes lanes = EstablishedLanes::step(burst, first, wanted, flows.data(), &spare, paths.data());
    ASSERT_EQ(lanes.tracked, expected_tracked) << "seed " << kSeed << ", round " << round;
    ASSERT_EQ(lanes.bytes_carry, carried.bytes_carry) << "round " << round;
    ASSERT_EQ(lanes.packets_carry, carried.packets_carry) << "round " << round;
    ASSERT_EQ(std::memcmp(flows.data(), expected.data(), kFlows * sizeof(Flow)), 0) << "round " << round;
    for (std::size_t i = 0; i < 16; ++i) {
      if ((lanes.tracked >> i & 1) == 0) continue;
      ++tracked_packets;
      carries += lanes.bytes_carry >> i & 1;
      carries += lanes.packets_carry >> i & 1;
      ASSERT_EQ(paths[i], expected[likely[first + i].value].path) << "round " << round;
    }
  }
  EXPECT_GT(tracked_packets, 10'000U);
  EXPECT_GT(carries, 1'000U);
}

TEST(EstablishedLanes, FindTheFirstOfEachFlowByAllWidths) {
  base::Random random(42);
  for (int round = 0; round < 2'000; ++round) {
    std::array<base::FlowId, 16> flows;
    for (base::FlowId& flow : flows) flow = base::FlowId{static_cast<std::uint32_t>(random.below(20))};
    std::uint16_t first = 0;
    for (std::size_t i = 0; i < 16; ++i) {
      bool before = false;
      for (std::size_t j = 0; j < i; ++j) before = before || flows[j] == flows[i];
      if (!before) first |= static_cast<std::uint16_t>(1U << i);
    }
    EXPECT_EQ(EstablishedLanes::first_of_kind(flows.data(), base::VectorWidth::kPlain), first);
    EXPECT_EQ(EstablishedLanes::first_of_kind(flows.data(), base::widest_vectors()), first);
  }
}

}  // namespace
}  // namespace ringplane::flow
