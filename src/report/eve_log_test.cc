#include "report/eve_log.h"

#include <string_view>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/parser.h"
#include "flow/flow.h"
#include "flow/timeouts.h"
#include "report/flow_times.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/flow_record.h"
#include "worker/log_record.h"
#include "worker/packet_burst.h"

namespace ringplane::report {
namespace {

wire::IpAddress address(std::string_view text) {
  return wire::parse_host_address(text)->address;
}

// Expected values from the baseline of the Community ID specification (pcaps and results of the reference program).
TEST(CommunityId, EqualsTheSpecificationsBaseline) {
  EXPECT_EQ(community_id(wire::Family::kIpv4, 6, address("128.232.110.120"), address("66.35.250.204"), 34855, 80, 0, 0),
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
  EXPECT_EQ(community_id(wire::Family::kIpv4, 6, address("66.35.250.204"), address("128.232.110.120"), 80, 34855, 0, 0),
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
  EXPECT_EQ(community_id(wire::Family::kIpv4, 17, address("192.168.1.52"), address("8.8.8.8"), 54585, 53, 0, 0),
            "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
}

TEST(CommunityId, IsOneForEchoAndItsReply) {
  const auto echo = community_id(wire::Family::kIpv4, 1, address("192.168.0.89"), address("192.168.0.1"), 9, 9, 8, 0);
  EXPECT_EQ(echo, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=") << "baseline of the specification";
  EXPECT_EQ(community_id(wire::Family::kIpv4, 1, address("192.168.0.1"), address("192.168.0.89"), 9, 9, 0, 0), echo);
}

TEST(CommunityId, OfNothingIsNothing) {
  EXPECT_EQ(community_id(wire::Family::kNone, 0, {}, {}, 0, 0, 0, 0), "");
}

TEST(EveLine, HasTheFieldsThatReadersOfEveJsonExpect) {
  const auto parsed =
      firewall::parse({.name = "pf.conf", .text = "pass\nblock log proto tcp to port 22 label \"ssh\"\n"}, {});
  const worker::LogRecord record{.now_ns = 0,
                                 .source = address("10.0.0.5"),
                                 .destination = address("192.0.2.10"),
                                 .source_port = 40000,
                                 .destination_port = 22,
                                 .length = 74,
                                 .generation = 1,
                                 .rule = base::RuleId{1},
                                 .port = base::PortId{0},
                                 .family = wire::Family::kIpv4,
                                 .protocol = 6,
                                 .verdict = worker::Verdict::kReject,
                                 .reason = base::DropReason::rule_block};
  const auto line = nlohmann::json::parse(eve_line(record, &parsed.ruleset, "eth1", 1'700'000'000'123'456'789));
  EXPECT_EQ(line["timestamp"], "2023-11-14T22:13:20.123456+0000");
  EXPECT_EQ(line["event_type"], "drop");
  EXPECT_EQ(line["in_iface"], "eth1");
  EXPECT_EQ(line["src_ip"], "10.0.0.5");
  EXPECT_EQ(line["src_port"], 40000);
  EXPECT_EQ(line["dest_ip"], "192.0.2.10");
  EXPECT_EQ(line["dest_port"], 22);
  EXPECT_EQ(line["proto"], "tcp");
  EXPECT_EQ(line["verdict"], "reject");
  EXPECT_EQ(line["drop"]["reason"], "rule_block");
  EXPECT_EQ(line["firewall"]["rule"], "pf.conf:2");
  EXPECT_EQ(line["firewall"]["label"], "ssh");
  EXPECT_TRUE(line["community_id"].get<std::string>().starts_with("1:"));
}

TEST(EveLine, OfABrokenFrameHasNoAddresses) {
  worker::LogRecord record;
  record.port = base::PortId{0};
  record.reason = base::DropReason::frame_too_short;
  const auto line = nlohmann::json::parse(eve_line(record, nullptr, "eth1", 0));
  EXPECT_FALSE(line.contains("src_ip"));
  EXPECT_FALSE(line.contains("firewall"));
  EXPECT_EQ(line["drop"]["reason"], "frame_too_short");
}

TEST(EveFlowLine, HasTheFieldsThatReadersOfEveJsonExpect) {
  const auto parsed = firewall::parse({.name = "pf.conf", .text = "pass label \"all\"\n"}, {});
  constexpr FlowTimes kNow{.monotonic_ns = 100 * base::kNanosPerSecond,
                           .wall_ns = 1'700'000'000 * base::kNanosPerSecond};
  worker::FlowRecord record;
  record.key.family = wire::Family::kIpv4;
  record.key.protocol = wire::protocol::kTcp;
  record.key.address = {address("10.0.0.5"), address("192.0.2.10")};
  record.key.port = {40000, 22};
  record.packets = {5, 4};
  record.bytes = {500, 4000};
  record.began = flow::tick_of(90 * base::kNanosPerSecond);
  record.last_seen = flow::tick_of(97 * base::kNanosPerSecond);
  record.rule = base::RuleId{0};
  record.state = {flow::PeerState::kFinWait2, flow::PeerState::kFinWait2};
  record.end = worker::FlowEnd::kClosed;
  const auto line = nlohmann::json::parse(eve_flow_line(record, &parsed.ruleset, "eth1", kNow));
  EXPECT_EQ(line["event_type"], "flow");
  EXPECT_EQ(line["timestamp"], "2023-11-14T22:13:20.000000+0000");
  EXPECT_EQ(line["src_ip"], "10.0.0.5");
  EXPECT_EQ(line["dest_port"], 22);
  EXPECT_EQ(line["flow"]["pkts_toserver"], 5);
  EXPECT_EQ(line["flow"]["bytes_toclient"], 4000);
  EXPECT_EQ(line["flow"]["age"], 6) << "7 s less a tick";
  EXPECT_EQ(line["flow"]["state"], "closed");
  EXPECT_EQ(line["flow"]["reason"], "closed");
  EXPECT_EQ(line["firewall"]["label"], "all");
  EXPECT_EQ(line["community_id"], nlohmann::json(community_id(wire::Family::kIpv4, 6, address("192.0.2.10"),
                                                              address("10.0.0.5"), 22, 40000, 0, 0)));
  record.original_upper = true;
  EXPECT_EQ(nlohmann::json::parse(eve_flow_line(record, nullptr, "eth1", kNow))["src_ip"], "192.0.2.10");
}

}  // namespace
}  // namespace ringplane::report
