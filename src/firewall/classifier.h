// Classifier: the ruleset compiled, with the results of the linear evaluator and none of its walks over all rules.
//
// Most rules are *pure*: whether they match depends on the packet alone. Of the pure rules that match, the winner is
// known beforehand: the first quick one, else the last other one. So each has a fixed rank (lower wins), and the best
// matching rank is looked for. They are in merged hash tables, of each family its own, that answer for many headers at
// a time (rule_tables.h). What these leave over is grouped into tuples: same prefix lengths of both addresses, same
// number of leading bits of both ports, with or without protocol. A tuple is one key in a hash table, shared by all
// tuples of (way, family); its list of rules, by rank, is checked in full (ranges, flags, interface, tables,
// negations), so that a hash collision costs time, never correctness. Tuples are asked best rank first, until none left
// can win.
//
// Impure are `match` rules, tags, probabilities, quick anchors and all that stands inside such anchors: they are walked
// in order, up to the pure quick rule that ends the evaluation, and the results are merged by position. A `match` that
// neither tags nor logs nor ends anything is left out.
//
// Immutable after construction; any thread. Nothing on the lookup path allocates or throws.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/vector_width.h"
#include "firewall/compiled_rule.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/rule_record.h"
#include "firewall/rule_tables.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"

namespace ringplane::firewall {

class Classifier {
 public:
  /// `ruleset` must outlive the classifier and not change; at most 2^30 rules.
  explicit Classifier(const Ruleset& ruleset);

  /// `overlay`: nullptr if no table was changed at run time.
  [[nodiscard]] Decision classify(const MatchKey& key, const TableOverlay* overlay) const noexcept;
  /// decisions.size() >= block.count.
  void classify_block(const KeyBlock& block, std::span<Decision> decisions, const TableOverlay* overlay) const noexcept;

  [[nodiscard]] std::size_t memory_bytes() const noexcept;
  /// Rules that are walked one by one.
  [[nodiscard]] std::size_t impure_count() const noexcept { return impure_.size(); }
  /// Hash tables that a packet of this kind may be asked against.
  [[nodiscard]] std::size_t table_count(Way way, wire::Family family) const noexcept {
    const bool wide = family == wire::Family::kIpv6;
    return (wide ? wide_tables_.table_count() : tables_.table_count()) +
           spaces_[space_index(way, family)].tuples.size();
  }
  /// For tests: lookups by narrower vectors than the processor has.
  void use_vectors(base::VectorWidth width) noexcept { width_ = width; }

 private:
  static constexpr std::uint32_t kNoRank = 0xffffffff;
  static constexpr std::uint32_t kLastRef = 1U << 31;  // ends a list in Space::refs

  struct Tuple {
    std::uint8_t source_length = 0;
    std::uint8_t destination_length = 0;
    std::uint8_t source_port_bits = 0;
    std::uint8_t destination_port_bits = 0;
    bool with_protocol = false;
    [[nodiscard]] bool operator==(const Tuple&) const noexcept = default;
  };
  struct RankedTuple {
    Tuple tuple;
    std::uint32_t best_rank = kNoRank;
  };
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t first = kNoRank;  // into refs; kNoRank: empty slot
  };
  /// All pure rules that a packet of one way and family can meet.
  struct Space {
    std::vector<RankedTuple> tuples;  // by best_rank
    std::vector<Slot> slots;          // a power of two, or none
    std::vector<std::uint32_t> refs;  // lists of rules by rank; kLastRef ends a list
  };
  /// What is hashed: addresses as integers, left-aligned.
  struct KeyWords {
    std::uint64_t source[2] = {};
    std::uint64_t destination[2] = {};
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint8_t protocol = 0;
  };
  struct Entry {
    Tuple tuple;
    std::uint32_t hash = 0;
    std::uint32_t rank = 0;
    std::uint32_t rule = 0;
  };
  struct ImpureResult {
    std::uint32_t last_match;  // Rule::kNone: no impure pass or block rule matched
    std::uint32_t stop;        // index before which evaluation ended
    bool is_ended;             // by an impure quick rule
  };

  static std::size_t space_index(Way way, wire::Family family) noexcept {
    return static_cast<std::size_t>(way) * 2 + (family == wire::Family::kIpv6 ? 1 : 0);
  }
  [[nodiscard]] static std::uint32_t hash_of(const KeyWords& words, const Tuple& tuple) noexcept;
  [[nodiscard]] static KeyWords words_of(const MatchKey& key) noexcept;
  [[nodiscard]] static KeyWords words_of(const CompiledRule& rule) noexcept;
  [[nodiscard]] static Tuple tuple_of(const CompiledRule& rule, wire::Family family, bool exact) noexcept;

  /// What follows if a rule of the tables wins.
  struct Outcome {
    std::uint32_t rule = Rule::kNone;
    RuleVerdict verdict{};
  };
  /// By key: index into the outcomes of its family; beyond their end: no rule.
  struct Answers {
    std::array<std::uint32_t, KeyBlock::kCapacity> index;
  };

