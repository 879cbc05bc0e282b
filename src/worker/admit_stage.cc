#include <array>
#include <cstdint>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"
#include "flow/conntrack.h"
#include "wire/packet.h"
#include "worker/flow_admission.h"
#include "worker/packet_burst.h"
#include "worker/path_decision.h"
#include "worker/stages.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

static_assert(PacketBurst::kCapacity <= firewall::KeyBlock::kCapacity);

/// The packets of a burst that the rules are asked about: element n speaks of burst slot slots[n].
struct Questions {
  std::uint32_t count = 0;
  std::array<std::uint32_t, PacketBurst::kCapacity> slots;
  firewall::KeyBlock keys;
  std::array<PathDecision, PacketBurst::kCapacity> decisions;

  void add(std::uint32_t slot, const firewall::MatchKey& key) noexcept {
    slots[count] = slot;
    keys.add(key);
    decisions[count] = PathDecision{};
    ++count;
  }
};

base::PortId egress_of(const PacketBurst& burst, std::uint32_t slot, const WorkerTables& tables) noexcept {
  return tables.snapshot->forwarding.from(burst.frames[slot].port).port;
}

void collect(PacketBurst& burst, WorkerTables& tables, Questions& questions) noexcept {
  for_each_slot(burst.open, [&](std::uint32_t slot) {
    if (!egress_of(burst, slot, tables).valid()) {
      burst.drop(slot, base::DropReason::no_egress);
      return;
    }
    firewall::MatchKey key = firewall::match_key_of(burst.packets[slot], burst.frames[slot].port, firewall::Way::kIn);
    key.random = static_cast<std::uint32_t>(tables.random());
    questions.add(slot, key);
  });
}

void ask_ingress(const WorkerTables& tables, Questions& questions) noexcept {
  std::array<firewall::Decision, PacketBurst::kCapacity> answers;
  tables.policy().classify_block(questions.keys, answers, tables.overlay.get());
  for (std::uint32_t n = 0; n < questions.count; ++n) questions.decisions[n].in = answers[n];
}

void ask_egress(const PacketBurst& burst, const WorkerTables& tables, Questions& questions) noexcept {
  std::array<std::uint32_t, PacketBurst::kCapacity> asked;
  firewall::KeyBlock keys;
  std::array<firewall::Decision, PacketBurst::kCapacity> answers;
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    PathDecision& decision = questions.decisions[n];
    const firewall::MatchKey& key = questions.keys.keys[n];
    if (!passes_ingress(decision, key)) continue;
    asked[keys.count] = n;
    keys.add(egress_key(key, egress_of(burst, questions.slots[n], tables), decision.in));
  }
  tables.policy().classify_block(keys, answers, tables.overlay.get());
  for (std::uint32_t i = 0; i < keys.count; ++i) {
    PathDecision& decision = questions.decisions[asked[i]];
    decision.out = answers[i];
    decision.reason = firewall::drop_reason_of(decision.out, keys.keys[i]);
    decision.blocked_at_egress = decision.reason != base::DropReason::none;
  }
}

/// With many rules the pairs are spread over memory: all misses of the burst at once.
void send_for_paths(const WorkerTables& tables, const Questions& questions) noexcept {
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    tables.paths->prefetch_slot(questions.decisions[n].in.rule, questions.decisions[n].out.rule);
  }
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    tables.paths->prefetch_pair(questions.decisions[n].in.rule, questions.decisions[n].out.rule);
  }
}

void block(PacketBurst& burst, std::uint32_t slot, const PathDecision& decision) noexcept {
  const firewall::Decision& deciding = decision.deciding();
  burst.drop(slot, decision.reason);
  if (decision.reason != base::DropReason::rule_block || deciding.reply == firewall::Reply::kNone) return;
  Outcome& outcome = burst.outcomes[slot];
  outcome.verdict = Verdict::kReject;
  outcome.reply = deciding.reply;
  outcome.reply_code = deciding.reply_code;
}

/// Acts on what the rules said of one packet.
void settle(PacketBurst& burst, std::uint32_t slot, const PathDecision& decision, WorkerTables& tables) noexcept {
  const wire::Packet& packet = burst.packets[slot];
  Outcome& outcome = burst.outcomes[slot];
  outcome.rule = decision.deciding().rule;
  outcome.path = tables.paths->find(decision.in.rule, decision.out.rule, tables.policy().ruleset());
  outcome.log = decision.log() != firewall::LogKind::kNone;
  if (decision.reason != base::DropReason::none) {
    block(burst, slot, decision);
    return;
  }
  outcome.egress = egress_of(burst, slot, tables);
  if (!decision.keeps_state() || !flow::can_start_flow(packet)) {
    burst.pass(slot);
    return;
  }
  const base::DropReason refusal = admit_flow(burst, slot, decision, tables);
  if (refusal == base::DropReason::none) {
    burst.pass(slot);
  } else {
    burst.drop(slot, refusal);
  }
}

}  // namespace

void admit_burst(PacketBurst& burst, WorkerTables& tables) noexcept {
  if (burst.open == 0) return;
  Questions questions;
  collect(burst, tables, questions);
  ask_ingress(tables, questions);
  ask_egress(burst, tables, questions);
  send_for_paths(tables, questions);
  bool made_flows = false;
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    const std::uint32_t slot = questions.slots[n];
    const wire::Packet& packet = burst.packets[slot];
    const bool has_key = packet.kind == wire::PacketKind::kFlow || packet.kind == wire::PacketKind::kIcmpError;
    if (made_flows && has_key) {
      // An earlier packet of this burst may have made the flow.
      burst.flows[slot] = tables.flows->find(packet.key, burst.hashes[slot]);
      if (burst.flows[slot].valid()) track_packet(burst, slot, tables);
      if ((burst.open >> slot & 1) == 0) continue;
    }
    settle(burst, slot, questions.decisions[n], tables);
    made_flows = made_flows || burst.flows[slot].valid();
  }
}

}  // namespace ringplane::worker
