#include "worker/snapshot.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/result.h"
#include "firewall/match_key.h"
#include "firewall/policy.h"
#include "firewall/ruleset.h"
#include "firewall/timeouts.h"
#include "flow/timeouts.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/forwarding.h"

namespace ringplane::worker {
namespace {

flow::FlowTimeouts to_flow_timeouts(const firewall::Timeouts& timeouts, std::uint32_t worker_count) {
  flow::FlowTimeouts result;
  for (std::size_t i = 0; i < firewall::kTimeoutCount; ++i) {
    if (const auto timeout = flow::timeout_class_of(firewall::kTimeoutNames[i])) {
      result[*timeout] = std::min(timeouts.value[i], flow::kMaxTimeoutSeconds);
    }
  }
  result.adaptive_start_flows = timeouts[firewall::Timeout::kAdaptiveStart] / worker_count;
  result.adaptive_end_flows = timeouts[firewall::Timeout::kAdaptiveEnd] / worker_count;
  return result;
}

bool says_the_same_both_ways(const firewall::Ruleset& ruleset) noexcept {
  return ruleset.options.skip == 0 && std::ranges::all_of(ruleset.rules, [](const firewall::Rule& rule) {
           return rule.way == firewall::RuleWay::kBoth && rule.ports == firewall::Rule::kEveryPort &&
                  rule.tagged == firewall::kNoTag;
         });
}

/// No SYN of this family passes without a flow: no rule says so, and there is one that every SYN matches, so that none
/// passes for want of a rule.
bool every_syn_needs_flow(const firewall::Ruleset& ruleset, wire::Family family) noexcept {
  using firewall::Rule;
  const auto may_hold_syns = [family](const Rule& rule) {
    return (rule.family == wire::Family::kNone || rule.family == family) &&
           (rule.protocol < 0 || rule.protocol == wire::protocol::kTcp) && !rule.fragment;
  };
  const auto passes_without_flow = [&](const Rule& rule) {
    return may_hold_syns(rule) && rule.action == firewall::Action::kPass && !rule.is_anchor() &&
           rule.state != firewall::StateKind::kKeep;
  };
  const auto is_any = [](const firewall::AddressMatch& match) {
    const bool everything = match.kind == firewall::AddressMatch::Kind::kAny ||
                            (match.kind == firewall::AddressMatch::Kind::kPrefix && match.prefix.length == 0);
    return everything && !match.negated;
  };
  // The flags that a SYN has or has not, whatever else it carries.
  constexpr std::uint8_t kKnown =
      wire::tcp_flag::kSyn | wire::tcp_flag::kAck | wire::tcp_flag::kFin | wire::tcp_flag::kRst;
  const auto holds_every_syn = [&](const Rule& rule) {
    const auto any = firewall::PortMatch::Operator::kAny;
    return may_hold_syns(rule) && rule.action != firewall::Action::kMatch && !rule.is_anchor() &&
           rule.parent == Rule::kNone && rule.way == firewall::RuleWay::kBoth && rule.ports == Rule::kEveryPort &&
           is_any(rule.source) && is_any(rule.destination) && rule.source_port.op == any &&
           rule.destination_port.op == any && rule.tos < 0 && rule.tagged == firewall::kNoTag &&
           rule.probability == 0 && (rule.tcp_flags_mask & ~kKnown) == 0 &&
           (rule.tcp_flags_mask & wire::tcp_flag::kSyn) == rule.tcp_flags;
  };
  return ruleset.options.skip == 0 && std::ranges::none_of(ruleset.rules, passes_without_flow) &&
         std::ranges::any_of(ruleset.rules, holds_every_syn);
}

bool adaptive_is_set(const firewall::Options& options) {
  constexpr std::uint32_t kBits = (1U << static_cast<unsigned>(firewall::Timeout::kAdaptiveStart)) |
                                  (1U << static_cast<unsigned>(firewall::Timeout::kAdaptiveEnd));
  return (options.timeouts_set & kBits) != 0;
}

}  // namespace

base::Result<std::unique_ptr<Snapshot>> make_snapshot(std::uint16_t generation,
                                                      std::shared_ptr<const firewall::Policy> policy,
                                                      const Forwarding& forwarding, std::uint32_t states_per_worker,
                                                      std::uint32_t worker_count) {
  constexpr std::size_t kMaxTimeoutSets = 256;
  auto snapshot = std::make_unique<Snapshot>();
  snapshot->generation = generation;
  snapshot->forwarding = forwarding;
  const firewall::Ruleset& ruleset = policy->ruleset();
  const firewall::Options& options = ruleset.options;
  const auto add_set = [&](const firewall::Timeouts& timeouts, bool adaptive_written) {
    flow::FlowTimeouts set = to_flow_timeouts(timeouts, worker_count);
    if (!adaptive_written) set.set_adaptive_defaults(states_per_worker);
    snapshot->timeout_sets.push_back(set);
  };
  add_set(options.timeouts, adaptive_is_set(options));
  for (const firewall::StateOptions& state_options : ruleset.state_options) {
    std::size_t set = 0;
    if (state_options.timeouts.set != 0) {
      set = snapshot->timeout_sets.size();
      if (set == kMaxTimeoutSets) {
        return base::fail("more than 255 groups of state options with timeouts of their own: share some between rules",
                          base::ErrorKind::kBadConfiguration);
      }
      add_set(state_options.timeouts.over(options.timeouts),
              adaptive_is_set(options) || state_options.timeouts.has(firewall::Timeout::kAdaptiveStart) ||
                  state_options.timeouts.has(firewall::Timeout::kAdaptiveEnd));
    }
    snapshot->timeout_set_of_options.push_back(static_cast<std::uint8_t>(set));
  }
  snapshot->same_both_ways = says_the_same_both_ways(ruleset);
  snapshot->ipv4_syn_needs_flow = every_syn_needs_flow(ruleset, wire::Family::kIpv4);
  snapshot->ipv6_syn_needs_flow = every_syn_needs_flow(ruleset, wire::Family::kIpv6);
  snapshot->policy = std::move(policy);
  return snapshot;
}

bool have_same_rules(const firewall::Policy& one, const firewall::Policy& other) noexcept {
  const auto same = [](const auto& a, const auto& b) {
    return std::ranges::equal(a.pieces(), b.pieces(), [](const auto& x, const auto& y) {
      return x.storage == y.storage && x.first == y.first && x.count == y.count && x.begin == y.begin;
    });
  };
  return same(one.ruleset().rules, other.ruleset().rules) &&
         same(one.ruleset().state_options, other.ruleset().state_options);
}

std::unique_ptr<Snapshot> with_tables_of(const Snapshot& snapshot, std::shared_ptr<const firewall::Policy> policy) {
  auto next = std::make_unique<Snapshot>(snapshot);
  next->policy = std::move(policy);
  return next;
}

}  // namespace ringplane::worker
