#include "firewall/rule_changes.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/piece_list.h"
#include "firewall/rule_index.h"
#include "firewall/ruleset.h"

namespace ringplane::firewall {

std::unique_ptr<const RuleChanges> RuleChanges::fit(const base::PieceList<Rule>& now, const RuleIndex& index) {
  if (index.rules().pieces().size() != 1) return nullptr;
  const auto& storage = index.rules().pieces().front().storage;
  std::vector<Rule> added;
  std::size_t stretches = 0;
  for (const auto& piece : now.pieces()) {
    if (piece.storage == storage) {
      if (++stretches > kMaxStretches) return nullptr;
      continue;
    }
    if (added.size() + piece.count > kMaxAdded) return nullptr;
    for (std::size_t i = 0; i < piece.count; ++i) added.push_back(piece.at(piece.begin + i));
  }
  if (stretches == 0) return nullptr;  // nothing of it is left
  return std::unique_ptr<const RuleChanges>(new RuleChanges(now, index, base::PieceList<Rule>(std::move(added))));
}

RuleChanges::RuleChanges(const base::PieceList<Rule>& now, const RuleIndex& index, base::PieceList<Rule> added)
    : added_(std::move(added), index.anchors(), nullptr) {
  const auto& all = index.rules().pieces().front();
  std::uint32_t next = 0;  // of the index
  std::vector<std::uint32_t> gone;
  const auto go = [&](std::uint32_t end) {
    for (; next < end; ++next) gone.push_back(next);
  };
  for (const auto& piece : now.pieces()) {
    const auto position = static_cast<std::uint32_t>(piece.begin);
    const auto count = static_cast<std::uint32_t>(piece.count);
    if (piece.storage != all.storage) {
      for (std::uint32_t i = 0; i < count; ++i) added_positions_.push_back(position + i);
      continue;
    }
    const auto first = static_cast<std::uint32_t>(piece.first - all.first);
    go(first);
    stretches_.push_back({.first = first, .position = position, .count = count});
    next = first + count;
  }
  go(static_cast<std::uint32_t>(index.rule_count()));
  gone_count_ = gone.size();
  if (!gone.empty()) gone_ = index.without(gone);
}

std::uint32_t RuleChanges::own_before(std::uint32_t position) const noexcept {
  std::uint32_t before = 0;
  for (const Stretch& stretch : stretches_) {
    if (stretch.position >= position) break;
    before = stretch.first + std::min(stretch.count, position - stretch.position);
  }
  return before;
}

std::size_t RuleChanges::memory_bytes() const noexcept {
  return added_.memory_bytes() + added_positions_.capacity() * sizeof(std::uint32_t) +
         stretches_.capacity() * sizeof(Stretch) +
         (gone_.rules.capacity() + gone_.outcomes.capacity() + gone_.wide_outcomes.capacity()) * sizeof(std::uint64_t);
}

}  // namespace ringplane::firewall
