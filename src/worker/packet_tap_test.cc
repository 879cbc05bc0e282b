// Filters come from outside: what is no program that ends is refused, and what is one decides as libpcap says.
#include "worker/packet_tap.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace ringplane::worker {
namespace {

using ::testing::HasSubstr;

/// Ethernet, IPv4, TCP from 10.0.0.5:40000 to 192.0.2.10:80.
std::vector<std::uint8_t> tcp_frame() {
  std::vector<std::uint8_t> bytes(54);
  bytes[12] = 0x08;
  bytes[14] = 0x45;
  bytes[23] = 6;
  constexpr std::array<std::uint8_t, 8> kAddresses{10, 0, 0, 5, 192, 0, 2, 10};
  std::copy(kAddresses.begin(), kAddresses.end(), bytes.begin() + 26);
  bytes[34] = 0x9c;
  bytes[35] = 0x40;
  bytes[37] = 80;
  return bytes;
}

bool says(const std::string& expression) {
  const auto filter = PacketFilter::compile(expression);
  EXPECT_TRUE(filter) << filter.error().message;
  const std::vector<std::uint8_t> frame = tcp_frame();
  return filter && filter->matches(frame.data(), static_cast<std::uint32_t>(frame.size()));
}

TEST(PacketFilterTest, decides_as_libpcap_says) {
  EXPECT_TRUE(says(""));
  EXPECT_TRUE(says("host 10.0.0.5 and port 80"));
  EXPECT_TRUE(says("tcp dst port 80 and not udp"));
  EXPECT_FALSE(says("port 81"));
  EXPECT_FALSE(says("ip6"));
}

TEST(PacketFilterTest, what_is_none_is_refused_with_the_reason) {
  EXPECT_THAT(PacketFilter::compile("hos x").error().message, HasSubstr("the filter 'hos x' is none"));
  EXPECT_FALSE(PacketFilter::compile(std::string(5000, 'x')));
  EXPECT_FALSE(PacketFilter::create({{.code = 5, .operand = 7}}));     // jumps out of itself
  EXPECT_FALSE(PacketFilter::create({{.code = 0x30, .operand = 0}}));  // does not end
  EXPECT_FALSE(PacketFilter::create(std::vector<FilterInstruction>(PacketFilter::kMostInstructions + 1)));
  EXPECT_TRUE(PacketFilter::create({}));
}

TEST(PacketFilterTest, any_program_that_is_taken_ends_and_stays_within_the_frame) {
  base::Random random(20261128);
  std::size_t taken = 0;
  const std::vector<std::uint8_t> frame = tcp_frame();
  for (int round = 0; round < 20'000; ++round) {
    std::vector<FilterInstruction> program(1 + random.below(6));
    for (FilterInstruction& each : program) {
      each = {.code = static_cast<std::uint16_t>(random.below(256)),
              .jump_true = static_cast<std::uint8_t>(random.below(4)),
              .jump_false = static_cast<std::uint8_t>(random.below(4)),
              .operand = static_cast<std::uint32_t>(random.below(2) == 0 ? random.below(80) : random())};
    }
    program.back() = {.code = 0x06, .operand = 1};
    const auto filter = PacketFilter::create(std::move(program));
    if (!filter) continue;
    ++taken;
    (void)filter->matches(frame.data(), static_cast<std::uint32_t>(frame.size()));
  }
  EXPECT_GT(taken, 100U);
}

}  // namespace
}  // namespace ringplane::worker
