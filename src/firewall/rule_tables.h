// RuleTables: the best of many rules of one family for many headers at a time, by merged hash tables.
//
// Rules are grouped by shape: which bits of addresses, ports and protocol they fix. Shapes are merged, to what both
// fix, as long as few rules share a key; that leaves a handful of tables, asked in the order of their best rules. For a
// block of headers and a table: hash all, throw most away by a filter of two bits a key, fetch the 16-slot buckets of
// the rest, compare tags of all slots at once, fetch the records of those that agree and check them in full. Headers
// whose best rule beats all that is left in the tables ahead drop out, and the block closes up behind them. A wrong tag
// or filter bit costs time, never correctness.
//
// Immutable after build(); any thread. Nothing on the lookup path allocates or throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/vector_width.h"
#include "firewall/rule_record.h"

namespace ringplane::firewall {

/// Answers for rules with conditions beyond their record: whether rule `index` matches header `slot` of the KeyBlock in
/// full. Rules that are `gone` match nothing.
struct MoreConditions {
  const std::uint64_t* gone = nullptr;  ///< a bit a rule, by index; nullptr: none is
  bool always = false;                  ///< ask for every rule, not only for those that want more
  const void* context = nullptr;
  bool (*hold)(const void* context, std::uint32_t index, std::uint32_t slot) noexcept = nullptr;
};

struct RuleProbe;

template <class Rule>
class RuleTables {
 public:
  static constexpr unsigned kWords = Rule::kWords;
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::uint32_t kMaxRules = (1U << 20) - 1;

  /// Takes the rules in, best first, at most kMaxRules; those that crowd one key too much are left out and returned, by
  /// index and ascending.
  std::vector<std::uint32_t> build(std::vector<Rule> rules);

  /// For each header of the block, best[slot] is the index of the best rule that matches it; what block.best says
  /// (kNone: nothing) if there is none below. Uses the block up.
  void lookup(HeaderBlock<kWords>& block, const MoreConditions& more, base::VectorWidth width,
              std::span<std::uint32_t> best) const noexcept;

  [[nodiscard]] bool empty() const noexcept { return tables_.empty(); }
  [[nodiscard]] std::size_t table_count() const noexcept { return tables_.size(); }
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

 private:
  static constexpr std::uint32_t kSlots = 16;
  struct alignas(64) Bucket {
    std::array<std::uint32_t, kSlots> slot;  // tag << 20 | index of the rule; kFree
  };
  struct Table {
    Shape<kWords> shape{};
    std::uint32_t best = kNone;  // index of the best rule in it
    std::uint32_t filter_shift = 31;
    std::size_t first_word = 0;
    std::size_t first_bucket = 0;
    std::uint32_t buckets = 0;
  };
  void add_table(const Shape<kWords>& shape, std::span<const std::uint32_t> members,
                 std::vector<std::uint32_t>& crowded);
  /// False: its chain of buckets is full.
  [[nodiscard]] bool put(const Table& table, std::uint32_t hash, std::uint32_t rule) noexcept;
  /// Checks the rules that the probe has hit in full.
  template <bool kSomeAreGone>
  void check(HeaderBlock<kWords>& block, const MoreConditions& more, const RuleProbe& probe) const noexcept;

  /// More than the second-level cache holds: it pays to send for a cache line before it is looked at.
  bool is_large_ = false;
  std::vector<Rule> rules_;    // best first
  std::vector<Table> tables_;  // by `best`
  std::vector<std::uint32_t> filter_;
  std::vector<Bucket> buckets_;
};

extern template class RuleTables<HotRule>;
extern template class RuleTables<WideRule>;

}  // namespace ringplane::firewall
