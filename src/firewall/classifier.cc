#include "firewall/classifier.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/rule_changes.h"
#include "firewall/rule_index.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

/// One packet on its way through the walked rules that may match it, in order of their positions.
class CandidateWalk {
 public:
  CandidateWalk(const Ruleset& ruleset, const CompiledAnchors& anchors, const MatchKey& key,
                Decision& decision) noexcept
      : ruleset_(ruleset), anchors_(anchors), key_(key), decision_(decision) {}

  /// True: the evaluation has ended, before stop().
  bool step(std::uint32_t position, const Rule& rule) noexcept {
    if (close(position)) return true;
    // Its anchor is the innermost one that is open, or did not match.
    if (anchors_.walks(rule.parent) && (depth_ == 0 || open_[depth_ - 1].anchor != rule.parent)) return false;
    if (!probability_holds(rule, position, key_.random)) return false;
    if (rule.tagged != kNoTag && (rule.tagged == decision_.tag) == rule.tagged_negated) return false;
    if (rule.tag != kNoTag) decision_.tag = rule.tag;
    if (rule.is_anchor()) {
      open_[depth_++] = {.anchor = rule.anchor, .match_before = last_match_, .quick = rule.quick};
      return false;
    }
    if (rule.action == Action::kMatch) {
      decision_.log = std::max(decision_.log, rule.log);
    } else {
      last_match_ = position;
    }
    if (rule.quick) stop_ = position + 1;
    return rule.quick;
  }
  /// The anchors that end at or before `position`; true: one of them ends the evaluation.
  bool close(std::uint32_t position) noexcept {
    for (; depth_ > 0; --depth_) {
      const Open& last = open_[depth_ - 1];
      const std::uint32_t end = ruleset_.anchors[last.anchor].end;
      if (end > position) return false;
      if (!last.quick || last.match_before == last_match_) continue;
      stop_ = end;
      return true;
    }
    return false;
  }
  [[nodiscard]] std::uint32_t last_match() const noexcept { return last_match_; }
  [[nodiscard]] std::uint32_t stop() const noexcept { return stop_; }

 private:
  struct Open {
    std::uint32_t anchor;
    std::uint32_t match_before;
    bool quick;
  };
  const Ruleset& ruleset_;
  const CompiledAnchors& anchors_;
  const MatchKey& key_;
  Decision& decision_;
  std::array<Open, 64> open_;  // as deep as anchors nest; written before it is read
  std::size_t depth_ = 0;
  std::uint32_t last_match_ = Rule::kNone;
  std::uint32_t stop_ = 0;
};

}  // namespace

Classifier::Classifier(const Ruleset& ruleset)
    : ruleset_(&ruleset),
      index_(std::make_shared<const RuleIndex>(ruleset.rules, std::make_shared<const CompiledAnchors>(ruleset),
                                               &ruleset.tables)) {
  find_kind();
}

Classifier::Classifier(const Ruleset& ruleset, const Classifier& before, std::unique_ptr<const RuleChanges> changes)
    : ruleset_(&ruleset),
      index_(before.index_),
      changes_(std::move(changes)),
      changed_tables_(before.changed_tables_),
      width_(before.width_) {
  find_kind();
}

Classifier::Classifier(const Ruleset& ruleset, const Classifier& before, TableId changed)
    : ruleset_(&ruleset),
      index_(before.index_),
      changes_(before.changes_),
      changed_tables_(before.changed_tables_),
      width_(before.width_) {
  const bool is_known = std::ranges::find(changed_tables_, changed) != changed_tables_.end();
  if (!is_known && index_->finds_by(changed)) changed_tables_.push_back(changed);
  find_kind();
}

void Classifier::find_kind() noexcept {
  rule_count_ = static_cast<std::uint32_t>(ruleset_->rules.size());
  has_walked_ = walked_count() != 0;
  tables_say_all_ = index_->tables_say_all() && (changes_ == nullptr || changes_->added().tables_say_all());
  is_plain_ = tables_say_all_ && !has_walked_ && ruleset_->options.skip == 0;
}

std::size_t Classifier::walked_count() const noexcept {
  return index_->walked_count() + (changes_ == nullptr ? 0 : changes_->added().walked_count());
}

std::size_t Classifier::memory_bytes() const noexcept {
  return index_->memory_bytes() + (changes_ == nullptr ? 0 : changes_->memory_bytes());
}

std::size_t Classifier::table_count(Way way, wire::Family family) const noexcept {
  return index_->table_count(way, family) + (changes_ == nullptr ? 0 : changes_->added().table_count(way, family));
}

