// The whole pipeline in memory: packets in at one end, packets, counters and flows out at the other.
#include "worker/worker.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/random.h"
#include "base/vector_width.h"
#include "firewall/decision.h"
#include "firewall/linear.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "frame/frame.h"
#include "wire/arp.h"
#include "wire/compose.h"
#include "wire/decode.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/forwarding.h"
#include "worker/log_record.h"
#include "worker/mailbox.h"
#include "worker/packet_burst.h"
#include "worker/test_connection.h"
#include "worker/test_rig.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

using base::DropReason;
namespace flag = wire::tcp_flag;
using Bytes = TestRig::Bytes;

constexpr const char* kWebOnly =
    "block return label \"default\"\n"
    "pass out quick label \"out\"\n"
    "pass in on lan proto tcp to port 80 label \"web\"\n"
    "pass in on lan inet proto icmp icmp-type echoreq label \"ping\"\n"
    "pass in on lan proto udp to port 53 label \"dns\"\n";

TEST(Pipeline, PassesAConnectionBothWaysWithItsBytesUnchanged) {
  TestRig rig(kWebOnly);
  const Connection web;
  const auto there = rig.through(kLan, web.syn());
  ASSERT_EQ(there.size(), 1U);
  EXPECT_EQ(there[0], web.syn());
  const Bytes answer = web.from_server(flag::kSyn | flag::kAck, 900, 101);
  const auto back = rig.through(kWan, answer);
  ASSERT_EQ(back.size(), 1U);
  EXPECT_EQ(back[0], answer);
  EXPECT_EQ(rig.flows(), 1U);
  EXPECT_EQ(rig.rule("web").packets, 2U);
  EXPECT_EQ(rig.rule("out").packets, 2U) << "both rules of the path count";
  EXPECT_EQ(rig.rule("web").states, 1U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(Pipeline, APacketWhoseChecksumIsWrongMovesNoConnection) {
  TestRig rig(kWebOnly);
  const Connection web;
  web.establish(rig);
  rig.send(kLan, web.from_client(flag::kRst, 101, 0), 0, frame::kBadChecksum);
  rig.turn();
  EXPECT_TRUE(rig.received(kWan).empty());
  EXPECT_EQ(rig.dropped(DropReason::transport_bad_checksum), 1U);
  EXPECT_EQ(rig.through(kLan, web.from_client(flag::kAck, 101, 901, 10)).size(), 1U) << "it is still established";
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(Pipeline, AnswersABlockedSynWithAReset) {
  TestRig rig(kWebOnly);
  const Connection ssh{.server_port = 22};
  EXPECT_TRUE(rig.through(kLan, ssh.syn()).empty());
  const auto answers = rig.received(kLan);
  ASSERT_EQ(answers.size(), 1U);
  wire::Packet reset;
  ASSERT_EQ(wire::decode(answers[0], 0, reset), DropReason::none);
  EXPECT_EQ(reset.tcp_flags, flag::kRst | flag::kAck);
  EXPECT_EQ(reset.tcp_ack, 101U);
  EXPECT_EQ(rig.dropped(DropReason::rule_block), 1U);
  EXPECT_EQ(rig.rule("default").packets, 1U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(Pipeline, TheEgressSideMayBlockWhatTheIngressSideLetsIn) {
  TestRig rig("pass in on lan\nblock out on wan proto tcp to port 25 label \"no-mail\"\n");
  EXPECT_TRUE(rig.through(kLan, Connection{.server_port = 25}.syn()).empty());
  EXPECT_EQ(rig.rule("no-mail").packets, 1U);
  EXPECT_EQ(rig.flows(), 0U);
  EXPECT_EQ(rig.through(kLan, Connection{.server_port = 80}.syn()).size(), 1U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(Pipeline, NoStateOnEitherSideMeansNoFlow) {
  TestRig rig("pass no state\n");
  EXPECT_EQ(rig.through(kLan, Connection{}.syn()).size(), 1U);
  EXPECT_EQ(rig.through(kWan, Connection{}.from_server(flag::kAck, 5, 5)).size(), 1U);
  EXPECT_EQ(rig.flows(), 0U);
}

TEST(Pipeline, MakesOneFlowOfABurstThatHoldsSeveralOfItsPackets) {
  TestRig rig("block\npass proto udp\n");
  const auto datagram = wire::compose_udp(between(kClient, kServer), {.source_port = 1000, .destination_port = 53});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(rig.send(kLan, datagram));
  rig.turn();
  EXPECT_EQ(rig.received(kWan).size(), 10U);
  EXPECT_EQ(rig.flows(), 1U);
  const Connection web;
  // A closed connection and its successor on the same ports in one burst.
  rig.reload("pass\n");
  rig.turn();
  web.establish(rig);
  ASSERT_TRUE(rig.send(kLan, web.from_client(flag::kRst, 101, 0)));
  ASSERT_TRUE(rig.send(kLan, web.from_client(flag::kSyn, 777000, 0)));
  ASSERT_TRUE(rig.send(kLan, web.from_client(flag::kSyn, 777000, 0)));
  rig.turn();
  EXPECT_EQ(rig.received(kWan).size(), 3U);
  EXPECT_EQ(rig.flows(), 2U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

/// The short way has a form for wide vectors and one without: the same must come of both.
class ShortWay : public testing::TestWithParam<base::VectorWidth> {
 protected:
  void SetUp() override {
    if (GetParam() > base::widest_vectors()) GTEST_SKIP() << "this processor has no vectors that wide";
    rig_.worker().tables().vectors = GetParam();
  }
  TestRig rig_{kWebOnly};
};
INSTANTIATE_TEST_SUITE_P(Widths, ShortWay, testing::Values(base::VectorWidth::kPlain, base::VectorWidth::kAvx512));

TEST_P(ShortWay, KeepsThePacketsOfAFlowInOrderWithinABurst) {
  // Data, more data and the FIN behind it, in one burst beside other flows; the last segment stands at the FIN.
  const Connection connection;
  connection.establish(rig_);
  std::vector<Connection> others;
  for (std::uint16_t i = 0; i < 20; ++i) {
    others.push_back({.client_port = static_cast<std::uint16_t>(2000 + i)});
    others.back().establish(rig_);
  }
  const std::uint8_t ack = flag::kAck;
  const std::uint8_t fin = flag::kFin | flag::kAck;
  rig_.send(kLan, connection.from_client(ack, 101, 901, 10));
  rig_.send(kLan, connection.from_client(ack, 111, 901, 10));
  for (const Connection& other : others) rig_.send(kLan, other.from_client(ack, 101, 901, 5));
  rig_.send(kLan, connection.from_client(fin, 121, 901));
  rig_.send(kLan, connection.from_client(ack, 121, 901));
  rig_.turn(1);
  EXPECT_EQ(rig_.count_received(kWan), 24U);
  const flow::FlowDetails details = connection.details(rig_);
  EXPECT_EQ(details.packets[0], 6U) << "SYN, ACK and four of the burst";
  EXPECT_EQ(details.state[0], flow::PeerState::kClosing);
}

TEST_P(ShortWay, UdpAnsweredOnceGoesOnBothWays) {
  const auto there =
      wire::compose_udp(between(kClient, kServer), {.source_port = 5000, .destination_port = 53}, Bytes(30, 'q'));
  const auto back =
      wire::compose_udp(between(kServer, kClient), {.source_port = 53, .destination_port = 5000}, Bytes(60, 'a'));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(rig_.through(kLan, there).size(), 1U);
    EXPECT_EQ(rig_.through(kWan, back).size(), 1U);
  }
  EXPECT_EQ(rig_.flows(), 1U);
  EXPECT_EQ(rig_.rule("dns").packets, 10U);
  EXPECT_EQ(rig_.rule("dns").bytes, 5U * (58 + 88));
}

TEST_P(ShortWay, ASegmentOutOfTheWindowIsDroppedAndTheOthersOfItsBurstPass) {
  const Connection connection;
  connection.establish(rig_);
  rig_.send(kLan, connection.from_client(flag::kAck, 101, 901, 10));
  rig_.send(kLan, connection.from_client(flag::kAck, 101 + 200'000, 901, 10));
  rig_.send(kLan, connection.from_client(flag::kAck, 111, 901 + 5'000'000, 10));
  rig_.send(kLan, connection.from_client(flag::kAck, 111, 901, 10));
  rig_.turn(1);
  EXPECT_EQ(rig_.count_received(kWan), 2U);
  EXPECT_EQ(rig_.dropped(DropReason::tcp_out_of_window), 2U);
  EXPECT_EQ(connection.details(rig_).packets[0], 4U);
}

TEST(Pipeline, DropsWhatComesInOnTheSideOfItsReceiver) {
  TestRig rig("pass\n");
  const Connection web;
  web.establish(rig);
  EXPECT_TRUE(rig.through(kWan, web.from_client(flag::kAck, 101, 901, 10)).empty());
  EXPECT_EQ(rig.dropped(DropReason::wrong_side), 1U);
  EXPECT_EQ(rig.through(kLan, web.from_client(flag::kAck, 101, 901, 10)).size(), 1U) << "the flow itself goes on";
}

TEST(Pipeline, ChecksTheWindowOfAFlow) {
  TestRig rig(kWebOnly);
  const Connection web;
  web.establish(rig);
  EXPECT_TRUE(rig.through(kWan, web.from_server(flag::kAck, 900 + 10'000'000, 101, 10)).empty());
  EXPECT_EQ(rig.dropped(DropReason::tcp_out_of_window), 1U);
}

TEST(Pipeline, AnIcmpErrorPassesWithItsFlowAndOnlyWithIt) {
  TestRig rig(kWebOnly);
  const Bytes query =
      wire::compose_udp(between(kClient, kServer), {.source_port = 4000, .destination_port = 53}, Bytes(20));
  const Bytes error =
      wire::compose_icmp(between(0xc6336401, kClient), {.type = 11}, wire::Bytes(query).subspan(14, 28));
  EXPECT_TRUE(rig.through(kWan, error).empty()) << "nothing was sent yet";
  EXPECT_EQ(rig.through(kLan, query).size(), 1U);
  EXPECT_EQ(rig.through(kWan, error).size(), 1U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(Pipeline, BridgesArpAndOthersByItsOwnSetting) {
  Bytes arp(60);
  wire::EthernetHeader{
      .destination = {255, 255, 255, 255, 255, 255}, .source = {2, 0, 0, 0, 0, 1}, .ether_type = 0x0806}
      .emit(arp);
  wire::ArpPacket{}.emit(wire::MutableBytes(arp).subspan(14));
  Bytes lldp(60);
  wire::EthernetHeader{.destination = {1, 0x80, 0xc2, 0, 0, 0xe}, .source = {2, 0, 0, 0, 0, 1}, .ether_type = 0x88cc}
      .emit(lldp);
  TestRig open("block\n");
  EXPECT_EQ(open.through(kLan, arp).size(), 1U);
  EXPECT_EQ(open.through(kLan, lldp).size(), 1U);
  TestRig strict("block\n", {.non_ip = NonIp::kArpOnly});
  EXPECT_EQ(strict.through(kLan, arp).size(), 1U);
  EXPECT_TRUE(strict.through(kLan, lldp).empty());
  EXPECT_EQ(strict.dropped(DropReason::non_ip), 1U);
}

TEST(Pipeline, DropsWhatWouldLeaveByAPortWhoseLinkIsDown) {
  TestRig rig("pass\n");
  rig.worker().set_ports_down(std::uint64_t{1} << kWan.value);
  EXPECT_TRUE(rig.through(kLan, Connection{}.syn()).empty());
  EXPECT_EQ(rig.dropped(DropReason::egress_down), 1U);
  rig.worker().set_ports_down(0);
  EXPECT_EQ(rig.through(kLan, Connection{}.syn()).size(), 1U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(Pipeline, DropsWhatTheEgressPortCannotCarry) {
  TestRig rig("pass\n", {.mtu = 1400});
  const auto fits =
      wire::compose_udp(between(kClient, kServer), {.source_port = 1, .destination_port = 2}, Bytes(1400 - 28));
  const auto large =
      wire::compose_udp(between(kClient, kServer), {.source_port = 1, .destination_port = 2}, Bytes(1400 - 27));
  EXPECT_EQ(rig.through(kLan, fits).size(), 1U);
  EXPECT_TRUE(rig.through(kLan, large).empty());
  EXPECT_EQ(rig.dropped(DropReason::frame_too_long), 1U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(Reload, KeepsFlowsThatTheNewRulesLetPassAndEndsTheOthers) {
  TestRig rig("pass\n");
  const Connection web;
  const Connection ssh{.client_port = 40001, .server_port = 22};
  web.establish(rig);
  ssh.establish(rig);
  rig.reload("block label \"default\"\npass out\npass in proto tcp to port 80 label \"web\"\n");
  rig.turn(4);
  EXPECT_EQ(rig.flows(), 1U) << "the sweep ends ssh without waiting for a packet of it";
  EXPECT_EQ(rig.rule("web").states, 1U) << "the flow is accounted under its new rule";
  EXPECT_EQ(rig.through(kWan, web.from_server(flag::kAck, 901, 101, 50)).size(), 1U);
  EXPECT_TRUE(rig.through(kLan, ssh.from_client(flag::kAck, 101, 901, 5)).empty());
  EXPECT_EQ(rig.rule("default").packets, 1U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(Reload, JudgesAFlowAtItsNextPacketEvenBeforeTheSweep) {
  TestRig rig("pass\n");
  const Connection web;
  web.establish(rig);
  rig.reload("block\n");
  rig.send(kLan, web.from_client(flag::kAck, 101, 901, 5));
  rig.worker().run_once(rig.now_ns);
  EXPECT_TRUE(rig.received(kWan).empty());
  EXPECT_EQ(rig.dropped(DropReason::rule_block), 1U);
}

TEST(Reload, JudgesEachFlowOnceHoweverManyPacketsOfABurstBelongToIt) {
  TestRig rig("pass\n");
  for (std::uint16_t i = 0; i < 20; ++i) {
    Connection{.client_port = static_cast<std::uint16_t>(1000 + i),
               .server_port = i % 2 == 0 ? std::uint16_t{80} : std::uint16_t{22}}
        .establish(rig);
  }
  rig.reload("block\npass out\npass in proto tcp to port 80 label \"web\"\n");
  for (std::uint16_t i = 0; i < 60; ++i) {
    const Connection connection{.client_port = static_cast<std::uint16_t>(1000 + i % 20),
                                .server_port = i % 2 == 0 ? std::uint16_t{80} : std::uint16_t{22}};
    ASSERT_TRUE(rig.send(kLan, connection.from_client(flag::kAck, 101, 901, 5)));
  }
  rig.worker().run_once(rig.now_ns);
  EXPECT_EQ(rig.received(kWan).size(), 30U);
  EXPECT_EQ(rig.dropped(DropReason::rule_block), 30U);
  rig.turn(20);
  EXPECT_EQ(rig.worker().tables().counters.rechecked.get(), 20U);
  EXPECT_EQ(rig.worker().tables().counters.recheck_ended.get(), 10U);
  EXPECT_EQ(rig.rule("web").states, 10U);
  EXPECT_EQ(rig.flows(), 10U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

/// A table of ten flows that is full of half-open ones.
void fill_with_syns(TestRig& rig) {
  for (std::uint16_t i = 0; i < 10; ++i) {
    const Connection connection{.client_port = static_cast<std::uint16_t>(1000 + i)};
    ASSERT_EQ(rig.through(kLan, connection.from_client(flag::kSyn, 100, 0)).size(), 1U);
  }
}

TEST(Flood, ASynThatFindsNoRoomIsRefusedWhateverTheRulesSay) {
  // The second set lets packets through without a flow, so that the rules have to be asked.
  for (const char* rules : {"block\npass\n", "pass\npass proto tcp to port 22 no state\n"}) {
    SCOPED_TRACE(rules);
    TestRig rig(rules, {.flow_capacity = 10});
    fill_with_syns(rig);
    const Connection late{.client_port = 5000};
    EXPECT_TRUE(rig.through(kLan, late.from_client(flag::kSyn, 100, 0)).empty());
    EXPECT_EQ(rig.dropped(DropReason::flow_table_full), 1U);
    // The answers of those inside come through, and in half a second there is room again.
    EXPECT_EQ(rig.through(kWan, Connection{.client_port = 1003}.from_server(flag::kSyn | flag::kAck, 900, 101)).size(),
              1U);
    rig.now_ns += base::kNanosPerSecond;
    EXPECT_EQ(rig.through(kLan, late.from_client(flag::kSyn, 100, 0)).size(), 1U);
    EXPECT_EQ(rig.dropped(DropReason::flow_table_full), 1U);
    EXPECT_EQ(rig.missing_frames(), 0U);
  }
}

TEST(Flood, PacketsThatNeedNoFlowPassThroughAFullTable) {
  TestRig rig("block\npass\npass proto tcp to port 22 no state\n", {.flow_capacity = 10});
  fill_with_syns(rig);
  const Connection stateless{.client_port = 5000, .server_port = 22};
  EXPECT_EQ(rig.through(kLan, stateless.from_client(flag::kSyn, 100, 0)).size(), 1U);
  EXPECT_EQ(rig.dropped(DropReason::flow_table_full), 0U);
}

TEST(Snapshot, KnowsWhetherTheRulesSayTheSameBothWaysAndLetNoSynThroughWithoutAFlow) {
  struct Case {
    const char* rules;
    bool same_both_ways;
    bool syn_needs_flow;
  };
  for (const Case& one :
       {Case{"pass\n", true, true}, Case{"block\npass proto tcp to port 80\n", true, true},
        Case{"pass proto tcp\n", true, true}, Case{"pass inet proto tcp from any to 0.0.0.0/0\n", true, true},
        Case{"pass proto tcp to port 80\n", true, false}, Case{"pass in\n", false, false},
        Case{"pass\npass on lan\n", false, true}, Case{"pass tag A\nblock tagged A\n", false, true},
        Case{"pass flags any\n", true, true}, Case{"pass flags A/A\n", true, false},
        Case{"pass no state\n", true, false}, Case{"pass\npass proto udp no state\n", true, true},
        Case{"pass probability 50%\n", true, false}, Case{"set skip on lan\npass\n", false, false}}) {
    SCOPED_TRACE(one.rules);
    const TestRig rig(one.rules);
    EXPECT_EQ(rig.snapshot().same_both_ways, one.same_both_ways);
    EXPECT_EQ(rig.snapshot().syn_needs_flow(wire::Family::kIpv4), one.syn_needs_flow);
  }
}

TEST(Workers, HandOverTheFramesOfFlowsThatAnotherOwns) {
  TestRig rig("pass\n", {.workers = 2});
  std::uint64_t passed = 0;
  for (std::uint16_t i = 0; i < 64; ++i) {
    const Connection connection{.client_port = static_cast<std::uint16_t>(1000 + i)};
    // The NIC delivers the directions to different queues: whoever gets them, one worker owns both.
    passed += rig.through(kLan, connection.syn(), i % 2).size();
    passed += rig.through(kWan, connection.from_server(flag::kSyn | flag::kAck, 900, 101), (i + 1) % 2).size();
  }
  EXPECT_EQ(passed, 128U);
  EXPECT_EQ(rig.flows(), 64U) << "one flow each, not one per direction";
  EXPECT_GT(rig.worker(0).tables().flows->size(), 10U);
  EXPECT_GT(rig.worker(1).tables().flows->size(), 10U);
  EXPECT_EQ(rig.worker(0).tables().counters.handed_over.get() + rig.worker(1).tables().counters.handed_over.get(), 64U)
      << "of two directions on two queues exactly one is with the wrong worker";
  EXPECT_EQ(rig.worker(0).tables().counters.packets.get() + rig.worker(1).tables().counters.packets.get(), 128U);
  rig.turn(4);  // frames go home
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(Workers, CountADropWhenTheOwnersMailboxIsFull) {
  TestRig rig("pass\n", {.workers = 2});
  // Worker 1 never turns; worker 0 fills its mailbox of 256 slots.
  for (int round = 0; round < 12; ++round) {
    for (std::uint16_t i = 0; i < 64; ++i) {
      const Connection connection{.client_port = static_cast<std::uint16_t>(1000 + 64 * round + i)};
      rig.send(kLan, connection.syn(), 0);
    }
    rig.worker(0).run_once(rig.now_ns);
    rig.received(kWan);
  }
  EXPECT_GT(rig.dropped(DropReason::mailbox_full), 0U);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(Worker, WritesOutItsFlowsInSlices) {
  TestRig rig("pass\n");
  for (std::uint16_t i = 0; i < 200; ++i)
    rig.through(kLan, Connection{.client_port = static_cast<std::uint16_t>(1000 + i)}.syn());
  FlowDump dump;
  dump.records.reserve(150);
  ASSERT_TRUE(rig.mailbox().from_control.push(
      {.kind = ControlMessage::Kind::kFlowDump, .change = nullptr, .dump = &dump, .addition = {}}));
  rig.turn(10);
  EXPECT_TRUE(dump.done);
  EXPECT_EQ(dump.records.size(), dump.records.capacity()) << "as many as the asker has room for";
  EXPECT_EQ(dump.records[0].key.protocol, wire::protocol::kTcp);
}

/// Parts of a table, as the search for the busiest flows asks for them.
TEST(Worker, WritesOutKnownFlowsAndThenThoseOfAPartThatWereActive) {
  TestRig rig("pass\n");
  const auto flow = [](std::uint16_t i) {
    return Connection{.client_port = static_cast<std::uint16_t>(1000 + i)}.syn();
  };
  for (std::uint16_t i = 0; i < 200; ++i) rig.through(kLan, flow(i));
  rig.now_ns += 5 * base::kNanosPerSecond;
  for (std::uint16_t i = 90; i < 200; ++i) rig.through(kLan, flow(i));
  FlowDump dump;
  const auto ask = [&](std::uint32_t cursor, std::uint32_t most, std::uint32_t room) {
    dump.done = false;
    dump.records = std::vector<flow::FlowDetails>();
    dump.records.reserve(room);
    dump.again_seen = 0;
    dump.cursor = cursor;
    dump.most = most;
    dump.idle_ns = base::kNanosPerSecond;
    ASSERT_TRUE(rig.mailbox().from_control.push(
        {.kind = ControlMessage::Kind::kFlowDump, .change = nullptr, .dump = &dump, .addition = {}}));
    rig.turn(10);
    ASSERT_TRUE(dump.done);
  };
  const auto first = [&](std::size_t i) { return dump.records.at(i).id.value; };
  dump.again = {base::FlowId{7}, base::FlowId{250}};
  ask(0, 100, 1'000);
  ASSERT_EQ(dump.records.size(), 11U) << "7, though it is idle; nothing lives at 250; 90 to 99";
  EXPECT_EQ(first(0), 7U);
  EXPECT_EQ(first(1), 90U);
  EXPECT_EQ(dump.records[1].at_ns, rig.now_ns);
  EXPECT_EQ(dump.cursor, 100U);
  EXPECT_EQ(dump.most, 0U);
  dump.again.clear();
  ask(100, 1'000, 1'000);
  EXPECT_EQ(dump.records.size(), 100U);
  EXPECT_EQ(dump.cursor, 0U) << "all were seen";
  ask(0, 1'000, 30);
  EXPECT_EQ(dump.records.size(), 30U);
  EXPECT_EQ(dump.cursor, 120U) << "the first for which there was no room, whatever was looked at";
}

TEST(Worker, LogsDropsAndLogRules) {
  TestRig rig("block\npass out\npass in log proto udp to port 53\npass in log (all) proto udp to port 123\n");
  const auto udp = [](std::uint16_t port) {
    return wire::compose_udp(between(kClient, kServer), {.source_port = 4000, .destination_port = port});
  };
  for (int i = 0; i < 3; ++i) {
    for (const std::uint16_t port : {53, 123, 99}) rig.through(kLan, udp(port));
  }
  std::array<int, 3> lines{};
  LogRecord record;
  while (rig.worker().tables().log->pop(record)) {
    ++lines[record.destination_port == 53 ? 0 : record.destination_port == 123 ? 1 : 2];
    EXPECT_EQ(record.verdict, record.destination_port == 99 ? Verdict::kDrop : Verdict::kPass);
  }
  EXPECT_EQ(lines[0], 1) << "log: the packet that makes the flow";
  EXPECT_EQ(lines[1], 3) << "log (all): every packet of it";
  EXPECT_EQ(lines[2], 3) << "every drop";
}

/// Any packets, from both sides, well-formed or not, over one or two workers with reloads in between: every packet has
/// one outcome, every frame comes home.
class Conservation : public ::testing::TestWithParam<std::uint64_t> {};

Bytes random_packet(base::Random& random) {
  const auto host = [&] { return kClient + static_cast<std::uint32_t>(random.below(4)); };
  wire::Envelope envelope = between(host(), kServer + static_cast<std::uint32_t>(random.below(4)));
  if (random.chance(0.5)) std::swap(envelope.source, envelope.destination);
  const auto port = [&] { return static_cast<std::uint16_t>(random.chance(0.5) ? 80 : 1000 + random.below(4)); };
  Bytes bytes;
  switch (random.below(3)) {
    case 0:
      bytes = wire::compose_tcp(envelope,
                                {.source_port = port(),
                                 .destination_port = port(),
                                 .seq = static_cast<std::uint32_t>(random.below(200)),
                                 .ack = static_cast<std::uint32_t>(random.below(200)),
                                 .flags = static_cast<std::uint8_t>(random.below(64)),
                                 .window = 1000},
                                {}, Bytes(random.below(100)));
      break;
    case 1:
      bytes =
          wire::compose_udp(envelope, {.source_port = port(), .destination_port = port()}, Bytes(random.below(1600)));
      break;
    default:
      bytes = wire::compose_icmp(envelope,
                                 {.type = static_cast<std::uint8_t>(random.below(20)),
                                  .identifier = static_cast<std::uint16_t>(random.below(4))},
                                 Bytes(random.below(100)));
  }
  if (random.chance(0.1)) bytes.resize(random.below(bytes.size() + 1));
  if (random.chance(0.1) && !bytes.empty())
    bytes[random.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << random.below(8));
  return bytes;
}

TEST_P(Conservation, OfPacketsAndFrames) {
  base::Random random(GetParam());
  const std::uint32_t workers = 1 + static_cast<std::uint32_t>(GetParam() % 2);
  TestRig rig(kWebOnly, {.workers = workers, .frames_per_worker = 512, .flow_capacity = 20});
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  for (int round = 0; round < 300; ++round) {
    for (std::uint64_t i = random.below(80); i > 0; --i) {
      const base::PortId port = random.chance(0.5) ? kLan : kWan;
      sent += rig.send(port, random_packet(random), static_cast<std::uint32_t>(random.below(workers))) ? 1 : 0;
    }
    if (random.chance(0.03)) rig.reload(random.chance(0.5) ? "pass\n" : kWebOnly);
    rig.turn(static_cast<int>(1 + random.below(3)));
    rig.now_ns += random.below(20 * base::kNanosPerSecond);
    received += rig.received(kLan).size() + rig.received(kWan).size();
  }
  rig.turn(20);
  received += rig.received(kLan).size() + rig.received(kWan).size();
  std::uint64_t decided = 0;
  std::uint64_t passed = 0;
  std::uint64_t rejected = 0;
  for (std::size_t i = 0; i < workers; ++i) {
    const WorkerCounters& counters = rig.worker(i).tables().counters;
    decided += counters.packets.get();
    passed += counters.passed.get();
    rejected += counters.rejected.get();
  }
  // `mailbox_full` cannot happen here, so each packet sent was decided once.
  EXPECT_EQ(decided, sent) << "seed " << GetParam();
  EXPECT_EQ(passed, received);
  EXPECT_EQ(sent, passed - rejected + rig.dropped())
      << "one outcome each; an answer leaves in place of what it answers";
  EXPECT_EQ(rig.missing_frames(), 0U) << "seed " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Conservation, ::testing::Range<std::uint64_t>(1, 9));

/// Without state the pipeline does exactly what the linear evaluator says of both sides.
TEST(Pipeline, AgreesWithTheLinearEvaluatorOnStatelessRules) {
  constexpr const char* kRules =
      "block\n"
      "pass proto udp from 10.0.0.4/30 to port { 80, 1001 } no state\n"
      "block out on wan proto udp to 192.0.2.11\n"
      "pass in quick on wan inet proto icmp icmp-type 3 no state\n"
      "pass out quick on lan proto icmp no state\n"
      "pass proto tcp to port 80 flags S/SA no state tag WEB\n"
      "block return out on wan to 192.0.2.12 tagged WEB\n";
  TestRig rig(kRules);
  const firewall::Ruleset& ruleset = rig.snapshot().policy->ruleset();
  base::Random random(4711);
  int passes = 0;
  for (int i = 0; i < 3000; ++i) {
    const Bytes bytes = random_packet(random);
    wire::Packet packet;
    if (bytes.size() < 14 || wire::decode(bytes, 1, packet) != DropReason::none ||
        packet.kind == wire::PacketKind::kNonIp)
      continue;
    if (packet.ip_length > 1500) continue;
    const base::PortId port = random.chance(0.5) ? kLan : kWan;
    firewall::MatchKey key = firewall::match_key_of(packet, port, firewall::Way::kIn);
    const firewall::Decision in = firewall::evaluate(ruleset, key, nullptr);
    bool expected = firewall::drop_reason_of(in, key) == DropReason::none;
    if (expected) {
      key.way = firewall::Way::kOut;
      key.port = port == kLan ? kWan : kLan;
      key.tag = in.tag;
      expected = firewall::drop_reason_of(firewall::evaluate(ruleset, key, nullptr), key) == DropReason::none;
    }
    EXPECT_EQ(rig.through(port, bytes).size(), expected ? 1U : 0U) << "packet " << i;
    rig.received(port);
    passes += expected ? 1 : 0;
  }
  EXPECT_GT(passes, 100);
  EXPECT_EQ(rig.missing_frames(), 0U);
}

}  // namespace
}  // namespace ringplane::worker
