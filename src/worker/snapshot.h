// Snapshot: everything the workers read that a reload replaces, compiled and immutable. Made by the control thread,
// swapped in between two bursts by each worker, freed by the control thread when no worker uses it any more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "firewall/policy.h"
#include "flow/timeouts.h"
#include "wire/ip_address.h"
#include "worker/forwarding.h"

namespace ringplane::worker {

struct Snapshot {
  std::uint16_t generation = 0;  ///< never 0 in a running worker, so that a fresh record is not of it
  std::shared_ptr<const firewall::Policy> policy;
  Forwarding forwarding;
  /// No rule looks at the port, the way or the tag of a packet: whatever is let in is let out by the same rule.
  bool same_both_ways = false;
  /// Every SYN over IPv4 (IPv6) that the rules let in makes a flow.
  bool ipv4_syn_needs_flow = false;
  bool ipv6_syn_needs_flow = false;

  [[nodiscard]] bool syn_needs_flow(wire::Family family) const noexcept {
    return family == wire::Family::kIpv4 ? ipv4_syn_needs_flow : ipv6_syn_needs_flow;
  }
  /// [0] the global timeouts; then one set per group of state options that overrides some.
  std::vector<flow::FlowTimeouts> timeout_sets;
  /// By index into Ruleset::state_options: which of timeout_sets.
  std::vector<std::uint8_t> timeout_set_of_options;
};

/// `states_per_worker` is the capacity of each worker's flow table: adaptive timeouts follow it where the rules give
/// no numbers; numbers in the rules are shared out over `worker_count`. Fails if the rules override timeouts in more
/// than 255 different ways.
[[nodiscard]] base::Result<std::unique_ptr<Snapshot>> make_snapshot(std::uint16_t generation,
                                                                    std::shared_ptr<const firewall::Policy> policy,
                                                                    const Forwarding& forwarding,
                                                                    std::uint32_t states_per_worker,
                                                                    std::uint32_t worker_count);

/// Whether with_tables_of() fits: the policies share their rules and state options, number by number.
[[nodiscard]] bool have_same_rules(const firewall::Policy& one, const firewall::Policy& other) noexcept;
/// The same with a policy that differs in what tables hold, not in its rules: of the same generation, so that flows
/// stay as they are and go on under their RulePaths. Costs nothing of what there are rules.
[[nodiscard]] std::unique_ptr<Snapshot> with_tables_of(const Snapshot& snapshot,
                                                       std::shared_ptr<const firewall::Policy> policy);

}  // namespace ringplane::worker
