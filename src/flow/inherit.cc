// A table takes over the memory of one whose process died at any instruction. Only what a flow's record, its IPv6
// addresses and its ledger say is kept, and only if the index, as the dead process left it, knows the record by its
// key: a record that was overwritten by mistake has another key, and so does not pass. Index, wheels and free list are
// made anew, since they may have been left in the middle of a change.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "flow/flow.h"
#include "flow/flow_index.h"
#include "flow/flow_table.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

/// A process dies in the middle of one burst at most, so more flows than that in disorder mean that something has
/// written where it should not; then nothing can be trusted.
constexpr std::uint32_t kMostInDisorder = 2 * kMaxLookUp;
/// Records whose index buckets are sent for together.
constexpr std::uint32_t kBlock = 32;

bool can_be(PeerState state, std::uint8_t protocol) noexcept {
  if (state == PeerState::kNoTraffic) return true;
  const bool of_tcp = state <= PeerState::kTimeWait;
  return state <= PeerState::kMultiple && of_tcp == (protocol == wire::protocol::kTcp);
}

}  // namespace

bool FlowTable::holds_together(std::uint32_t record, Tick now) const noexcept {
  const Flow& flow = flows_[record];
  if (flow.family != wire::Family::kIpv4 && flow.family != wire::Family::kIpv6) return false;
  if (flow.state(wire::Direction::kOriginal) == PeerState::kNoTraffic) return false;  // was being made
  for (const auto side : {wire::Direction::kOriginal, wire::Direction::kReply}) {
    if (!can_be(flow.state(side), flow.protocol)) return false;
  }
  if (static_cast<std::int32_t>(flow.last_seen - now) > 0) return false;
  const wire::FlowKey key = key_of({record});
  const std::uint64_t hash = key.hash(secret_);
  if (flow.family == wire::Family::kIpv6 && flow.addresses != hash) return false;
  return index_.find(hash, [&](std::uint32_t other) noexcept { return other == record; }) == record;
}

/// Into index and wheel, with the rules' part forgotten.
void FlowTable::enter(std::uint32_t record) noexcept {
  Flow& flow = flows_[record];
  flow.generation = 0;
  flow.path = base::RulePathId{};
  flow.timeout_set = 0;
  flow.flags = static_cast<std::uint8_t>(flow.flags & ~(flow_flag::kConnectionCounted | flow_flag::kLog));
  link(record);
  size_.add(1);
}

Inherited FlowTable::inherit(Tick now) {
  Inherited found;
  found.trusted = head_->layout == kLayout && head_->capacity == capacity_ && head_->fresh <= capacity_ &&
                  head_->secret.word == secret_.word;
  const std::uint32_t fresh = found.trusted ? head_->fresh : 0;
  // Checked first, while the index is as it was left; what does not pass is marked dead.
  for (std::uint32_t first = 0; first < fresh; first += kBlock) {
    const std::uint32_t end = std::min(first + kBlock, fresh);
    for (std::uint32_t record = first; record < end; ++record) {
      if (flows_[record].has(flow_flag::kLive)) index_.prefetch(hash_of(record));
    }
    for (std::uint32_t record = first; record < end; ++record) {
      Flow& flow = flows_[record];
      if (!flow.has(flow_flag::kLive)) continue;
      if (holds_together(record, now)) {
        ++found.kept;
      } else {
        ++found.dropped;
        flow.flags = 0;
      }
    }
  }
  found.trusted = found.trusted && found.dropped <= kMostInDisorder;
  index_.clear();
  if (!found.trusted) {
    found.dropped += found.kept;
    found.kept = 0;
    head_->fresh = 0;
    return found;
  }
  for (std::uint32_t first = 0; first < fresh; first += kBlock) {
    std::array<std::uint64_t, kBlock> hashes;
    const std::uint32_t end = std::min(first + kBlock, fresh);
    for (std::uint32_t record = first; record < end; ++record) {
      if (!flows_[record].has(flow_flag::kLive)) continue;
      hashes[record - first] = hash_of(record);
      index_.prefetch(hashes[record - first]);
    }
    for (std::uint32_t record = first; record < end; ++record) {
      const bool live = flows_[record].has(flow_flag::kLive);
      if (live && index_.place(hashes[record - first], record) != FlowIndex::Placed::kFull) {
        enter(record);
        continue;
      }
      if (live) {
        --found.kept;
        ++found.dropped;
      }
      free_record(record);
    }
  }
  return found;
}

}  // namespace ringplane::flow
