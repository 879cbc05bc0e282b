// Every view round-trips: what a value emits, its view parses, and the view's value is the one that was emitted.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "wire/arp.h"
#include "wire/ethernet.h"
#include "wire/icmp.h"
#include "wire/ip_address.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace ringplane::wire {
namespace {

class HeaderRoundTrip : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  base::Random random_{GetParam()};

  std::uint8_t byte() { return static_cast<std::uint8_t>(random_()); }
  std::uint16_t word() { return static_cast<std::uint16_t>(random_()); }
  std::uint32_t dword() { return static_cast<std::uint32_t>(random_()); }
  MacAddress mac() { return {byte(), byte(), byte(), byte(), byte(), byte()}; }
  IpAddress address(Family family) {
    IpAddress result;
    for (unsigned i = 0; i < address_bits(family) / 8; ++i) result.bytes[i] = byte();
    return result;
  }
};

TEST_P(HeaderRoundTrip, Ethernet) {
  EthernetHeader header{.destination = mac(), .source = mac(), .ether_type = 0x0800};
  header.tag_count = static_cast<std::uint8_t>(random_.below(3));
  for (unsigned i = 0; i < header.tag_count; ++i) {
    header.tag[i] = {.tpid = i == 0 && header.tag_count == 2 ? ether_type::kServiceVlan : ether_type::kVlan,
                     .priority = static_cast<std::uint8_t>(random_.below(8)),
                     .drop_eligible = random_.chance(0.5),
                     .id = static_cast<std::uint16_t>(random_.below(4096))};
  }
  std::vector<std::uint8_t> bytes(header.bytes() + 46);
  header.emit(bytes);
  const auto view = EthernetView::parse(bytes);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->value(), header);
  EXPECT_EQ(view->outer_vlan(), header.tag_count > 0 ? header.tag[0].id : 0);
  EXPECT_EQ(view->inner_vlan(), header.tag_count > 1 ? header.tag[1].id : 0);
  EXPECT_EQ(view->payload().size(), 46U);
  for (std::size_t cut = 0; cut < header.bytes(); ++cut) EXPECT_FALSE(EthernetView::parse(Bytes(bytes).first(cut)));
}

TEST_P(HeaderRoundTrip, Arp) {
  const ArpPacket packet{.operation = ArpPacket::kReply,
                         .sender_mac = mac(),
                         .sender_address = address(Family::kIpv4),
                         .target_mac = mac(),
                         .target_address = address(Family::kIpv4)};
  std::array<std::uint8_t, ArpPacket::kBytes> bytes;
  packet.emit(bytes);
  const auto view = ArpView::parse(bytes);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->value(), packet);
  EXPECT_FALSE(ArpView::parse(Bytes(bytes).first(27)));
}

TEST_P(HeaderRoundTrip, Ipv4) {
  const Ipv4Header header{.tos = byte(),
                          .total_length = 28,
                          .identification = word(),
                          .dont_fragment = random_.chance(0.5),
                          .more_fragments = random_.chance(0.5),
                          .fragment_offset_bytes = static_cast<std::uint16_t>(8 * random_.below(8000)),
                          .ttl = byte(),
                          .protocol = byte(),
                          .source = address(Family::kIpv4),
                          .destination = address(Family::kIpv4)};
  std::vector<std::uint8_t> bytes(46);  // with Ethernet padding
  header.emit(bytes);
  const auto view = Ipv4View::parse(bytes);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->value(), header);
  EXPECT_EQ(view->payload().size(), 8U) << "padding is not payload";
  for (std::size_t cut = 0; cut < 28; ++cut) EXPECT_FALSE(Ipv4View::parse(Bytes(bytes).first(cut)));
}

TEST_P(HeaderRoundTrip, Ipv6) {
  const Ipv6Header header{.traffic_class = byte(),
                          .flow_label = dword() & 0xfffff,
                          .payload_length = 6,
                          .next_header = 17,
                          .hop_limit = byte(),
                          .source = address(Family::kIpv6),
                          .destination = address(Family::kIpv6)};
  std::vector<std::uint8_t> bytes(60);
  header.emit(bytes);
  const auto view = Ipv6View::parse(bytes);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->value(), header);
  EXPECT_EQ(view->traffic_class(), header.traffic_class);
  EXPECT_EQ(view->payload().size(), 6U);
  for (std::size_t cut = 0; cut < 46; ++cut) EXPECT_FALSE(Ipv6View::parse(Bytes(bytes).first(cut)));
}