  struct Question;  // what MoreConditions are asked about

  void compile_rules();
  void build_tables();
  template <class Record>
  void fill_tables(RuleTables<Record>& tables, RuleBit family, std::vector<Outcome>& outcomes,
                   std::vector<bool>& is_in_tables) const;
  struct Limits;
  [[nodiscard]] Limits limits_of(std::uint32_t index) const noexcept;
  [[nodiscard]] HotRule record_of(const CompiledRule& rule, const Limits& limits, const HotRule*) const noexcept;
  [[nodiscard]] WideRule record_of(const CompiledRule& rule, const Limits& limits, const WideRule*) const noexcept;
  void drop_plain_rules();
  [[nodiscard]] CompiledRule compile(const Rule& rule);
  void build_space(Way way, wire::Family family);
  static void refine(std::vector<Entry>& entries, std::span<const CompiledRule> rules, wire::Family family);
  static void fill(Space& space, std::vector<Entry>& entries);
  [[nodiscard]] std::uint32_t rank_of(std::uint32_t rule) const noexcept;
  [[nodiscard]] std::uint32_t rule_of_rank(std::uint32_t rank) const noexcept {
    const auto count = static_cast<std::uint32_t>(compiled_at_.size());
    return rank < count ? rank : 2 * count - 1 - rank;
  }
  [[nodiscard]] const CompiledRule& compiled(std::uint32_t rule) const noexcept { return rules_[compiled_at_[rule]]; }
  [[nodiscard]] bool is_skipped(const MatchKey& key) const noexcept;

  [[nodiscard]] bool matches(std::uint32_t index, const MatchKey& key, TagId tag,
                             const TableOverlay* overlay) const noexcept;
  [[nodiscard]] bool matches_own(const CompiledRule& rule, const MatchKey& key,
                                 const TableOverlay* overlay) const noexcept;
  [[nodiscard]] bool address_matches(const CompiledRule& rule, bool is_source, const MatchKey& key,
                                     const TableOverlay* overlay) const noexcept;
  /// The winning pure rule with an index below `end`; Rule::kNone: none.
  [[nodiscard]] std::uint32_t best_pure(const MatchKey& key, std::uint32_t end,
                                        const TableOverlay* overlay) const noexcept;
  /// `best`, or a better rule below `end` that only the tuples hold.
  [[nodiscard]] std::uint32_t best_by_tuples(const MatchKey& key, std::uint32_t end, std::uint32_t best,
                                             const TableOverlay* overlay) const noexcept;
  /// Asks about all keys of the block, of rules below `end` only.
  void ask_tables(const KeyBlock& block, std::uint32_t end, const TableOverlay* overlay,
                  Answers& answers) const noexcept;
  [[nodiscard]] const Outcome& outcome_of(wire::Family family, std::uint32_t index) const noexcept {
    const std::vector<Outcome>& outcomes = family == wire::Family::kIpv6 ? wide_outcomes_ : outcomes_;
    return outcomes[std::min(std::size_t{index}, outcomes.size() - 1)];
  }
  /// With tuples, impure rules, skipped ports or IPv6.
  void decide_with_care(const KeyBlock& block, const Answers& answers, std::span<Decision> decisions,
                        const TableOverlay* overlay) const noexcept;
  /// The rule that decides, given the best pure one; decision gets tag and log of impure rules.
  [[nodiscard]] std::uint32_t merge_impure(const MatchKey& key, std::uint32_t winner, const TableOverlay* overlay,
                                           Decision& decision) const noexcept;
  [[nodiscard]] ImpureResult walk_impure(const MatchKey& key, std::uint32_t end, const TableOverlay* overlay,
                                         Decision& decision) const noexcept;

  const Ruleset* ruleset_;
  std::vector<Outcome> outcomes_{1};        // by index in tables_, and one more: no rule
  std::vector<Outcome> wide_outcomes_{1};   // likewise in wide_tables_
  std::vector<std::uint32_t> compiled_at_;  // by rule: place in rules_; kNoRank: the records say it all
  std::vector<CompiledRule> rules_;
  RuleTables<HotRule> tables_;        // of IPv4
  RuleTables<WideRule> wide_tables_;  // of IPv6
  base::VectorWidth width_ = base::widest_vectors();
  std::vector<std::uint64_t> port_sets_;
  std::array<Space, 4> spaces_;
  std::vector<bool> is_pure_;                // may be a candidate in a table or space
  std::vector<bool> in_tables_;              // while compiling: IPv4 packets meet it there
  std::vector<bool> in_wide_tables_;         // IPv6 packets likewise
  bool tables_say_all_ = false;              // no rule is in a tuple
  bool is_plain_ = false;                    // besides, there are no impure rules and no skipped ports
  std::vector<std::uint32_t> impure_;        // indexes in order
  std::vector<std::uint32_t> impure_after_;  // of an anchor: position in impure_ behind all that is inside it
};

}  // namespace ringplane::firewall
