// What the rules say of one packet.
#pragma once

#include <cstdint>

#include "base/branchless.h"
#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"

namespace ringplane::firewall {

/// How a blocked packet is answered. Never to a RST, to ICMP or to a fragment without ports where that matters.
enum class Reply : std::uint8_t { kNone, kTcpRst, kUnreachable };

struct Decision {
  base::RuleId rule{};  ///< invalid: no rule matched (the implicit pass), or `skipped`
  Action action = Action::kPass;
  StateKind state = StateKind::kNone;
  LogKind log = LogKind::kNone;  ///< of the deciding rule and of all matching `match` rules
  bool allow_opts = false;
  Reply reply = Reply::kNone;
  std::uint8_t reply_code = 0;  ///< kTcpRst: the TTL (0: default); kUnreachable: the ICMP or ICMPv6 code
  bool skipped = false;         ///< `set skip on` the port
  TagId tag = kNoTag;           ///< what the packet carries from now on

  [[nodiscard]] bool operator==(const Decision&) const noexcept = default;
};
static_assert(sizeof(Decision) <= 16);

/// Why the packet is dropped under `decision`; DropReason::none if it passes. A packet with IP options passes only by
/// a rule with allow-opts, or on a skipped port.
[[nodiscard]] inline base::DropReason drop_reason_of(const Decision& decision, const MatchKey& key) noexcept {
  if (decision.action == Action::kBlock) return base::DropReason::rule_block;
  if (key.has_ip_options && !decision.allow_opts && !decision.skipped) return base::DropReason::ip_options;
  return base::DropReason::none;
}

/// What follows from a rule that decides; so small that the verdicts of many rules stay in the cache.
struct RuleVerdict {
  // In the order of Decision, so that they are copied at once.
  Action action = Action::kPass;
  StateKind state = StateKind::kNone;
  LogKind log = LogKind::kNone;
  bool allow_opts = false;
  BlockReturn block_return = BlockReturn::kDrop;
  std::uint8_t return_ttl = 0;
  std::uint8_t return_icmp_code = 0;
  std::uint8_t return_icmp6_code = 0;
};
static_assert(sizeof(RuleVerdict) == 8);

[[nodiscard]] inline RuleVerdict verdict_of(const Rule& rule) noexcept {
  return {.action = rule.action,
          .state = rule.state,
          .log = rule.log,
          .allow_opts = rule.allow_opts,
          .block_return = rule.block_return,
          .return_ttl = rule.return_ttl,
          .return_icmp_code = rule.return_icmp_code,
          .return_icmp6_code = rule.return_icmp6_code};
}

/// Fills in what follows from the deciding rule: action, state, reply, options. Keeps tag and log.
inline void apply_rule(const RuleVerdict& rule, base::RuleId id, const MatchKey& key, Decision& decision) noexcept {
  decision.rule = id;
  decision.action = rule.action;
  decision.state = rule.state;
  decision.log = rule.log > decision.log ? rule.log : decision.log;
  decision.allow_opts = rule.allow_opts;
  if (rule.action != Action::kBlock || rule.block_return == BlockReturn::kDrop) return;
  if (key.protocol == wire::protocol::kTcp && rule.block_return != BlockReturn::kIcmp) {
    if (key.is_fragment || (key.tcp_flags & wire::tcp_flag::kRst) != 0) return;
    decision.reply = Reply::kTcpRst;
    decision.reply_code = rule.return_ttl;
  } else if (rule.block_return != BlockReturn::kRst && key.protocol != wire::protocol::kIcmp &&
             key.protocol != wire::protocol::kIcmp6 && !key.is_fragment) {
    decision.reply = Reply::kUnreachable;
    decision.reply_code = key.family == wire::Family::kIpv4 ? rule.return_icmp_code : rule.return_icmp6_code;
  }
}

/// pf draws for each rule with `probability` anew: spreads the packet's one draw over the rules.
[[nodiscard]] constexpr bool probability_holds(const Rule& rule, std::uint32_t index, std::uint32_t random) noexcept {
  if (rule.probability == 0) return true;
  std::uint64_t mixed = (std::uint64_t{random} + 1) * 0x9e3779b97f4a7c15ULL;
  mixed ^= (std::uint64_t{index} + 1) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 31)) * 0x94d049bb133111ebULL;
  return static_cast<std::uint32_t>(mixed >> 32) < rule.probability;
}

/// pf: a reply to an ICMP query never makes a state, so it does not match a rule that would; it passes by the state of
/// its query or by a rule with `no state`.
[[nodiscard]] constexpr bool is_icmp_query_reply(const MatchKey& key) noexcept {
  constexpr std::uint32_t kIcmpReplies = 1U << 0 | 1U << 14 | 1U << 16 | 1U << 18;
  const bool icmp = base::all_hold(key.protocol == wire::protocol::kIcmp, key.icmp_type < 32,
                                   ((kIcmpReplies >> (key.icmp_type & 31)) & 1U) != 0);
  const bool icmp6 = base::all_hold(key.protocol == wire::protocol::kIcmp6, key.icmp_type == 129);
  return !key.is_fragment && (icmp || icmp6);
}

}  // namespace ringplane::firewall
