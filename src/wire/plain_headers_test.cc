#include "wire/plain_headers.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "base/drop_reason.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/vector_width.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/compose.h"
#include "wire/decode.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "wire/plain_ipv4.h"

namespace ringplane::wire {
namespace {

using Frame = std::vector<std::uint8_t>;

/// Widths that this machine has not are measured as the widest that it has.
std::vector<base::VectorWidth> widths() {
  std::vector<base::VectorWidth> all{base::VectorWidth::kPlain};
  if (base::widest_vectors() != base::VectorWidth::kPlain) all.push_back(base::widest_vectors());
  return all;
}

Frame random_frame(base::Random& random) {
  const auto number = [&] { return static_cast<std::uint32_t>(random()); };
  const auto address = [&] { return IpAddress::from_ipv4(random.below(8) == 0 ? number() & 0xff0000ff : number()); };
  const Envelope envelope{.ethernet = {.destination = {2, 0, 0, 0, 0, 2}, .source = {2, 0, 0, 0, 0, 1}},
                          .family = Family::kIpv4,
                          .source = address(),
                          .destination = address()};
  static constexpr std::array<std::uint8_t, 8> kFlags{0x10, 0x10, 0x18, 0x02, 0x12, 0x11, 0x04, 0xd2};
  const Frame payload(random.below(40));
  const auto source_port = static_cast<std::uint16_t>(number());
  const auto destination_port = static_cast<std::uint16_t>(number());
  Frame frame = random.below(3) == 0
                    ? compose_udp(envelope, {.source_port = source_port, .destination_port = destination_port}, payload)
                    : compose_tcp(envelope,
                                  {.source_port = source_port,
                                   .destination_port = destination_port,
                                   .seq = number(),
                                   .ack = number(),
                                   .flags = kFlags[random.below(kFlags.size())],
                                   .window = static_cast<std::uint16_t>(number())},
                                  payload);
  if (random.below(4) == 0) frame.resize(frame.size() + random.below(30));  // padding
  return frame;
}

/// Sets a byte of the headers at random; every second time with the right checksum afterwards.
void damage(Frame& frame, base::Random& random) {
  constexpr std::size_t kHeaders = 54;
  frame[12 + random.below(std::min(frame.size(), kHeaders) - 12)] = static_cast<std::uint8_t>(random());
  const std::size_t header_bytes = std::size_t{4} * (frame[14] & 0xfU);
  if (random.below(2) == 0 || header_bytes < 20 || frame.size() < 14 + header_bytes) return;
  const MutableBytes header = MutableBytes(frame).subspan(14, header_bytes);
  header_at<Be16>(header.subspan(10)) = std::uint16_t{0};
  header_at<Be16>(header.subspan(10)) = checksum(header);
}

bool is_plain(const Packet& packet) {
  return packet.kind == PacketKind::kFlow && packet.family == Family::kIpv4 && packet.l3_offset == 14 &&
         packet.l4_offset == 34 && (packet.protocol == protocol::kTcp || packet.protocol == protocol::kUdp) &&
         !packet.has_ip_options && !packet.more_fragments;
}

/// `slot` of `headers` says what the long way says of the frame.
void expect_same(const PlainHeaders& headers, std::size_t slot, Bytes frame, std::uint8_t domain) {
  Packet packet;
  ASSERT_EQ(decode_any(frame, domain, packet), base::DropReason::none);
  ASSERT_TRUE(is_plain(packet));
  const base::HashSecret secret = base::secret_from_seed(1);
  const auto bit = [slot](std::uint64_t bits) { return (bits >> slot & 1) != 0; };
  EXPECT_EQ(headers.addresses[slot], packet.key.packed_ipv4());
  EXPECT_EQ(headers.ports_and_zone[slot], packet.key.ports_and_zone());
  std::array<std::uint64_t, PlainHeaders::kCapacity> hashes;
  headers.hash_plain(slot / PlainHeaders::kGroup * PlainHeaders::kGroup, secret, hashes.data());
  EXPECT_EQ(hashes[slot], packet.key.hash(secret));
  EXPECT_EQ(headers.ip_length[slot], packet.ip_length);
  EXPECT_EQ(bit(headers.from_upper), packet.from_upper);
  EXPECT_EQ(bit(headers.udp), packet.protocol == protocol::kUdp);
  constexpr std::uint8_t kJudged = tcp_flag::kSyn | tcp_flag::kFin | tcp_flag::kRst | tcp_flag::kAck;
  EXPECT_EQ(bit(headers.ordinary), packet.is_tcp() && (packet.tcp_flags & kJudged) == tcp_flag::kAck);
  if (!packet.is_tcp()) return;
  EXPECT_EQ(headers.seq[slot], packet.tcp_seq);
  EXPECT_EQ(headers.end[slot], packet.tcp_seq + packet.payload_length);
  EXPECT_EQ(headers.ack[slot], packet.tcp_ack);
  EXPECT_EQ(headers.window[slot], packet.tcp_window);
}

TEST(PlainHeaders, SayTheSameAsTheLongWayByAllWidths) {
  constexpr std::uint64_t kSeed = 20;
  base::Random random(kSeed);
  std::size_t plain_frames = 0;
  std::size_t other_frames = 0;
  for (int round = 0; round < 2'000; ++round) {
    std::vector<Frame> frames(random.below(4) == 0 ? 64 : 1 + random.below(FrameBytes::kCapacity));
    const bool all_plain = random.below(8) == 0;
    FrameBytes bytes;
    for (Frame& frame : frames) {
      frame = random_frame(random);
      for (std::uint64_t times = all_plain ? 0 : random.below(3); times > 0; --times) damage(frame, random);
      if (!all_plain && random.below(16) == 0) frame.resize(random.below(frame.size()));
      frame.shrink_to_fit();  // AddressSanitizer sees any read behind it
      const auto domain = static_cast<std::uint8_t>(random.below(4));
      bytes.zone[bytes.count] = make_zone(domain, 0, 0);
      bytes.length[bytes.count] = static_cast<std::uint32_t>(frame.size());
      bytes.data[bytes.count++] = frame.data();
    }
    for (const base::VectorWidth width : widths()) {
      PlainHeaders headers;
      for (std::size_t first = 0; first < bytes.count; first += PlainHeaders::kGroup) headers.read(bytes, first, width);
      for (std::size_t slot = 0; slot < FrameBytes::kCapacity; ++slot) {
        const bool plain = (headers.plain >> slot & 1) != 0;
        Packet packet;
        if (slot >= frames.size()) {
          ASSERT_FALSE(plain);
          continue;
        }
        ASSERT_EQ(plain, PlainIpv4::decode(frames[slot], 0, packet)) << "seed " << kSeed << ", round " << round;
        plain_frames += plain ? 1 : 0;
        other_frames += plain ? 0 : 1;
        if (plain) expect_same(headers, slot, frames[slot], static_cast<std::uint8_t>(bytes.zone[slot] >> 24));
      }
      ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << kSeed << ", round " << round;
    }
  }
  EXPECT_GT(plain_frames, 10'000U);
  EXPECT_GT(other_frames, 10'000U);
}

}  // namespace
}  // namespace ringplane::wire
