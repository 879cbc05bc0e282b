// RulePaths: a packet is let through (or not) by a pair of rules, the one that decided on the ingress port and the one
// that decided on the egress port. One worker's distinct pairs, with what went by each: a packet of a flow touches one
// counter line, and the counters of a rule are the sum over its pairs, added up by whoever asks.
//
// One object per worker and snapshot, made by the control thread; written by the worker, read by anyone. Full: find()
// gives none, and no flow is made for the packet.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/counter.h"
#include "base/hash.h"
#include "base/ids.h"
#include "firewall/ruleset.h"

namespace ringplane::worker {

struct alignas(64) RulePath {
  base::RuleId in;           ///< none: no rule matched there, or the port is skipped
  base::RuleId out;          ///< none: as above, or never asked because `in` blocked
  bool has_options = false;  ///< one of the rules limits states or sources, or has timeouts of its own
  base::Counter packets;
  base::Counter bytes;
  base::Counter flows;        ///< live now
  base::Counter flows_total;  ///< ever made; not those adopted
};

class RulePaths {
 public:
  explicit RulePaths(std::uint32_t rule_count);

  /// The pair's id, made when new; `ruleset` is what the ids are of. Owner thread.
  [[nodiscard]] base::RulePathId find(base::RuleId in, base::RuleId out, const firewall::Ruleset& ruleset) noexcept;
  /// Sends for what find() will read: first for where the pair is noted; then, when that is there, for the pair.
  [[gnu::always_inline]] void prefetch_slot(base::RuleId in, base::RuleId out) const noexcept {
    __builtin_prefetch(&slots_[home(in, out)]);
  }
  [[gnu::always_inline]] void prefetch_pair(base::RuleId in, base::RuleId out) const noexcept {
    const std::uint32_t slot = slots_[home(in, out)];
    __builtin_prefetch(&paths_[slot == 0 ? 0 : slot - 1], 1);
  }
  [[nodiscard]] RulePath& at(base::RulePathId id) noexcept { return paths_[id.value]; }
  [[nodiscard]] const RulePath& at(base::RulePathId id) const noexcept { return paths_[id.value]; }

  /// RulePath::has_options without reading the pair: a bit of few, which stay in the cache.
  [[nodiscard]] bool has_options(base::RulePathId id) const noexcept {
    return (with_options_[id.value / 64] >> (id.value % 64) & 1) != 0;
  }

  /// Sends for the counters of a packet.
  [[gnu::always_inline]] void prefetch(base::RulePathId id) const noexcept { __builtin_prefetch(&paths_[id.value], 1); }

  /// Live flows that `rule`, which has options, let in on this worker. Owner thread.
  [[nodiscard]] std::uint32_t states_of(base::RuleId rule) const noexcept { return states_[rule.value]; }
  /// Hosts that have flows under `rule` here; kept by flow_admission.cc. Owner thread.
  [[nodiscard]] std::uint32_t& sources_of(base::RuleId rule) noexcept { return sources_[rule.value]; }
  /// A flow on this path was made, came over from an older snapshot, or ended. Owner thread.
  void flow_began(base::RulePathId id) noexcept;
  void flow_adopted(base::RulePathId id) noexcept;
  void flow_ended(base::RulePathId id) noexcept;

  /// Any thread: the pairs [0, size()) may be read.
  [[nodiscard]] std::uint32_t size() const noexcept { return size_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept;

 private:
  [[nodiscard]] std::uint32_t home(base::RuleId in, base::RuleId out) const noexcept {
    const std::uint64_t pair = (std::uint64_t{in.value} << 32) | out.value;
    return static_cast<std::uint32_t>(base::fold_multiply(pair ^ 0x9e3779b97f4a7c15ULL, 0xbf58476d1ce4e5b9ULL)) &
           slot_mask_;
  }

  std::uint32_t capacity_;
  std::uint32_t rule_count_;
  std::uint32_t slot_mask_;
  std::unique_ptr<RulePath[]> paths_;
  std::unique_ptr<std::uint64_t[]> with_options_;  // by path, a bit each
  std::unique_ptr<std::uint32_t[]> slots_;         // open addressing: path index + 1; 0: empty
  std::unique_ptr<std::uint32_t[]> states_;        // by rule
  std::unique_ptr<std::uint32_t[]> sources_;       // by rule
  std::atomic<std::uint32_t> size_{0};
};

}  // namespace ringplane::worker
