// What a worker reports of flows that end, over the whole pipeline.
#include "worker/flow_record.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/ids.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "flow/timeouts.h"
#include "wire/packet.h"
#include "worker/test_connection.h"
#include "worker/test_rig.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

constexpr const char* kLabelledIn = "pass out\npass in label \"in\"\n";

std::vector<FlowRecord> take_records(TestRig& rig) {
  std::vector<FlowRecord> all;
  FlowRecord record;
  while (rig.worker().tables().flow_records->pop(record)) all.push_back(record);
  return all;
}

TEST(FlowRecords, AreNotMadeIfNobodyWantsThem) {
  TestRig rig(kLabelledIn);
  Connection{}.establish(rig);
  rig.now_ns += 100'000 * base::kNanosPerSecond;
  rig.turn(50);
  EXPECT_EQ(rig.flows(), 0U);
  EXPECT_EQ(rig.worker().tables().flow_records, nullptr);
}

TEST(FlowRecords, TellAllOfAConnectionThatWasClosed) {
  TestRig rig(kLabelledIn, {.flow_record_slots = 16});
  const Connection connection;
  const std::uint64_t begin_ns = rig.now_ns;
  connection.establish(rig);
  rig.now_ns += 5 * base::kNanosPerSecond;
  constexpr std::uint8_t kFinAck = wire::tcp_flag::kFin | wire::tcp_flag::kAck;
  const auto fin = connection.from_client(kFinAck, 101, 901, 1000);
  ASSERT_EQ(rig.through(kLan, fin).size(), 1U);
  ASSERT_EQ(rig.through(kWan, connection.from_server(kFinAck, 901, 1102)).size(), 1U);
  ASSERT_EQ(rig.through(kLan, connection.from_client(wire::tcp_flag::kAck, 1102, 902)).size(), 1U);
  EXPECT_TRUE(take_records(rig).empty()) << "it is closed, but may still be asked for";
  const flow::FlowDetails details = connection.details(rig);
  rig.now_ns += 1000 * base::kNanosPerSecond;
  rig.turn(50);
  const std::vector<FlowRecord> records = take_records(rig);
  ASSERT_EQ(records.size(), 1U);
  const FlowRecord& record = records[0];
  EXPECT_EQ(record.end, FlowEnd::kClosed);
  EXPECT_EQ(record.key, details.key);
  EXPECT_EQ(record.original_upper, details.original_upper);
  EXPECT_EQ(record.packets, (std::array<std::uint64_t, 2>{4, 2}));
  EXPECT_EQ(record.bytes, details.bytes);
  EXPECT_EQ(record.began, flow::tick_of(begin_ns));
  EXPECT_EQ(record.last_seen, flow::tick_of(begin_ns + 5 * base::kNanosPerSecond));
  EXPECT_EQ(record.port, kLan);
  EXPECT_EQ(record.peer_port, kWan);
  EXPECT_EQ(record.rule, base::RuleId{1});
  EXPECT_EQ(record.state[0], flow::PeerState::kFinWait2);
  EXPECT_EQ(rig.worker().tables().counters.flow_records_lost.get(), 0U);
}

TEST(FlowRecords, SayWhyAFlowHasEnded) {
  TestRig rig(kLabelledIn, {.flow_capacity = 4, .flow_record_slots = 16});
  Connection{.client_port = 1}.establish(rig);
  rig.reload("block\n");
  rig.turn(10);
  auto records = take_records(rig);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].end, FlowEnd::kErased) << "the new rules have ended it";
  EXPECT_FALSE(records[0].rule.valid()) << "the rule that let it in is gone";
  rig.reload(kLabelledIn);
  rig.turn(10);
  for (std::uint16_t port = 10; port < 14; ++port) (void)rig.through(kLan, Connection{.client_port = port}.syn());
  rig.now_ns += base::kNanosPerSecond;
  (void)rig.through(kLan, Connection{.client_port = 20}.syn());
  rig.now_ns += 1000 * base::kNanosPerSecond;
  rig.turn(50);
  records = take_records(rig);
  ASSERT_EQ(records.size(), 5U);
  EXPECT_EQ(std::ranges::count(records, FlowEnd::kEvicted, &FlowRecord::end), 1) << "for the fifth";
  EXPECT_EQ(std::ranges::count(records, FlowEnd::kTimeout, &FlowRecord::end), 4);
}

TEST(FlowRecords, AFullRingCostsRecordsThatAreCounted) {
  TestRig rig(kLabelledIn, {.flow_record_slots = 4});
  for (std::uint16_t port = 1; port <= 10; ++port) (void)rig.through(kLan, Connection{.client_port = port}.syn());
  rig.now_ns += 1000 * base::kNanosPerSecond;
  rig.turn(50);
  EXPECT_EQ(rig.flows(), 0U) << "nobody waits";
  EXPECT_EQ(take_records(rig).size(), 4U);
  EXPECT_EQ(rig.worker().tables().counters.flow_records_lost.get(), 6U);
}

TEST(FlowRecords, OfAFlowThatStillLives) {
  TestRig rig(kLabelledIn, {.flow_record_slots = 4});
  const Connection connection;
  connection.establish(rig);
  const WorkerTables& tables = rig.worker().tables();
  std::vector<FlowRecord> live;
  (void)tables.flows->visit_slice(0, 100,
                                  [&](base::FlowId id) { live.push_back(flow_record_of(id, FlowEnd::kStop, tables)); });
  ASSERT_EQ(live.size(), 1U);
  EXPECT_EQ(live[0].packets, (std::array<std::uint64_t, 2>{2, 1}));
  EXPECT_EQ(live[0].end, FlowEnd::kStop);
}

}  // namespace
}  // namespace ringplane::worker
