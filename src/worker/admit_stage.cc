#include <array>
#include <cstddef>
#include <cstdint>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"
#include "flow/conntrack.h"
#include "wire/packet.h"
#include "worker/decide_paths.h"
#include "worker/flow_admission.h"
#include "worker/packet_burst.h"
#include "worker/path_decision.h"
#include "worker/questions.h"
#include "worker/snapshot.h"
#include "worker/stages.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

/// The hashes of the flows made in this burst, roughly: a packet whose hash is not here belongs to none of them.
class MadeHere {
 public:
  void add(std::uint64_t hash) noexcept { bits_[word_of(hash)] |= bit_of(hash); }
  [[nodiscard]] bool may_have(std::uint64_t hash) const noexcept { return (bits_[word_of(hash)] & bit_of(hash)) != 0; }

 private:
  static std::size_t word_of(std::uint64_t hash) noexcept { return (hash >> 6) % 64; }
  static std::uint64_t bit_of(std::uint64_t hash) noexcept { return std::uint64_t{1} << (hash % 64); }
  std::array<std::uint64_t, 64> bits_{};
};

/// Not asked about when there is no room for a flow: whatever the rules say of it, it does not pass.
[[nodiscard]] bool is_vain(const wire::Packet& packet, const Snapshot& snapshot) noexcept {
  constexpr std::uint8_t kOpening =
      wire::tcp_flag::kSyn | wire::tcp_flag::kAck | wire::tcp_flag::kFin | wire::tcp_flag::kRst;
  return packet.kind == wire::PacketKind::kFlow && packet.is_tcp() &&
         (packet.tcp_flags & kOpening) == wire::tcp_flag::kSyn && snapshot.syn_needs_flow(packet.key.family);
}

void refuse(PacketBurst& burst, std::uint32_t slot, WorkerTables& tables) noexcept {
  tables.flows->note_refused();
  burst.drop(slot, base::DropReason::flow_table_full);
}

void collect(PacketBurst& burst, bool has_room, WorkerTables& tables, Questions& questions) noexcept {
  questions.clear();
  for_each_slot(burst.open, [&](std::uint32_t slot) {
    const base::PortId egress = tables.snapshot->forwarding.from(burst.frames[slot].port).port;
    if (!egress.valid()) {
      burst.drop(slot, base::DropReason::no_egress);
      return;
    }
    if (!has_room && is_vain(burst.packets[slot], *tables.snapshot)) {
      refuse(burst, slot, tables);
      return;
    }
    firewall::MatchKey key = firewall::match_key_of(burst.packets[slot], burst.frames[slot].port, firewall::Way::kIn);
    key.random = static_cast<std::uint32_t>(tables.random());
    questions.add(slot, key, egress);
  });
}

[[nodiscard]] bool wants_flow(const PacketBurst& burst, std::uint32_t slot, const PathDecision& decision) noexcept {
  return decision.reason == base::DropReason::none && decision.keeps_state() &&
         flow::can_start_flow(burst.packets[slot]);
}

/// There is no room for flows: only the packets stay that need none.
void keep_flowless(PacketBurst& burst, Questions& questions, WorkerTables& tables) noexcept {
  std::uint32_t kept = 0;
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    const std::uint32_t slot = questions.slots[n];
    if (wants_flow(burst, slot, questions.decisions[n])) {
      refuse(burst, slot, tables);
      continue;
    }
    questions.slots[kept] = slot;
    questions.egress[kept] = questions.egress[n];
    questions.decisions[kept++] = questions.decisions[n];
  }
  questions.count = kept;
}

/// Records for the flows that are about to be made, and all that placing them reads.
void make_room(const PacketBurst& burst, const Questions& questions, WorkerTables& tables) noexcept {
  std::array<std::uint64_t, PacketBurst::kCapacity> hashes;
  std::size_t count = 0;
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    const std::uint32_t slot = questions.slots[n];
    if (wants_flow(burst, slot, questions.decisions[n])) hashes[count++] = burst.hashes[slot];
  }
  if (count > 0) tables.flows->make_room({hashes.data(), count}, burst.now_ns);
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
void settle(PacketBurst& burst, const Questions& questions, std::uint32_t n, WorkerTables& tables) noexcept {
  const std::uint32_t slot = questions.slots[n];
  const PathDecision& decision = questions.decisions[n];
  Outcome& outcome = burst.outcomes[slot];
  outcome.rule = decision.deciding().rule;
  outcome.path = questions.paths[n];
  outcome.log = decision.log() != firewall::LogKind::kNone;
  if (decision.reason != base::DropReason::none) {
    block(burst, slot, decision);
    return;
  }
  outcome.egress = questions.egress[n];
  if (!wants_flow(burst, slot, decision)) {
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
  Questions& questions = *tables.questions;
  // In a flood this is what most SYNs come to, before they have cost anything.
  const bool has_room = tables.flows->has_room(burst.now_ns);
  collect(burst, has_room, tables, questions);
  if (questions.count == 0) return;
  decide_paths(questions, tables);
  if (!has_room) keep_flowless(burst, questions, tables);
  find_paths(questions, tables);
  make_room(burst, questions, tables);
  MadeHere made;
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    const std::uint32_t slot = questions.slots[n];
    const wire::Packet& packet = burst.packets[slot];
    const bool has_key = packet.kind == wire::PacketKind::kFlow || packet.kind == wire::PacketKind::kIcmpError;
    if (has_key && made.may_have(burst.hashes[slot])) {
      // An earlier packet of this burst may have made the flow.
      burst.flows[slot] = tables.flows->find(packet.key, burst.hashes[slot]);
      if (burst.flows[slot].valid()) track_packet(burst, slot, tables);
      if ((burst.open >> slot & 1) == 0) continue;
    }
    settle(burst, questions, n, tables);
    if (burst.flows[slot].valid()) made.add(burst.hashes[slot]);
  }
}

}  // namespace ringplane::worker
