#include "report/flow_exporter.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/ids.h"
#include "flow/timeouts.h"
#include "report/collector.h"
#include "report/flow_times.h"
#include "report/ipfix.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/flow_record.h"

namespace ringplane::report {
namespace {

constexpr std::uint64_t kStart = 1'000 * base::kNanosPerSecond;
constexpr std::uint64_t kWall = 1'700'000'000 * base::kNanosPerSecond;

FlowTimes at(std::uint64_t seconds) {
  return {kStart + seconds * base::kNanosPerSecond, kWall + seconds * base::kNanosPerSecond};
}

/// 10.0.0.5:40000 asked 192.0.2.10:53; it sorts below, so it is endpoint 0.
worker::FlowRecord a_flow() {
  worker::FlowRecord record;
  record.key.family = wire::Family::kIpv4;
  record.key.protocol = wire::protocol::kUdp;
  record.key.address = {wire::parse_host_address("10.0.0.5")->address, wire::parse_host_address("192.0.2.10")->address};
  record.key.port = {40000, 53};
  record.key.zone = wire::make_zone(1, 12, 0);
  record.packets = {3, 2};
  record.bytes = {300, 2000};
  record.began = flow::tick_of(kStart - 9 * base::kNanosPerSecond);
  record.last_seen = flow::tick_of(kStart - 4 * base::kNanosPerSecond);
  record.port = base::PortId{0};
  record.peer_port = base::PortId{1};
  return record;
}

TEST(IpfixRecordOf, AFlowsWays) {
  worker::FlowRecord flow = a_flow();
  const IpfixRecord there = ipfix_record(flow, wire::Direction::kOriginal, at(0), {11, 12});
  EXPECT_EQ(there.source, flow.key.address[0]);
  EXPECT_EQ(there.destination_port, 53);
  EXPECT_EQ(there.packets, 3U);
  EXPECT_EQ(there.bytes, 300U);
  EXPECT_EQ(there.vlan, 12);
  EXPECT_EQ(there.ingress, 11U);
  EXPECT_EQ(there.egress, 12U);
  const IpfixRecord back = ipfix_record(flow, wire::Direction::kReply, at(0), {11, 12});
  EXPECT_EQ(back.source, flow.key.address[1]);
  EXPECT_EQ(back.source_port, 53);
  EXPECT_EQ(back.bytes, 2000U);
  EXPECT_EQ(back.ingress, 12U);
  flow.original_upper = true;
  EXPECT_EQ(ipfix_record(flow, wire::Direction::kOriginal, at(0), {}).source, flow.key.address[1]);
  EXPECT_EQ(ipfix_record(flow, wire::Direction::kOriginal, at(0), {}).ingress, 0U) << "no interface of the kernel";
}

TEST(IpfixRecordOf, EveryEndHasItsReason) {
  using worker::FlowEnd;
  for (const auto& [end, reason] : {std::pair{FlowEnd::kTimeout, FlowEndReason::kIdleTimeout},
                                    {FlowEnd::kClosed, FlowEndReason::kEndOfFlow},
                                    {FlowEnd::kEvicted, FlowEndReason::kLackOfResources},
                                    {FlowEnd::kErased, FlowEndReason::kForcedEnd},
                                    {FlowEnd::kStop, FlowEndReason::kForcedEnd}}) {
    worker::FlowRecord flow = a_flow();
    flow.end = end;
    EXPECT_EQ(ipfix_record(flow, wire::Direction::kOriginal, at(0), {}).end_reason, reason);
  }
}

/// A clock that is set between beginning and end moves both and leaves what lies between: flows live by another clock.
TEST(IpfixRecordOf, AClockThatIsSetLeavesTheDuration) {
  for (const std::int64_t jump_s : {0, 86'400 * 365, -86'400 * 365}) {
    FlowTimes times = at(0);
    times.wall_ns += static_cast<std::uint64_t>(jump_s) * base::kNanosPerSecond;
    const IpfixRecord record = ipfix_record(a_flow(), wire::Direction::kOriginal, times, {});
    EXPECT_NEAR(static_cast<double>(record.end_ms - record.start_ms), 5'000, 34) << "two ticks";
    const std::uint64_t now_ms = times.wall_ns / base::kNanosPerMilli;
    EXPECT_NEAR(static_cast<double>(now_ms - record.end_ms), 4'000, 34);
  }
}

TEST(FlowTimes, ATickThatIsNotOverIsNow) {
  const FlowTimes times = at(0);
  EXPECT_EQ(times.wall_of(flow::tick_of(times.monotonic_ns)), times.wall_ns);
  EXPECT_EQ(times.wall_of(flow::tick_of(times.monotonic_ns) + 5), times.wall_ns) << "a worker's clock is a turn ahead";
  EXPECT_EQ(times.wall_of(times.monotonic_ns + 5), times.wall_ns);
  EXPECT_EQ(times.wall_of(times.monotonic_ns - 7), times.wall_ns - 7);
}

class FlowExporterTest : public ::testing::Test {
 protected:
  FlowExporterTest() : exporter_({.collector = "unused", .domain = 1, .template_seconds = 60}, {}) {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    collector_ = base::FileDescriptor(ends[0]);
    exporter_.change_to(base::FileDescriptor(ends[1]));
  }
  struct Got {
    bool templates = false;
    std::uint32_t sequence = 0;
    std::size_t bytes = 0;
  };
  /// The next message that came; bytes 0: none.
  Got receive() {
    std::array<std::uint8_t, 2000> bytes{};
    const ssize_t got = recv(collector_.get(), bytes.data(), bytes.size(), 0);
    if (got <= 0) return {};
    return {.templates = bytes[16] == 0 && bytes[17] == 2,
            .sequence = std::uint32_t{bytes[8]} << 24 | std::uint32_t{bytes[9]} << 16 | std::uint32_t{bytes[10]} << 8 |
                        bytes[11],
            .bytes = static_cast<std::size_t>(got)};
  }
  std::uint64_t shown(const char* what) { return exporter_.show()[what]; }

  FlowExporter exporter_;
  base::FileDescriptor collector_;
};

TEST_F(FlowExporterTest, TemplatesComeFirstAndAgainAfterATime) {
  exporter_.flush(at(0));
  EXPECT_TRUE(receive().templates) << "before any record";
  exporter_.add(a_flow(), at(1));
  exporter_.flush(at(1));
  const Got records = receive();
  EXPECT_FALSE(records.templates);
  EXPECT_EQ(records.bytes, 16U + 4 + 2 * 58);
  exporter_.flush(at(59));
  EXPECT_EQ(receive().bytes, 0U);
  exporter_.flush(at(60));
  const Got again = receive();
  EXPECT_TRUE(again.templates);
  EXPECT_EQ(again.sequence, 2U) << "both ways of the flow";
}

TEST_F(FlowExporterTest, AWayWithoutPacketsHasNoRecord) {
  worker::FlowRecord flow = a_flow();
  flow.packets[1] = 0;
  exporter_.add(flow, at(0));
  exporter_.flush(at(0));
  EXPECT_EQ(shown("written"), 1U);
}

TEST_F(FlowExporterTest, MessagesKeepToTheirSizeAndAreCounted) {
  for (int i = 0; i < 100; ++i) exporter_.add(a_flow(), at(0));
  exporter_.flush(at(0));
  std::uint32_t messages = 0;
  std::uint32_t sequence = 0;
  for (Got got = receive(); got.bytes != 0; got = receive(), ++messages) {
    EXPECT_LE(got.bytes, IpfixMessage::kLeastBytes) << "no path is known to take more";
    EXPECT_GE(got.sequence, sequence);
    sequence = got.sequence;
  }
  EXPECT_EQ(shown("messages"), messages);
  EXPECT_EQ(shown("written") + shown("lost"), 200U);
}

TEST_F(FlowExporterTest, ASocketThatIsFullCostsTheRecordsOfTheMessage) {
  for (int i = 0; i < 5000; ++i) exporter_.add(a_flow(), at(0));
  exporter_.flush(at(0));
  EXPECT_GT(shown("lost"), 0U);
  EXPECT_EQ(shown("written") + shown("lost"), 10'000U);
  while (receive().bytes != 0) {
  }
  exporter_.add(a_flow(), at(1));
  exporter_.flush(at(1));
  const Got next = receive();
  EXPECT_TRUE(next.templates) << "they may have been in what was lost";
  EXPECT_EQ(next.sequence, 10'000U) << "so that the collector sees what it has missed";
}

TEST(FlowExporterRefused, NobodyAtTheCollectorIsCountedAndNotTheEnd) {
  // A port that was somebody's a moment ago.
  base::FileDescriptor listener(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  listener = base::FileDescriptor();
  auto socket = connect_to_collector("127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
  ASSERT_TRUE(socket);
  FlowExporter exporter({.collector = "x", .domain = 1, .template_seconds = 60}, {});
  exporter.change_to(std::move(*socket));
  for (std::uint64_t second = 0; second < 5; ++second) {
    exporter.add(a_flow(), at(second));
    exporter.flush(at(second));
  }
  EXPECT_GE(exporter.show()["refused"].get<int>(), 1);
  EXPECT_EQ(exporter.show()["lost"].get<int>() + exporter.show()["written"].get<int>(), 10);
}

TEST(FlowExporterNoWay, RecordsAreLostAndCounted) {
  FlowExporter exporter({.collector = "x", .domain = 1, .template_seconds = 60}, {});
  exporter.flush(at(0));
  exporter.add(a_flow(), at(0));
  exporter.flush(at(0));
  EXPECT_EQ(exporter.show()["lost"], 2);
}

TEST(Collector, IsAnAddressAndAPort) {
  const auto ipv4 = parse_collector("192.0.2.9:4739");
  ASSERT_TRUE(ipv4);
  EXPECT_EQ(ipv4->port, 4739);
  const auto ipv6 = parse_collector("[2001:db8::9]:2055");
  ASSERT_TRUE(ipv6);
  EXPECT_EQ(ipv6->host.family, wire::Family::kIpv6);
  for (const std::string_view wrong :
       {"", ":", "192.0.2.9", "192.0.2.9:", "192.0.2.9:0", "192.0.2.9:65536", "192.0.2.9:47x", "2001:db8::9:4739",
        "[192.0.2.9]:4739", "collector:4739", "[]:1", "[:1"}) {
    EXPECT_FALSE(parse_collector(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace ringplane::report
