// Questions: the packets of a burst that the rules are asked about, laid out for passes over all of them: element n of
// every array speaks of burst slot slots[n]. One object per worker, used by one stage at a time and never cleared: only
// what lies below `count` means anything.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "worker/packet_burst.h"
#include "worker/path_decision.h"

namespace ringplane::worker {

struct Questions {
  static constexpr std::size_t kCapacity = PacketBurst::kCapacity;
  static_assert(kCapacity <= firewall::KeyBlock::kCapacity);

  std::uint32_t count = 0;
  std::array<std::uint32_t, kCapacity> slots;
  std::array<base::PortId, kCapacity> egress;
  firewall::KeyBlock keys;
  std::array<PathDecision, kCapacity> decisions;
  std::array<base::RulePathId, kCapacity> paths;

  // What goes to the classifier and comes back.
  std::array<std::uint32_t, kCapacity> asked;
  firewall::KeyBlock asked_keys;
  std::array<firewall::Decision, kCapacity> answers;

  void clear() noexcept {
    count = 0;
    keys.clear();
  }
  void add(std::uint32_t slot, const firewall::MatchKey& key, base::PortId egress_port) noexcept {
    slots[count] = slot;
    egress[count] = egress_port;
    keys.add(key);
    ++count;
  }
};

}  // namespace ringplane::worker
