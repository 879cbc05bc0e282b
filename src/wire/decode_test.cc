#include "wire/decode.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/drop_reason.h"
#include "base/random.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/compose.h"
#include "wire/ethernet.h"
#include "wire/flow_key.h"
#include "wire/icmp.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::wire {
namespace {

using base::DropReason;

Envelope envelope(std::string_view source, std::string_view destination) {
  const auto from = parse_host_address(source);
  const auto to = parse_host_address(destination);
  return {.ethernet = {.destination = {2, 0, 0, 0, 0, 2}, .source = {2, 0, 0, 0, 0, 1}},
          .family = from->family,
          .source = from->address,
          .destination = to->address};
}

const Envelope kThere4 = envelope("10.0.0.5", "192.0.2.10");
const Envelope kBack4 = envelope("192.0.2.10", "10.0.0.5");
const Envelope kThere6 = envelope("2001:db8::5", "2001:db8:1::10");
constexpr std::size_t kIp = 14;    // offset of the IP header in untagged frames
constexpr std::size_t kTcp4 = 34;  // and of what follows an IPv4 header

std::vector<std::uint8_t> syn4() {
  return compose_tcp(
      kThere4, {.source_port = 40000, .destination_port = 22, .seq = 1000, .flags = tcp_flag::kSyn, .window = 64240});
}

Packet decoded(Bytes frame) {
  Packet packet;
  EXPECT_EQ(decode(frame, 0, packet), DropReason::none);
  return packet;
}

DropReason reason_of(Bytes frame) {
  Packet packet;
  return decode(frame, 0, packet);
}

void fix_ipv4_checksum(std::vector<std::uint8_t>& frame) {
  const MutableBytes header = MutableBytes(frame).subspan(kIp, std::size_t{4} * (frame[kIp] & 0xfU));
  header_at<Be16>(header.subspan(10)) = std::uint16_t{0};
  header_at<Be16>(header.subspan(10)) = checksum(header);
}

TEST(Decode, ReadsATcpSegmentAndItsPlaces) {
  const std::vector<std::uint8_t> payload(100, 'x');
  const auto frame = compose_tcp(
      kThere4,
      {.source_port = 40000, .destination_port = 80, .seq = 7, .ack = 9, .flags = tcp_flag::kAck, .window = 512}, {},
      payload);
  const Packet packet = decoded(frame);
  EXPECT_EQ(packet.kind, PacketKind::kFlow);
  EXPECT_TRUE(packet.is_tcp());
  EXPECT_EQ(packet.l3_offset, 14);
  EXPECT_EQ(packet.l4_offset, 34);
  EXPECT_EQ(packet.payload_offset, 54);
  EXPECT_EQ(packet.payload_length, 100);
  EXPECT_EQ(packet.tcp_seq, 7U);
  EXPECT_EQ(packet.tcp_ack, 9U);
  EXPECT_EQ(packet.tcp_window, 512);
  EXPECT_EQ(packet.source_port, 40000);
  EXPECT_EQ(to_string(packet.family, packet.source), "10.0.0.5");
}

TEST(Decode, BothDirectionsGiveOneKey) {
  const Packet there = decoded(syn4());
  const Packet back = decoded(
      compose_tcp(kBack4, {.source_port = 22, .destination_port = 40000, .flags = tcp_flag::kSyn | tcp_flag::kAck}));
  EXPECT_EQ(there.key, back.key);
  EXPECT_NE(there.from_upper, back.from_upper);
  const auto secret = base::secret_from_seed(1);
  EXPECT_EQ(there.key.hash(secret), back.key.hash(secret));
}

TEST(Decode, TheVlanAndTheDomainAreOfTheKey) {
  Envelope tagged = kThere4;
  tagged.ethernet.tag_count = 2;
  tagged.ethernet.tag[0] = {.tpid = ether_type::kServiceVlan, .id = 100};
  tagged.ethernet.tag[1].id = 7;
  const auto frame = compose_udp(tagged, {.source_port = 1, .destination_port = 2});
  Packet packet;
  ASSERT_EQ(decode(frame, 3, packet), DropReason::none);
  EXPECT_EQ(packet.key.zone, make_zone(3, 100, 7));
  EXPECT_EQ(packet.l3_offset, 22);
  const Packet untagged = decoded(compose_udp(kThere4, {.source_port = 1, .destination_port = 2}));
  EXPECT_NE(packet.key, untagged.key);
}

TEST(Decode, AnIcmpErrorBelongsToTheFlowItQuotes) {
  for (const Envelope& there : {kThere4, kThere6}) {
    const auto segment =
        compose_tcp(there, {.source_port = 40000, .destination_port = 80, .seq = 4242, .flags = tcp_flag::kAck});
    const Packet original = decoded(segment);
    Envelope router = there;
    router.destination = there.source;
    router.source =
        there.family == Family::kIpv4 ? IpAddress::from_ipv4(0xc6336401) : parse_host_address("2001:db8:9::1")->address;
    const Bytes quoted = Bytes(segment).subspan(kIp, there.family == Family::kIpv4 ? 28 : 60);
    const std::uint8_t type = there.family == Family::kIpv4 ? icmp_type::kTimeExceeded : 3;
    const Packet error = decoded(compose_icmp(router, {.type = type}, quoted));
    EXPECT_EQ(error.kind, PacketKind::kIcmpError);
    EXPECT_EQ(error.key, original.key);
    EXPECT_NE(error.from_upper, original.from_upper) << "it travels against what it quotes";
    EXPECT_EQ(error.tcp_seq, 4242U);
    EXPECT_EQ(error.key.protocol, protocol::kTcp);
    EXPECT_NE(error.protocol, protocol::kTcp);
  }
}

TEST(Decode, AnIcmpErrorToSomebodyElseThanTheQuotedSenderIsRefused) {
  const auto segment = syn4();
  const auto frame = compose_icmp(envelope("198.51.100.1", "10.0.0.6"), {.type = icmp_type::kTimeExceeded},
                                  Bytes(segment).subspan(kIp, 28));
  EXPECT_EQ(reason_of(frame), DropReason::icmp_bad_header);
}

TEST(Decode, AnIcmpErrorMustQuoteEnough) {
  const auto segment = syn4();
  const auto frame = compose_icmp(kBack4, {.type = icmp_type::kUnreachable}, Bytes(segment).subspan(kIp, 27));
  EXPECT_EQ(reason_of(frame), DropReason::icmp_bad_header);
}

TEST(Decode, EchoIsAFlowByItsIdentifier) {
  const Packet echo = decoded(compose_icmp(kThere4, {.type = icmp_type::kEcho, .identifier = 77}));
  const Packet reply = decoded(compose_icmp(kBack4, {.type = icmp_type::kEchoReply, .identifier = 77}));
  EXPECT_EQ(echo.kind, PacketKind::kFlow);
  EXPECT_EQ(echo.key, reply.key);
  EXPECT_EQ(echo.key.port[0], 77);
  EXPECT_EQ(decoded(compose_icmp(kThere6, {.type = icmp6_type::kEcho, .identifier = 5})).kind, PacketKind::kFlow);
  EXPECT_EQ(decoded(compose_icmp(kThere6, {.type = 135})).kind, PacketKind::kIcmpOther);
}

TEST(Decode, WalksIpv6ExtensionHeaders) {
  // destination options (8 bytes), fragment (atomic), then UDP
  const std::vector<std::uint8_t> udp_bytes{0x9c, 0x40, 0, 53, 0, 8, 0, 0};
  std::vector<std::uint8_t> chain{44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 1};
  chain.insert(chain.end(), udp_bytes.begin(), udp_bytes.end());
  const Packet packet = decoded(compose_ip(kThere6, 60, chain));
  EXPECT_EQ(packet.kind, PacketKind::kFlow);
  EXPECT_EQ(packet.protocol, protocol::kUdp);
  EXPECT_EQ(packet.destination_port, 53);
  EXPECT_EQ(packet.l4_offset, 14 + 40 + 16);
  EXPECT_FALSE(packet.has_ip_options);
}

TEST(Decode, HopByHopAndRoutingHeadersAreOptions) {
  std::vector<std::uint8_t> chain{17, 0, 1, 4, 0, 0, 0, 0, 0, 1, 0, 2, 0, 8, 0, 0};
  EXPECT_TRUE(decoded(compose_ip(kThere6, 0, chain)).has_ip_options);
  chain[2] = 2;  // routing header type 2
  EXPECT_TRUE(decoded(compose_ip(kThere6, 43, chain)).has_ip_options);
  chain[2] = 0;  // type 0 is forbidden (RFC 5095)
  EXPECT_EQ(reason_of(compose_ip(kThere6, 43, chain)), DropReason::ipv6_bad_extension);
}

TEST(Decode, ALaterFragmentHasNoPorts) {
  auto frame = compose_udp(kThere4, {.source_port = 1, .destination_port = 2}, std::vector<std::uint8_t>(8));
  header_at<Be16>(MutableBytes(frame).subspan(kIp + 6)) = std::uint16_t{100};  // offset 800 bytes
  fix_ipv4_checksum(frame);
  const Packet packet = decoded(frame);
  EXPECT_EQ(packet.kind, PacketKind::kFragment);
  EXPECT_EQ(packet.destination_port, 0);
  EXPECT_EQ(packet.key.port[0], 0);
}

struct Malformed {
  const char* name;
  std::vector<std::uint8_t> frame;
  DropReason reason;
};

template <class F>
std::vector<std::uint8_t> changed(std::vector<std::uint8_t> frame, F&& change, bool fix = true) {
  change(frame);
  if (fix) fix_ipv4_checksum(frame);
  return frame;
}

std::vector<Malformed> malformed_frames() {
  using Frame = std::vector<std::uint8_t>;
  const Frame syn = syn4();
  const Frame udp = compose_udp(kThere4, {.source_port = 1, .destination_port = 2}, Frame(8));
  const Frame six = compose_udp(kThere6, {.source_port = 1, .destination_port = 2});
  const auto at = [](std::size_t offset, std::uint8_t value) { return [=](Frame& f) { f[offset] = value; }; };
  std::vector<Malformed> list{
      {"nothing", {}, DropReason::frame_too_short},
      {"half an Ethernet header", Frame(13), DropReason::frame_too_short},
      {"EtherType IPv4 and nothing behind",
       changed(
           Frame(14), [](Frame& f) { f[12] = 8; }, false),
       DropReason::frame_too_short},
      {"larger than any ring delivers", Frame(kMaxFrameBytes + 1), DropReason::frame_too_long},
      {"version 5", changed(syn, at(kIp, 0x55)), DropReason::ipv4_bad_version},
      {"header length 16", changed(syn, at(kIp, 0x44), false), DropReason::ipv4_bad_header_length},
      {"header length beyond the packet", changed(compose_ip(kThere4, 6, {}), at(kIp, 0x4f), false),
       DropReason::ipv4_bad_header_length},
      {"total length beyond the frame", changed(syn, at(kIp + 3, 200)), DropReason::ipv4_bad_total_length},
      {"total length below the header", changed(syn, at(kIp + 3, 19)), DropReason::ipv4_bad_total_length},
      {"checksum", changed(syn, at(kIp + 8, 1), false), DropReason::ipv4_bad_checksum},
      {"option over the end",
       changed(syn,
               [](Frame& f) {
                 f[kIp] = 0x46;
                 f[kTcp4] = 7;
                 f[kTcp4 + 1] = 9;
               }),
       DropReason::ipv4_bad_option},
      {"fragment that ends beyond 65535",
       changed(udp,
               [](Frame& f) {
                 f[kIp + 6] = 0x1f;
                 f[kIp + 7] = 0xff;
               }),
       DropReason::fragment_malformed},
      {"first fragment not a multiple of 8", changed(compose_udp(kThere4, {}, Frame(5)), at(kIp + 6, 0x20)),
       DropReason::fragment_malformed},
      {"first fragment too short for TCP", changed(compose_ip(kThere4, 6, Frame(8)), at(kIp + 6, 0x20)),
       DropReason::fragment_malformed},
      {"second TCP fragment over the flags", changed(compose_ip(kThere4, 6, Frame(16)), at(kIp + 7, 1)),
       DropReason::fragment_malformed},
      {"TCP cut off", compose_ip(kThere4, 6, Frame(19)), DropReason::tcp_bad_header},
      {"TCP data offset 4", changed(syn, at(kTcp4 + 12, 4 << 4)), DropReason::tcp_bad_header},
      {"TCP data offset beyond the segment", changed(syn, at(kTcp4 + 12, 6 << 4)), DropReason::tcp_bad_header},
      {"SYN and FIN", changed(syn, at(kTcp4 + 13, 3)), DropReason::tcp_bad_flags},
      {"SYN and RST", changed(syn, at(kTcp4 + 13, 6)), DropReason::tcp_bad_flags},
      {"no flags at all", changed(syn, at(kTcp4 + 13, 0)), DropReason::tcp_bad_flags},
      {"FIN without ACK", changed(syn, at(kTcp4 + 13, 1)), DropReason::tcp_bad_flags},
      {"UDP length 7", changed(udp, at(kTcp4 + 5, 7)), DropReason::udp_bad_length},
      {"UDP length beyond the packet", changed(udp, at(kTcp4 + 5, 17)), DropReason::udp_bad_length},
      {"UDP cut off", compose_ip(kThere4, 17, Frame(7)), DropReason::udp_bad_length},
      {"ICMP cut off", compose_ip(kThere4, 1, Frame(7)), DropReason::icmp_bad_header},
      {"from loopback", compose_udp(envelope("127.0.0.1", "10.0.0.1"), {}), DropReason::bad_address},
      {"to loopback", compose_udp(envelope("10.0.0.1", "127.9.9.9"), {}), DropReason::bad_address},
      {"from multicast", compose_udp(envelope("224.0.0.1", "10.0.0.1"), {}), DropReason::bad_address},
      {"from broadcast", compose_udp(envelope("255.255.255.255", "10.0.0.1"), {}), DropReason::bad_address},
      {"to itself", compose_udp(envelope("10.0.0.1", "10.0.0.1"), {}), DropReason::bad_address},
      {"from IPv6 multicast", compose_udp(envelope("ff02::1", "2001:db8::1"), {}), DropReason::bad_address},
      {"from IPv6 loopback", compose_udp(envelope("::1", "2001:db8::1"), {}), DropReason::bad_address},
      {"to an IPv4-mapped address", compose_udp(envelope("2001:db8::1", "::ffff:10.0.0.1"), {}),
       DropReason::bad_address},
      {"IPv6 version", changed(six, at(kIp, 0x50), false), DropReason::ipv6_bad_version},
      {"IPv6 payload length beyond the frame", changed(six, at(kIp + 5, 9), false), DropReason::ipv6_bad_length},
      {"IPv6 extension over the end", compose_ip(kThere6, 60, Frame{17, 1, 0, 0, 0, 0, 0, 0}),
       DropReason::ipv6_bad_extension},
      {"IPv6 hop-by-hop not first", compose_ip(kThere6, 60, Frame{0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0}),
       DropReason::ipv6_bad_extension},
      {"ARP of another kind",
       changed(
           Frame(60),
           [](Frame& f) {
             f[12] = 8;
             f[13] = 6;
           },
           false),
       DropReason::arp_malformed},
  };
  Envelope deep = kThere4;
  deep.ethernet.tag_count = 2;
  Frame three_tags = compose_udp(deep, {});
  three_tags.insert(three_tags.begin() + 12, {0x81, 0x00, 0x00, 0x01});
  list.push_back({"three VLAN tags", three_tags, DropReason::vlan_too_deep});
  Frame nine_extensions;
  for (int i = 0; i < 9; ++i) nine_extensions.insert(nine_extensions.end(), {60, 0, 1, 4, 0, 0, 0, 0});
  list.push_back({"nine extension headers", compose_ip(kThere6, 60, nine_extensions), DropReason::ipv6_bad_extension});
  return list;
}

TEST(Decode, NamesWhatIsWrong) {
  for (const Malformed& malformed : malformed_frames()) {
    EXPECT_EQ(base::name_of(reason_of(malformed.frame)), base::name_of(malformed.reason)) << malformed.name;
  }
}

TEST(Decode, EveryTruncationIsRefusedAndNoneReadsOutside) {
  // Copies of exactly the truncated size: AddressSanitizer sees any read behind them.
  for (const auto& frame : {syn4(), compose_udp(kThere6, {}, std::vector<std::uint8_t>(20))}) {
    for (std::size_t cut = 0; cut < frame.size(); ++cut) {
      const std::vector<std::uint8_t> part(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(cut));
      EXPECT_NE(reason_of(part), DropReason::none) << cut;
    }
    EXPECT_EQ(reason_of(frame), DropReason::none);
  }
}

TEST(Decode, EthernetPaddingIsNotPayload) {
  auto frame = syn4();
  frame.resize(60);
  EXPECT_EQ(decoded(frame).payload_length, 0);
}

}  // namespace
}  // namespace ringplane::wire