RuleIndex::Scope Classifier::own_scope(std::uint32_t end, const TableOverlay* overlay) const noexcept {
  return {.tables = {.tables = &ruleset_->tables, .overlay = overlay},
          .changed_tables = changed_tables_,
          .end = changes_ == nullptr || end == Rule::kNone ? end : changes_->own_before(end),
          .gone = changes_ == nullptr ? nullptr : changes_->gone(),
          .width = width_};
}

RuleIndex::Scope Classifier::added_scope(std::uint32_t end, const TableOverlay* overlay) const noexcept {
  return {.tables = {.tables = &ruleset_->tables, .overlay = overlay},
          .end = end == Rule::kNone ? end : changes_->added_before(end),
          .width = width_};
}

void Classifier::ask(const KeyBlock& block, std::uint32_t end, const TableOverlay* overlay,
                     Answers& answers) const noexcept {
  index_->ask_tables(block, own_scope(end, overlay), answers.own);
  if (changes_ != nullptr) changes_->added().ask_tables(block, added_scope(end, overlay), answers.added);
}

std::uint32_t Classifier::best_plain(const MatchKey& key, const Answers& answers, std::uint32_t slot, std::uint32_t end,
                                     const TableOverlay* overlay) const noexcept {
  std::uint32_t own = index_->outcome_of(key.family, answers.own.index[slot]).rule;
  if (!index_->tables_say_all()) own = index_->best_by_tuples(key, own_scope(end, overlay), own);
  if (changes_ == nullptr) return own;
  const RuleIndex& index = changes_->added();
  std::uint32_t added = index.outcome_of(key.family, answers.added.index[slot]).rule;
  if (!index.tables_say_all()) added = index.best_by_tuples(key, added_scope(end, overlay), added);
  const std::uint32_t own_position = own == Rule::kNone ? own : changes_->position_of_own(own);
  const std::uint32_t added_position = added == Rule::kNone ? added : changes_->position_of_added(added);
  if (own == Rule::kNone || added == Rule::kNone) return std::min(own_position, added_position);
  const bool own_is_better =
      rank_at(own_position, index_->is_quick(own)) < rank_at(added_position, index.is_quick(added));
  return own_is_better ? own_position : added_position;
}

Classifier::WalkResult Classifier::walk(const MatchKey& key, std::uint32_t end, const TableOverlay* overlay,
                                        Decision& decision) const noexcept {
  CandidateWalk walk(*ruleset_, *index_->anchors(), key, decision);
  RuleIndex::Candidates own;    // NOLINT(cppcoreguidelines-pro-type-member-init): written before they are read
  RuleIndex::Candidates added;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  added.count = 0;
  added.end = Rule::kNone;
  for (std::uint32_t from = 0; from < end;) {
    const std::uint32_t own_first = changes_ == nullptr ? from : changes_->own_before(from);
    index_->gather(key, own_scope(end, overlay), own_first, own);
    if (changes_ != nullptr) {
      changes_->added().gather(key, added_scope(end, overlay), changes_->added_before(from), added);
    }
    // As positions, up to where both are complete.
    const auto own_position = [&](std::uint32_t rule) {
      return changes_ == nullptr || rule == Rule::kNone ? rule : changes_->position_of_own(rule);
    };
    const auto added_position = [&](std::uint32_t rule) {
      return rule == Rule::kNone ? rule : changes_->position_of_added(rule);
    };
    const std::uint32_t complete = std::min({end, own_position(own.end), added_position(added.end)});
    for (std::uint32_t i = 0, j = 0; i < own.count || j < added.count;) {
      const std::uint32_t next_own = i < own.count ? own_position(own.rule[i]) : Rule::kNone;
      const std::uint32_t next_added = j < added.count ? added_position(added.rule[j]) : Rule::kNone;
      const std::uint32_t position = std::min(next_own, next_added);
      if (position >= complete) break;
      const Rule& rule =
          next_own < next_added ? index_->rules()[own.rule[i]] : changes_->added().rules()[added.rule[j]];
      next_own < next_added ? ++i : ++j;
      if (walk.step(position, rule)) return {walk.last_match(), walk.stop(), true};
    }
    from = complete;
  }
  if (walk.close(end)) return {walk.last_match(), walk.stop(), true};
  return {walk.last_match(), end, false};
}

std::uint32_t Classifier::merge_walked(const MatchKey& key, std::uint32_t winner, const TableOverlay* overlay,
                                       Decision& decision) const noexcept {
  const bool is_quick = winner != Rule::kNone && ruleset_->rules[winner].quick;
  const std::uint32_t end = is_quick ? winner : rule_count_;
  const WalkResult walked = walk(key, end, overlay, decision);
  // If a walked quick rule ended it first, only what stands before that counts.
  if (walked.is_ended) {
    KeyBlock block;
    block.add(key);
    Answers answers;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
    ask(block, walked.stop, overlay, answers);
    winner = best_plain(key, answers, 0, walked.stop, overlay);
  }
  if (is_quick && !walked.is_ended) return winner;
  const bool walked_is_later =
      walked.last_match != Rule::kNone && (winner == Rule::kNone || walked.last_match > winner);
  return walked_is_later ? walked.last_match : winner;
}

