// Conntrack of everything that is not TCP: who has spoken, and whether it was answered.
#include <cstdint>

#include <gtest/gtest.h>

#include "base/drop_reason.h"
#include "flow/conntrack.h"
#include "flow/flow.h"
#include "flow/test_packets.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

using base::DropReason;
using wire::Direction;

Flow datagram_flow(const wire::Packet& first) {
  Flow flow;
  flow.flags = flow_flag::kLive | flow_flag::kFirstPacket;
  flow.protocol = first.protocol;
  start(flow, first);
  return flow;
}

TEST(ConntrackDatagrams, UdpIsMultipleOnlyOnceAnswered) {
  const wire::Packet query = packet_of(1, wire::Family::kIpv4, wire::protocol::kUdp, false);
  const wire::Packet answer = packet_of(1, wire::Family::kIpv4, wire::protocol::kUdp, true);
  Flow flow = datagram_flow(query);
  EXPECT_EQ(states_of(flow), "SINGLE:NO_TRAFFIC");
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kUdpFirst);
  flow.flags = flow_flag::kLive;
  EXPECT_EQ(step(flow, query).reason, DropReason::none);
  EXPECT_EQ(states_of(flow), "SINGLE:NO_TRAFFIC");
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kUdpSingle);
  EXPECT_TRUE(is_half_open(flow));
  EXPECT_EQ(step(flow, answer).reason, DropReason::none);
  EXPECT_EQ(states_of(flow), "MULTIPLE:SINGLE");
  EXPECT_FALSE(is_half_open(flow));
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kUdpSingle);
  EXPECT_EQ(step(flow, query).reason, DropReason::none);
  EXPECT_EQ(states_of(flow), "MULTIPLE:MULTIPLE");
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kUdpMultiple);
}

TEST(ConntrackDatagrams, IcmpQueriesGoOneWayAndRepliesTheOther) {
  struct Case {
    wire::Family family;
    std::uint8_t protocol;
    std::uint8_t query;
    std::uint8_t reply;
  };
  for (const Case& c : {Case{wire::Family::kIpv4, wire::protocol::kIcmp, 8, 0},
                        Case{wire::Family::kIpv4, wire::protocol::kIcmp, 13, 14},
                        Case{wire::Family::kIpv6, wire::protocol::kIcmp6, 128, 129}}) {
    wire::Packet query = packet_of(1, c.family, c.protocol, false);
    query.icmp_type = c.query;
    wire::Packet reply = packet_of(1, c.family, c.protocol, true);
    reply.icmp_type = c.reply;
    wire::Packet counter_query = reply;
    counter_query.icmp_type = c.query;
    EXPECT_TRUE(can_start_flow(query));
    EXPECT_FALSE(can_start_flow(reply));
    Flow flow = datagram_flow(query);
    EXPECT_EQ(timeout_class(flow), TimeoutClass::kIcmpFirst);
    EXPECT_EQ(step(flow, counter_query).reason, DropReason::icmp_mismatch);
    EXPECT_EQ(states_of(flow), "SINGLE:NO_TRAFFIC");
    EXPECT_EQ(step(flow, reply).reason, DropReason::none);
    EXPECT_EQ(timeout_class(flow), TimeoutClass::kIcmpError);
    EXPECT_FALSE(is_half_open(flow));
  }
}

TEST(ConntrackDatagrams, OtherProtocolsAreFollowedByWhoHasSpoken) {
  constexpr std::uint8_t kGre = 47;
  Flow flow = datagram_flow(packet_of(1, wire::Family::kIpv6, kGre, true));
  flow.flags = flow_flag::kLive | flow_flag::kOriginalUpper;
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kOtherSingle);
  EXPECT_EQ(step(flow, packet_of(1, wire::Family::kIpv6, kGre, false)).reason, DropReason::none);
  EXPECT_EQ(states_of(flow), "MULTIPLE:SINGLE");
}

TEST(ConntrackDatagrams, AnIcmpErrorAboutUdpNeedsASenderThatHasSent) {
  Flow flow = datagram_flow(packet_of(1, wire::Family::kIpv4, wire::protocol::kUdp, false));
  wire::Packet error_towards_client = packet_of(1, wire::Family::kIpv4, wire::protocol::kUdp, true);
  error_towards_client.kind = wire::PacketKind::kIcmpError;
  wire::Packet error_towards_server = error_towards_client;
  error_towards_server.from_upper = false;
  EXPECT_EQ(step(flow, error_towards_client).reason, DropReason::none);
  EXPECT_EQ(step(flow, error_towards_server).reason, DropReason::icmp_mismatch);
}

}  // namespace
}  // namespace ringplane::flow
