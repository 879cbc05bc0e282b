// A snapshot with other tables of the same rules (ControlMessage::Kind::kTables): at once for packets without a flow,
// while flows, counters and generation stay.
#include <cstdint>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "firewall/policy.h"
#include "firewall/prefix_set.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"
#include "worker/mailbox.h"
#include "worker/rule_paths.h"
#include "worker/snapshot.h"
#include "worker/test_rig.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

std::shared_ptr<const firewall::Policy> policy_with(const firewall::Policy& policy, const char* prefix) {
  const std::vector<firewall::TableEntry> entries{{.prefix = *wire::parse_prefix(prefix)}};
  auto made = policy.with_table_change(*policy.ruleset().find_table("bad"), {}, entries);
  EXPECT_TRUE(made);
  return *made;
}

TEST(TableChange, SharesAllButThePolicy) {
  TestRig rig("table <bad> persist\nblock in on lan from <bad>\npass keep state (tcp.first 7)\n");
  const Snapshot& before = *rig.worker(0).tables().snapshot;
  const auto policy = policy_with(*before.policy, "10.0.0.0/8");
  const auto after = with_tables_of(before, policy);
  EXPECT_TRUE(have_same_rules(*before.policy, *policy));
  EXPECT_TRUE(have_same_rules(*before.policy, *policy->folded()))
      << "a fold after changes of tables numbers nothing anew";
  EXPECT_EQ(after->generation, before.generation);
  EXPECT_EQ(after->timeout_set_of_options, before.timeout_set_of_options);
  EXPECT_EQ(after->policy, policy);
  EXPECT_FALSE(have_same_rules(*before.policy, *firewall::Policy::pass_all()));
}

TEST(TableChange, IsTakenBetweenTurnsAndWithdrawsAdditionsInSlices) {
  TestRig rig("table <bad> persist\nblock in on lan from <bad>\npass\n");
  WorkerTables& tables = rig.worker(0).tables();
  const firewall::TableId bad = *tables.policy().ruleset().find_table("bad");
  const auto host = [](std::uint32_t number) {
    return wire::HostAddress{wire::Family::kIpv4, wire::IpAddress::from_ipv4(number)};
  };
  for (std::uint32_t i = 0; i < 100; ++i)
    ASSERT_NE(tables.overlay->insert(bad, host(i)), firewall::TableOverlay::Inserted::kFull);
  const std::uint16_t generation = tables.snapshot->generation;
  const RulePaths* paths = tables.paths;
  const auto next = with_tables_of(*tables.snapshot, policy_with(tables.policy(), "10.0.0.0/8"));
  SnapshotChange change;
  change.snapshot = next.get();
  // More than one slice; most of them are not there.
  for (std::uint32_t i = 50; i < 650; ++i) change.withdrawn.push_back({.table = bad, .host = host(i)});
  rig.post(0, {.kind = ControlMessage::Kind::kTables, .change = &change, .dump = nullptr, .addition = {}});
  rig.turn(1);
  EXPECT_EQ(tables.snapshot, next.get());
  EXPECT_FALSE(change.taken.load());
  rig.turn(2);
  EXPECT_TRUE(change.taken.load());
  EXPECT_EQ(tables.overlay->size(), 50U);
  EXPECT_EQ(tables.snapshot->generation, generation);
  EXPECT_EQ(tables.paths, paths);
  EXPECT_FALSE(tables.rechecking);
}

}  // namespace
}  // namespace ringplane::worker
