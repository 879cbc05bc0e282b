// PathDecision: what the rules say of a packet on its way through the box: `in` on the port it came by, then `out` on
// the port it leaves by; both must let it pass. A flow is made if a matching rule of either side keeps state and
// neither says `no state` (docs/design/004-one-flow-per-connection.md).
#pragma once

#include <cstdint>

#include "firewall/decision.h"
#include "firewall/match_key.h"
#include "firewall/policy.h"
#include "firewall/table_overlay.h"

namespace ringplane::worker {

struct PathDecision {
  firewall::Decision in;
  firewall::Decision out;  ///< not asked if `in` blocked
  base::DropReason reason = base::DropReason::none;
  bool blocked_at_egress = false;

  /// The side that decided: of a block the one that blocked, else the ingress side if a rule matched there.
  [[nodiscard]] const firewall::Decision& deciding() const noexcept {
    if (reason != base::DropReason::none) return blocked_at_egress ? out : in;
    return in.rule.valid() ? in : out;
  }
  [[nodiscard]] bool keeps_state() const noexcept {
    const auto refuses = [](const firewall::Decision& decision) {
      return decision.rule.valid() && decision.state == firewall::StateKind::kNone;
    };
    return !refuses(in) && !refuses(out) &&
           (in.state == firewall::StateKind::kKeep || out.state == firewall::StateKind::kKeep);
  }
  [[nodiscard]] firewall::LogKind log() const noexcept { return in.log > out.log ? in.log : out.log; }
};

/// Whether the packet goes on to the egress side after `in`; fills in the reason if not.
[[nodiscard]] inline bool passes_ingress(PathDecision& decision, const firewall::MatchKey& key) noexcept {
  decision.reason = firewall::drop_reason_of(decision.in, key);
  return decision.reason == base::DropReason::none;
}

/// `key` is that of the ingress side.
[[nodiscard]] inline firewall::MatchKey egress_key(firewall::MatchKey key, base::PortId egress,
                                                   const firewall::Decision& in) noexcept {
  key.way = firewall::Way::kOut;
  key.port = egress;
  key.tag = in.tag;
  return key;
}

/// One packet alone; the burst form is in admit_stage.cc.
[[nodiscard]] inline PathDecision decide_path(const firewall::Policy& policy, const firewall::MatchKey& key,
                                              base::PortId egress, const firewall::TableOverlay* overlay) noexcept {
  PathDecision decision;
  decision.in = policy.classify(key, overlay);
  if (!passes_ingress(decision, key)) return decision;
  const firewall::MatchKey out_key = egress_key(key, egress, decision.in);
  decision.out = policy.classify(out_key, overlay);
  decision.reason = firewall::drop_reason_of(decision.out, out_key);
  decision.blocked_at_egress = decision.reason != base::DropReason::none;
  return decision;
}

}  // namespace ringplane::worker
