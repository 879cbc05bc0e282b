// RuleChanges: what has changed in a list of rules since it was compiled to an index: which of its rules are gone,
// where the others stand now, and a small index of the rules that are new. Immutable; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/piece_list.h"
#include "firewall/rule_index.h"
#include "firewall/ruleset.h"

namespace ringplane::firewall {

class RuleChanges {
 public:
  /// New rules, and stretches of old ones: with more of either a change would cost too much, and so would each lookup.
  static constexpr std::size_t kMaxAdded = 256;
  static constexpr std::size_t kMaxStretches = 512;

  /// What `now`, a version of the rules of `index`, differs in; nullptr if it differs too much (or `index` was not made
  /// of one piece): then it is to be compiled as a whole.
  [[nodiscard]] static std::unique_ptr<const RuleChanges> fit(const base::PieceList<Rule>& now, const RuleIndex& index);

  /// The rules that are new, in order.
  [[nodiscard]] const RuleIndex& added() const noexcept { return added_; }
  [[nodiscard]] std::uint32_t position_of_added(std::uint32_t rule) const noexcept { return added_positions_[rule]; }
  /// The number of new rules before `position`.
  [[nodiscard]] std::uint32_t added_before(std::uint32_t position) const noexcept {
    const auto found = std::ranges::lower_bound(added_positions_, position);
    return static_cast<std::uint32_t>(found - added_positions_.begin());
  }

  /// Rules of the index; nullptr: none.
  [[nodiscard]] const RuleIndex::Gone* gone() const noexcept { return gone_count_ == 0 ? nullptr : &gone_; }
  /// Where a rule of the index that is not gone stands now.
  [[nodiscard]] std::uint32_t position_of_own(std::uint32_t rule) const noexcept {
    // Without jumps: which stretch a rule is in cannot be guessed.
    const Stretch* at = stretches_.data();
    for (std::size_t left = stretches_.size(); left > 1;) {
      const std::size_t half = left / 2;
      at += at[half].first <= rule ? half : 0;
      left -= half;
    }
    return at->position + (rule - at->first);
  }
  /// The index below which rules of the index stand before `position`.
  [[nodiscard]] std::uint32_t own_before(std::uint32_t position) const noexcept;

  /// Rules that came or went; how far off the index is.
  [[nodiscard]] std::size_t count() const noexcept { return added_positions_.size() + gone_count_; }
  [[nodiscard]] bool is_half_full() const noexcept {
    return added_positions_.size() * 2 > kMaxAdded || stretches_.size() * 2 > kMaxStretches;
  }
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

 private:
  /// Rules of the index from `first` on stand at `position` and behind.
  struct Stretch {
    std::uint32_t first;
    std::uint32_t position;
    std::uint32_t count;
  };
  RuleChanges(const base::PieceList<Rule>& now, const RuleIndex& index, base::PieceList<Rule> added);

  RuleIndex added_;
  std::vector<std::uint32_t> added_positions_;
  std::vector<Stretch> stretches_;  // by both numbers
  RuleIndex::Gone gone_;
  std::size_t gone_count_ = 0;
};

}  // namespace ringplane::firewall
