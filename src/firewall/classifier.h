// Classifier: the ruleset compiled, with the results of the linear evaluator and none of its walks over all rules.
//
// An index (rule_index.h) finds the best plain rule, and the rules that must be walked in order since their effect
// depends on what was before. The walk goes up to the plain quick rule that ends the evaluation, and the results are
// merged by position.
//
// A version of the ruleset in which a few rules are others is not compiled anew: it asks the index it was first
// compiled to, without the rules that are gone, and a small one of the rules that are new, and takes the better by
// position. A version with other contents of tables shares everything.
//
// Immutable after construction; any thread. Nothing on the lookup path allocates or throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/vector_width.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/rule_changes.h"
#include "firewall/rule_index.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

class Classifier {
 public:
  /// `ruleset` must outlive the classifier and not change; at most 2^30 rules.
  explicit Classifier(const Ruleset& ruleset);
  /// Of a version of the ruleset that `before` was made of: other rules, of which RuleChanges::fit() says that they may
  /// be few enough. Costs what there are changes since the whole was compiled.
  Classifier(const Ruleset& ruleset, const Classifier& before, std::unique_ptr<const RuleChanges> changes);
  /// Of a version in which only this table has other contents.
  Classifier(const Ruleset& ruleset, const Classifier& before, TableId changed);

  /// `overlay`: nullptr if no table was changed at run time.
  [[nodiscard]] Decision classify(const MatchKey& key, const TableOverlay* overlay) const noexcept;
  /// decisions.size() >= block.count.
  void classify_block(const KeyBlock& block, std::span<Decision> decisions, const TableOverlay* overlay) const noexcept;

  /// Of what was compiled as a whole.
  [[nodiscard]] const RuleIndex& index() const noexcept { return *index_; }
  /// nullptr: the rules are those of index().
  [[nodiscard]] const RuleChanges* changes() const noexcept { return changes_.get(); }
  /// Those that have other contents than when index() was made, which finds rules by them.
  [[nodiscard]] std::span<const TableId> changed_tables() const noexcept { return changed_tables_; }

  /// What is shared with other versions is counted too.
  [[nodiscard]] std::size_t memory_bytes() const noexcept;
  /// Rules that are walked one by one where a packet may match them.
  [[nodiscard]] std::size_t walked_count() const noexcept;
  /// Hash tables that a packet of this kind may be asked against.
  [[nodiscard]] std::size_t table_count(Way way, wire::Family family) const noexcept;
  /// For tests: lookups by narrower vectors than the processor has.
  void use_vectors(base::VectorWidth width) noexcept { width_ = width; }

 private:
  static constexpr std::uint32_t kNoRank = 0xffffffff;

  struct WalkResult {
    std::uint32_t last_match;  // Rule::kNone: no walked pass or block rule matched
    std::uint32_t stop;        // position before which evaluation ended
    bool is_ended;             // by a walked quick rule
  };
  /// The best plain rules of both indexes for each key of a block.
  struct Answers {
    RuleIndex::Answers own;
    RuleIndex::Answers added;
  };

  void find_kind() noexcept;
  [[nodiscard]] bool is_skipped(const MatchKey& key) const noexcept;
  /// Of the index, below position `end`.
  [[nodiscard]] RuleIndex::Scope own_scope(std::uint32_t end, const TableOverlay* overlay) const noexcept;
  /// Of the rules that are new; there are some.
  [[nodiscard]] RuleIndex::Scope added_scope(std::uint32_t end, const TableOverlay* overlay) const noexcept;
  void ask(const KeyBlock& block, std::uint32_t end, const TableOverlay* overlay, Answers& answers) const noexcept;
  /// Lower is better, over both indexes.
  [[nodiscard]] std::uint32_t rank_at(std::uint32_t position, bool quick) const noexcept {
    return quick ? position : 2 * rule_count_ - 1 - position;
  }
  /// The position of the best plain rule for one of the keys that were asked about; Rule::kNone: none.
  [[nodiscard]] std::uint32_t best_plain(const MatchKey& key, const Answers& answers, std::uint32_t slot,
                                         std::uint32_t end, const TableOverlay* overlay) const noexcept;
  void decide_plainly(const KeyBlock& block, Answers& answers, std::span<Decision> decisions) const noexcept;
  void decide_among_changes(const KeyBlock& block, Answers& answers, std::span<Decision> decisions) const noexcept;
  /// With tuples, walked rules, skipped ports or IPv6.
  void decide_with_care(const KeyBlock& block, const Answers& answers, std::span<Decision> decisions,
                        const TableOverlay* overlay) const noexcept;
  /// The position of the rule that decides, given that of the best plain one; decision gets tag and log of walked
  /// rules.
  [[nodiscard]] std::uint32_t merge_walked(const MatchKey& key, std::uint32_t winner, const TableOverlay* overlay,
                                           Decision& decision) const noexcept;
  [[nodiscard]] WalkResult walk(const MatchKey& key, std::uint32_t end, const TableOverlay* overlay,
                                Decision& decision) const noexcept;

  const Ruleset* ruleset_;
  std::shared_ptr<const RuleIndex> index_;
  std::shared_ptr<const RuleChanges> changes_;
  std::vector<TableId> changed_tables_;
  std::uint32_t rule_count_ = 0;
  base::VectorWidth width_ = base::widest_vectors();
  bool has_walked_ = false;
  bool tables_say_all_ = false;  // no rule is in a tuple
  bool is_plain_ = false;        // besides, there are no walked rules and no skipped ports
};

}  // namespace ringplane::firewall
