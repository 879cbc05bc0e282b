// RuleIndex: which rules of a list match a packet, found without walking the list.
//
// Most rules are *plain*: whether they match depends on the packet alone. Of the plain rules that match, the winner is
// known beforehand: the first quick one, else the last other one. So each has a fixed rank (lower wins), and the best
// matching rank is looked for: in merged hash tables that answer for many headers at a time (rule_tables.h), and, of
// rules that crowd those, in tuples (rule_tuples.h).
//
// *Walked* are rules whose match or effect depends on what happened before: tags, probabilities, `match` rules that
// log, quick anchors and all that stands inside such anchors. Of these the candidates are gathered, those that match as
// far as the packet alone decides, in order; who asks walks them. A `match` that neither tags nor logs nor ends
// anything is left out.
//
// An index never changes and owns what it needs of the rules, so policies may share it. The contents of tables are an
// argument, since they change more often. Any thread. Nothing on the lookup path allocates or throws.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/piece_list.h"
#include "base/vector_width.h"
#include "firewall/compiled_rule.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/rule_record.h"
#include "firewall/rule_tables.h"
#include "firewall/rule_tuples.h"
#include "firewall/ruleset.h"
#include "firewall/table_finder.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

/// The anchors of a ruleset, by number.
struct CompiledAnchors {
  std::vector<CompiledRule> conditions;
  std::vector<bool> is_walked;

  explicit CompiledAnchors(const Ruleset& ruleset);
  [[nodiscard]] bool walks(std::uint32_t anchor) const noexcept { return anchor != Rule::kNone && is_walked[anchor]; }
};

class RuleIndex {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  /// Rules that do not count any more: a bit for each rule, and for each outcome of both families.
  struct Gone {
    std::vector<std::uint64_t> rules;
    std::vector<std::uint64_t> outcomes;
    std::vector<std::uint64_t> wide_outcomes;
  };
  /// What a question depends on besides rules and packet.
  struct Scope {
    TableContents tables{};
    std::span<const TableId> changed_tables{};  ///< that have other contents now than when the index was made
    std::uint32_t end = kNone;                  ///< only rules below this count
    const Gone* gone = nullptr;                 ///< of this index; nullptr: all rules count
    base::VectorWidth width = base::VectorWidth::kPlain;

    [[nodiscard]] bool has(std::uint32_t rule) const noexcept {
      return rule < end && (gone == nullptr || ((gone->rules[rule / 64] >> (rule % 64)) & 1U) == 0);
    }
  };
  /// What follows if a plain rule wins.
  struct Outcome {
    std::uint32_t rule = Rule::kNone;
    RuleVerdict verdict{};
  };
  /// By key: index into the outcomes of its family; beyond their end: no rule.
  struct Answers {
    std::array<std::uint32_t, KeyBlock::kCapacity> index;
  };
  /// Walked rules that may match, ascending: all there are from where was asked up to `end`.
  struct Candidates {
    std::uint32_t count = 0;
    std::uint32_t end = kNone;  ///< kNone: there are no more
    std::array<std::uint32_t, 256> rule;
  };

  /// At most 2^30 rules. `tables`, nullptr or those that the rules name: looked into, so that rules of many tables are
  /// found by the tables that hold an address; not kept.
  RuleIndex(base::PieceList<Rule> rules, std::shared_ptr<const CompiledAnchors> anchors, const TableList* tables);

  /// For Scope: the index without these rules, ascending.
  [[nodiscard]] Gone without(std::span<const std::uint32_t> rules) const;
  [[nodiscard]] const base::PieceList<Rule>& rules() const noexcept { return list_; }
  [[nodiscard]] const std::shared_ptr<const CompiledAnchors>& anchors() const noexcept { return anchors_; }
  [[nodiscard]] std::size_t rule_count() const noexcept { return compiled_at_.size(); }
  [[nodiscard]] std::size_t walked_count() const noexcept { return walked_.size(); }
  /// Plain rules are all in the tables: best_by_tuples() has nothing to add.
  [[nodiscard]] bool tables_say_all() const noexcept { return tables_say_all_; }

