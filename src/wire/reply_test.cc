#include "wire/reply.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "base/drop_reason.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/compose.h"
#include "wire/decode.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::wire {
namespace {

Envelope envelope(Family family) {
  const bool four = family == Family::kIpv4;
  return {.ethernet = {.destination = {2, 0, 0, 0, 0, 2}, .source = {2, 0, 0, 0, 0, 1}, .tag = {}, .tag_count = 1},
          .family = family,
          .source = parse_host_address(four ? "10.0.0.5" : "2001:db8::5")->address,
          .destination = parse_host_address(four ? "192.0.2.10" : "2001:db8::a")->address};
}

struct Answer {
  std::vector<std::uint8_t> frame;
  Packet packet;
};

template <class Turn>
Answer answer_to(const std::vector<std::uint8_t>& rejected, Turn&& turn) {
  Packet packet;
  EXPECT_EQ(decode(rejected, 0, packet), base::DropReason::none);
  EXPECT_TRUE(may_answer(rejected, packet));
  std::vector<std::uint8_t> room = rejected;
  room.resize(2048);
  const std::uint32_t length = turn(MutableBytes(room), packet);
  room.resize(length);
  Answer answer{.frame = room, .packet = {}};
  EXPECT_EQ(decode(answer.frame, 0, answer.packet), base::DropReason::none);
  return answer;
}

/// 0 when the transport checksum of `frame` is right.
std::uint16_t transport_residue(const Answer& answer) {
  const Packet& packet = answer.packet;
  const Bytes segment = Bytes(answer.frame).subspan(packet.l4_offset);
  const bool plain = packet.protocol == protocol::kIcmp;
  return checksum_finish(
      checksum_add(segment, plain ? 0
                                  : pseudo_header_sum(packet.family, packet.source, packet.destination, packet.protocol,
                                                      static_cast<std::uint32_t>(segment.size()))));
}

class Reply : public ::testing::TestWithParam<Family> {};

TEST_P(Reply, ASynGetsAResetThatAcknowledgesIt) {
  const auto syn = compose_tcp(envelope(GetParam()),
                               {.source_port = 4000, .destination_port = 22, .seq = 99, .flags = tcp_flag::kSyn});
  const Answer reset =
      answer_to(syn, [](MutableBytes room, const Packet& p) { return turn_into_tcp_reset(room, p, 64); });
  EXPECT_EQ(reset.packet.tcp_flags, tcp_flag::kRst | tcp_flag::kAck);
  EXPECT_EQ(reset.packet.tcp_ack, 100U);
  EXPECT_EQ(reset.packet.tcp_seq, 0U);
  EXPECT_EQ(reset.packet.source_port, 22);
  EXPECT_EQ(reset.packet.destination, envelope(GetParam()).source);
  EXPECT_EQ(transport_residue(reset), 0);
  EXPECT_EQ(reset.frame[5], 1) << "goes back to the MAC it came from";
  EXPECT_EQ(reset.packet.l3_offset, 18) << "keeps its VLAN tag";
}

TEST_P(Reply, ASegmentWithAckGetsAResetAtItsAck) {
  const auto segment = compose_tcp(envelope(GetParam()), {.seq = 5, .ack = 777, .flags = tcp_flag::kAck}, {},
                                   std::vector<std::uint8_t>(9));
  const Answer reset =
      answer_to(segment, [](MutableBytes room, const Packet& p) { return turn_into_tcp_reset(room, p, 64); });
  EXPECT_EQ(reset.packet.tcp_flags, tcp_flag::kRst);
  EXPECT_EQ(reset.packet.tcp_seq, 777U);
  EXPECT_EQ(transport_residue(reset), 0);
}

TEST_P(Reply, ADatagramGetsAnUnreachableThatQuotesIt) {
  for (const std::size_t bytes : {0UL, 40UL, 1400UL}) {
    const auto datagram = compose_udp(envelope(GetParam()), {.source_port = 4000, .destination_port = 53},
                                      std::vector<std::uint8_t>(bytes));
    Packet original;
    ASSERT_EQ(decode(datagram, 0, original), base::DropReason::none);
    const Answer error =
        answer_to(datagram, [](MutableBytes room, const Packet& p) { return turn_into_unreachable(room, p, 3); });
    EXPECT_EQ(error.packet.kind, PacketKind::kIcmpError);
    EXPECT_EQ(error.packet.key, original.key);
    EXPECT_NE(error.packet.from_upper, original.from_upper);
    EXPECT_EQ(error.packet.icmp_code, 3);
    EXPECT_EQ(transport_residue(error), 0);
    EXPECT_LE(error.packet.ip_length, GetParam() == Family::kIpv4 ? 576 : 1280);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Reply, ::testing::Values(Family::kIpv4, Family::kIpv6));

TEST(MayAnswer, NeverToResetsErrorsGroupsOrFragments) {
  const auto allowed = [](const std::vector<std::uint8_t>& frame) {
    Packet packet;
    EXPECT_EQ(decode(frame, 0, packet), base::DropReason::none);
    return may_answer(frame, packet);
  };
  Envelope plain = envelope(Family::kIpv4);
  EXPECT_TRUE(allowed(compose_udp(plain, {})));
  EXPECT_FALSE(allowed(compose_tcp(plain, {.flags = tcp_flag::kRst})));
  EXPECT_FALSE(allowed(compose_icmp(plain, {.type = 5})));
  Envelope group = plain;
  group.destination = IpAddress::from_ipv4(0xe00000fb);
  EXPECT_FALSE(allowed(compose_udp(group, {})));
  Envelope nobody = plain;
  nobody.source = IpAddress{};
  EXPECT_FALSE(allowed(compose_udp(nobody, {})));
  Envelope link_broadcast = plain;
  link_broadcast.ethernet.destination = {255, 255, 255, 255, 255, 255};
  EXPECT_FALSE(allowed(compose_udp(link_broadcast, {})));
}

}  // namespace
}  // namespace ringplane::wire