TEST_P(HeaderRoundTrip, Tcp) {
  const TcpHeader header{.source_port = word(),
                         .destination_port = word(),
                         .seq = dword(),
                         .ack = dword(),
                         .flags = byte(),
                         .window = word(),
                         .checksum = word(),
                         .urgent = word()};
  std::array<std::uint8_t, 20> bytes;
  header.emit(bytes);
  const auto view = TcpView::parse(bytes);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->value(), header);
  EXPECT_FALSE(TcpView::parse(Bytes(bytes).first(19)));
}

TEST_P(HeaderRoundTrip, UdpAndIcmp) {
  const UdpHeader udp{.source_port = word(), .destination_port = word(), .length = 8, .checksum = word()};
  std::array<std::uint8_t, 8> bytes;
  udp.emit(bytes);
  ASSERT_TRUE(UdpView::parse(bytes, true));
  EXPECT_EQ(UdpView::parse(bytes, true)->value(), udp);
  EXPECT_FALSE(UdpView::parse(Bytes(bytes).first(7), true));
  const IcmpHeader icmp{.type = byte(), .code = byte(), .checksum = word(), .identifier = word(), .sequence = word()};
  icmp.emit(bytes);
  ASSERT_TRUE(IcmpView::parse(bytes));
  EXPECT_EQ(IcmpView::parse(bytes)->value(), icmp);
  EXPECT_FALSE(IcmpView::parse(Bytes(bytes).first(7)));
}

TEST_P(HeaderRoundTrip, AddressesAndPrefixesAsText) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const HostAddress host{family, address(family)};
    // A random IPv6 address may be one that prints with a dotted tail; it must come back all the same.
    EXPECT_EQ(parse_host_address(to_string(host)), host);
    const Prefix prefix =
        Prefix::of(family, host.address, static_cast<unsigned>(random_.below(address_bits(family) + 1)));
    EXPECT_EQ(parse_prefix(to_string(prefix)), prefix);
    EXPECT_TRUE(prefix.contains(family, host.address));
    if (prefix.length > 0) {
      IpAddress outside = host.address;
      outside.bytes[(prefix.length - 1) / 8] ^= static_cast<std::uint8_t>(0x80U >> ((prefix.length - 1) % 8));
      EXPECT_FALSE(prefix.contains(family, outside));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, HeaderRoundTrip, ::testing::Range<std::uint64_t>(1, 41));

TEST(TcpView, ReadsTheWindowScaleWhereverItStands) {
  std::array<std::uint8_t, 28> bytes{};
  TcpHeader{.flags = 2}.emit(bytes);
  bytes[12] = 7 << 4;
  const auto scale_of = [&](std::array<std::uint8_t, 8> options) {
    std::copy(options.begin(), options.end(), bytes.begin() + 20);
    return TcpView::parse(bytes)->window_scale();
  };
  EXPECT_EQ(scale_of({3, 3, 7, 0, 0, 0, 0, 0}), 7);
  EXPECT_EQ(scale_of({1, 1, 4, 2, 1, 3, 3, 9}), 9);
  EXPECT_EQ(scale_of({3, 3, 200, 0, 0, 0, 0, 0}), 14) << "RFC 7323 2.3 cuts it to 14";
  EXPECT_EQ(scale_of({0, 3, 3, 7, 0, 0, 0, 0}), 0xff) << "after the end of the list";
  EXPECT_EQ(scale_of({1, 1, 1, 1, 1, 1, 3, 3}), 0xff) << "runs over the end";
  EXPECT_EQ(scale_of({8, 0, 3, 3, 7, 0, 0, 0}), 0xff) << "a length of 0 must not loop";
}

}  // namespace
}  // namespace ringplane::wire
