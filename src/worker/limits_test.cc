// What `max`, `max-src-*` and `overload` do to connections, over the whole pipeline.
#include <cstdint>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "wire/ip_address.h"
#include "worker/mailbox.h"
#include "worker/test_connection.h"
#include "worker/test_rig.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

using base::DropReason;

TEST(Limits, MaxBoundsTheFlowsOfARule) {
  TestRig rig("pass in proto tcp keep state (max 3) label \"few\"\npass out\n");
  for (std::uint16_t i = 0; i < 5; ++i)
    rig.through(kLan, Connection{.client_port = static_cast<std::uint16_t>(1000 + i)}.syn());
  EXPECT_EQ(rig.flows(), 3U);
  EXPECT_EQ(rig.dropped(DropReason::state_limit), 2U);
  rig.now_ns += 1000 * base::kNanosPerSecond;
  rig.turn(50);
  EXPECT_EQ(rig.flows(), 0U);
  EXPECT_EQ(rig.rule("few").states, 0U) << "flows that end give their place back";
  EXPECT_EQ(rig.through(kLan, Connection{}.syn()).size(), 1U);
}

TEST(Limits, MaxSrcStatesAndNodesBoundTheSources) {
  TestRig rig("pass in proto tcp keep state (source-track rule, max-src-nodes 2, max-src-states 2)\npass out\n");
  for (const std::uint32_t client : {1U, 2U, 3U}) {
    for (std::uint16_t i = 0; i < 3; ++i) {
      rig.through(kLan,
                  Connection{.client_port = static_cast<std::uint16_t>(1000 + i), .client = kClient + client}.syn());
    }
  }
  EXPECT_EQ(rig.flows(), 4U) << "two sources with two flows each";
  EXPECT_EQ(rig.dropped(DropReason::source_limit), 5U);
}

TEST(Limits, ASourceBeyondItsRateGoesIntoTheTableAndItsFlowsAreFlushed) {
  TestRig rig(
      "table <bad> persist\n"
      "block in quick from <bad> label \"bad\"\n"
      "pass in proto tcp keep state (max-src-conn-rate 3/10, overload <bad> flush)\n"
      "pass out\n");
  for (std::uint16_t i = 0; i < 4; ++i) {
    EXPECT_EQ(Connection{.client_port = static_cast<std::uint16_t>(1000 + i)}.shake_hands(rig), i < 3 ? 3U : 2U);
  }
  rig.turn(50);
  EXPECT_EQ(rig.worker().tables().counters.overloaded.get(), 1U);
  EXPECT_EQ(rig.flows(), 0U) << "flush ended them";
  EXPECT_TRUE(rig.through(kLan, Connection{.client_port = 2000}.syn()).empty());
  EXPECT_EQ(rig.rule("bad").packets, 1U);
  EXPECT_EQ(rig.through(kLan, Connection{.client = kClient + 1}.syn()).size(), 1U) << "others are not touched";
  OverloadEvent event;
  ASSERT_TRUE(rig.worker().tables().overloads->pop(event)) << "the control thread hears of it";
  EXPECT_EQ(event.addition.host.address, wire::IpAddress::from_ipv4(kClient));
  EXPECT_TRUE(event.addition.flush) << "the source's flows of the other workers have to go too";
  EXPECT_TRUE(event.addition.flush_rule.valid()) << "only those of the rule";
}

TEST(Limits, AWorkerThatHearsOfAnOverloadWithFlushEndsTheFlowsOfThatSource) {
  TestRig rig("table <bad> persist\nblock in quick from <bad>\npass proto tcp\n");
  for (const std::uint32_t client : {1U, 2U}) Connection{.client = kClient + client}.establish(rig);
  ASSERT_EQ(rig.flows(), 2U);
  const TableAddition addition{.table = *rig.worker().tables().policy().ruleset().find_table("bad"),
                               .host = {wire::Family::kIpv4, wire::IpAddress::from_ipv4(kClient + 1)},
                               .flush = true,
                               .flush_rule = {}};
  ASSERT_TRUE(rig.mailbox().from_control.push(
      {.kind = ControlMessage::Kind::kTableAddition, .change = nullptr, .dump = nullptr, .addition = addition}));
  rig.turn(50);
  EXPECT_EQ(rig.flows(), 1U);
  EXPECT_TRUE(rig.through(kLan, Connection{.client_port = 2000, .client = kClient + 1}.syn()).empty());
  EXPECT_EQ(rig.through(kLan, Connection{.client_port = 2000, .client = kClient + 2}.syn()).size(), 1U);
}

TEST(Limits, AConnectionBeyondMaxSrcConnIsEndedAsItIsEstablished) {
  TestRig rig("pass in proto tcp keep state (max-src-conn 2)\npass out\n");
  for (std::uint16_t i = 0; i < 4; ++i) {
    EXPECT_EQ(Connection{.client_port = static_cast<std::uint16_t>(1000 + i)}.shake_hands(rig), i < 2 ? 3U : 2U);
  }
  EXPECT_EQ(rig.flows(), 2U);
  EXPECT_EQ(rig.dropped(DropReason::source_limit), 2U) << "the ACKs that would have established them";
  Connection{.client = kClient + 1}.establish(rig);
  EXPECT_EQ(rig.flows(), 3U) << "another source has its own count";
}

}  // namespace
}  // namespace ringplane::worker