  /// The best plain rule of the tables for each key of the block.
  void ask_tables(const KeyBlock& block, const Scope& scope, Answers& answers) const noexcept;
  /// `best` (a rule or kNone), or a better one that only the tuples hold.
  [[nodiscard]] std::uint32_t best_by_tuples(const MatchKey& key, const Scope& scope,
                                             std::uint32_t best) const noexcept;
  [[nodiscard]] const Outcome& outcome_of(wire::Family family, std::uint32_t answer) const noexcept {
    const std::vector<Outcome>& outcomes = family == wire::Family::kIpv6 ? wide_outcomes_ : outcomes_;
    return outcomes[std::min(std::size_t{answer}, outcomes.size() - 1)];
  }
  /// Of IPv4; the last one is no rule.
  [[nodiscard]] std::span<const Outcome> outcomes() const noexcept { return outcomes_; }
  /// Those below are of quick rules.
  [[nodiscard]] std::uint32_t quick_outcomes() const noexcept { return quick_outcomes_; }
  [[nodiscard]] bool is_quick(std::uint32_t rule) const noexcept { return list_[rule].quick; }
  /// Walked rules from `first` on.
  void gather(const MatchKey& key, const Scope& scope, std::uint32_t first, Candidates& candidates) const noexcept;

  /// Rules are found by the addresses that the table holds; if these change, it belongs into Scope::changed_tables.
  [[nodiscard]] bool finds_by(TableId table) const noexcept { return finder_.has(table); }

  [[nodiscard]] std::size_t memory_bytes() const noexcept;
  /// Hash tables that a packet of this kind may be asked against.
  [[nodiscard]] std::size_t table_count(Way way, wire::Family family) const noexcept;

 private:
  /// With fewer walked rules than this, each is looked at.
  static constexpr std::size_t kFewWalked = 24;
  static constexpr std::uint32_t kNoPlace = 0xffffffff;

  struct Question;  // what MoreConditions are asked about
  struct Limits;

  static std::size_t space_of(Way way, wire::Family family) noexcept {
    return static_cast<std::size_t>(way) * 2 + (family == wire::Family::kIpv6 ? 1 : 0);
  }
  void compile_rules();
  template <class Record>
  void fill_tables(RuleTables<Record>& tables, RuleBit family, std::vector<Outcome>& outcomes,
                   std::vector<bool>& is_in_tables) const;
  [[nodiscard]] Limits limits_of(const CompiledRule& rule) const noexcept;
  [[nodiscard]] HotRule record_of(const CompiledRule& rule, const Limits& limits, const HotRule*) const noexcept;
  [[nodiscard]] WideRule record_of(const CompiledRule& rule, const Limits& limits, const WideRule*) const noexcept;
  void build_tuples(Way way, wire::Family family, bool by_table);
  [[nodiscard]] bool leaves_to_tuples(std::uint32_t rule, wire::Family family) const noexcept;
  void make_finder(const TableList& tables);
  void drop_plain_rules();

  [[nodiscard]] std::uint32_t rank_of(std::uint32_t rule) const noexcept {
    return rank_of(rule, (compiled(rule).bits & kQuick) != 0);
  }
  [[nodiscard]] std::uint32_t rank_of(std::uint32_t rule, bool quick) const noexcept {
    const auto count = static_cast<std::uint32_t>(compiled_at_.size());
    return quick ? rule : count + (count - 1 - rule);
  }
  [[nodiscard]] std::uint32_t rule_of_rank(std::uint32_t rank) const noexcept {
    const auto count = static_cast<std::uint32_t>(compiled_at_.size());
    return rank < count ? rank : 2 * count - 1 - rank;
  }
  [[nodiscard]] const CompiledRule& compiled(std::uint32_t rule) const noexcept { return rules_[compiled_at_[rule]]; }
  /// Its own conditions and those of the anchors that it stands in, but for what a walk finds out.
  [[nodiscard]] bool meets(std::uint32_t rule, const MatchKey& key, const TableContents& tables) const noexcept;
  template <class Wants, class Visit>
  void for_each_list(const RuleTuples& tuples, const MatchKey& key, const Scope& scope, Wants&& wants,
                     Visit&& visit) const noexcept;

  base::PieceList<Rule> list_;
  std::shared_ptr<const CompiledAnchors> anchors_;
  std::vector<Outcome> outcomes_{1};       // by index in tables_, and one more: no rule
  std::vector<Outcome> wide_outcomes_{1};  // likewise in wide_tables_
  std::uint32_t quick_outcomes_ = 0;
  std::vector<std::uint32_t> compiled_at_;  // by rule: place in rules_; kNoPlace: the records say it all
  std::vector<CompiledRule> rules_;
  RuleTables<HotRule> tables_;        // of IPv4
  RuleTables<WideRule> wide_tables_;  // of IPv6
  std::array<RuleTuples, 4> plain_tuples_;
  std::array<RuleTuples, 4> walked_tuples_;
  TableFinder finder_;
  std::vector<bool> is_plain_;        // while compiling: may be a candidate in a table or tuple
  std::vector<bool> in_tables_;       // likewise: IPv4 packets meet it there
  std::vector<bool> in_wide_tables_;  // likewise IPv6 packets
  bool tables_say_all_ = false;
  std::vector<std::uint32_t> walked_;  // ascending
};

}  // namespace ringplane::firewall