bool Classifier::is_skipped(const MatchKey& key) const noexcept {
  return key.port.value < base::kMaxPorts && ((ruleset_->options.skip >> key.port.value) & 1U) != 0;
}

Decision Classifier::classify(const MatchKey& key, const TableOverlay* overlay) const noexcept {
  KeyBlock block;
  block.add(key);
  Decision decision;
  classify_block(block, {&decision, 1}, overlay);
  return decision;
}

void Classifier::classify_block(const KeyBlock& block, std::span<Decision> decisions,
                                const TableOverlay* overlay) const noexcept {
  Answers answers;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  ask(block, Rule::kNone, overlay, answers);
  if (!is_plain_ || block.wide_count != 0) {
    decide_with_care(block, answers, decisions, overlay);
  } else if (changes_ != nullptr) {
    decide_among_changes(block, answers, decisions);
  } else {
    decide_plainly(block, answers, decisions);
  }
}

void Classifier::decide_plainly(const KeyBlock& block, Answers& answers, std::span<Decision> decisions) const noexcept {
  const std::span<const RuleIndex::Outcome> outcomes = index_->outcomes();
  std::array<std::uint32_t, KeyBlock::kCapacity>& index = answers.own.index;
  for (std::uint32_t i = 0; i < block.count; ++i) {
    index[i] = std::min(index[i], static_cast<std::uint32_t>(outcomes.size() - 1));
    __builtin_prefetch(&outcomes[index[i]]);
  }
  for (std::uint32_t i = 0; i < block.count; ++i) {
    const RuleIndex::Outcome& outcome = outcomes[index[i]];
    // In place: a copy would wait for the single bytes to be written.
    decisions[i] = Decision{.tag = block.tags[i]};
    apply_rule(outcome.verdict, base::RuleId{outcome.rule}, block.keys[i], decisions[i]);
  }
}

void Classifier::decide_among_changes(const KeyBlock& block, Answers& answers,
                                      std::span<Decision> decisions) const noexcept {
  const RuleIndex& added = changes_->added();
  const std::span<const RuleIndex::Outcome> own_outcomes = index_->outcomes();
  std::array<std::uint32_t, KeyBlock::kCapacity>& own = answers.own.index;
  for (std::uint32_t i = 0; i < block.count; ++i) {
    own[i] = std::min(own[i], static_cast<std::uint32_t>(own_outcomes.size() - 1));
    __builtin_prefetch(&own_outcomes[own[i]]);
  }
  for (std::uint32_t i = 0; i < block.count; ++i) {
    const RuleIndex::Outcome& own_one = own_outcomes[own[i]];
    const RuleIndex::Outcome& added_one = added.outcome_of(wire::Family::kIpv4, answers.added.index[i]);
    const std::uint32_t own_position =
        own_one.rule == Rule::kNone ? Rule::kNone : changes_->position_of_own(own_one.rule);
    const RuleIndex::Outcome* best = &own_one;
    std::uint32_t position = own_position;
    if (added_one.rule != Rule::kNone) {
      const std::uint32_t added_position = changes_->position_of_added(added_one.rule);
      const std::uint32_t own_rank =
          own_one.rule == Rule::kNone ? kNoRank : rank_at(own_position, own[i] < index_->quick_outcomes());
      if (rank_at(added_position, answers.added.index[i] < added.quick_outcomes()) < own_rank) {
        best = &added_one;
        position = added_position;
      }
    }
    decisions[i] = Decision{.tag = block.tags[i]};
    apply_rule(best->verdict, base::RuleId{position}, block.keys[i], decisions[i]);
  }
}

void Classifier::decide_with_care(const KeyBlock& block, const Answers& answers, std::span<Decision> decisions,
                                  const TableOverlay* overlay) const noexcept {
  for (std::uint32_t i = 0; i < block.count; ++i) {
    const MatchKey& key = block.keys[i];
    Decision decision{.tag = key.tag};
    if (is_skipped(key)) {
      decision.skipped = true;
    } else {
      std::uint32_t winner = best_plain(key, answers, i, Rule::kNone, overlay);
      if (has_walked_) winner = merge_walked(key, winner, overlay, decision);
      if (winner != Rule::kNone) {
        apply_rule(verdict_of(ruleset_->rules[winner]), base::RuleId{winner}, key, decision);
      }
    }
    decisions[i] = decision;
  }
}

}  // namespace ringplane::firewall
