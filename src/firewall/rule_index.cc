#include "firewall/rule_index.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "firewall/compiled_rule.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/rule_filter.h"
#include "firewall/rule_record.h"
#include "firewall/rule_tables.h"
#include "firewall/rule_tuples.h"
#include "firewall/ruleset.h"
#include "firewall/table_finder.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

/// The IPv4 headers of a block that has others too, all open.
void open_narrow(const KeyBlock& from, HeaderBlock<1>& to) noexcept {
  std::uint32_t next_wide = 0;
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < from.count; ++i) {
    if (next_wide < from.wide_count && from.wide_slots[next_wide] == i) {
      ++next_wide;
      continue;
    }
    const KeyRow& row = from.rows[i];
    to.source[0][count] = row.source;
    to.destination[0][count] = row.destination;
    to.ports[count] = row.ports;
    to.traits[count] = row.traits;
    to.slot[count] = i;
    to.best[count++] = RuleTables<HotRule>::kNone;
  }
  to.count = count;
}

/// The IPv6 headers of a block, all open.
void open_wide(const KeyBlock& from, HeaderBlock<4>& to) noexcept {
  to.count = from.wide_count;
  for (std::uint32_t n = 0; n < from.wide_count; ++n) {
    const std::uint32_t i = from.wide_slots[n];
    const MatchKey& key = from.keys[i];
    for (unsigned word = 0; word < 4; ++word) {
      to.source[word][n] = load_be32(&key.source.bytes[std::size_t{word} * 4]);
      to.destination[word][n] = load_be32(&key.destination.bytes[std::size_t{word} * 4]);
    }
    to.ports[n] = from.rows[i].ports;
    to.traits[n] = from.rows[i].traits;
    to.slot[n] = i;
    to.best[n] = RuleTables<WideRule>::kNone;
  }
}

/// Keeps the lowest rules of those that are offered.
class Lowest {
 public:
  explicit Lowest(RuleIndex::Candidates& kept) noexcept : kept_(kept) {
    kept_.count = 0;
    kept_.end = RuleIndex::kNone;
  }
  [[nodiscard]] bool takes(std::uint32_t rule) const noexcept { return rule < kept_.end; }
  /// takes(rule).
  void add(std::uint32_t rule) noexcept {
    if (kept_.count == kept_.rule.size()) {
      kept_.count = static_cast<std::uint32_t>(kept_.rule.size() / 2);
      const auto middle = kept_.rule.begin() + kept_.count;
      std::ranges::nth_element(kept_.rule, middle);
      kept_.end = *middle;
      if (rule >= kept_.end) return;
    }
    kept_.rule[kept_.count++] = rule;
  }
  void sort() noexcept { std::ranges::sort(std::span(kept_.rule).first(kept_.count)); }

 private:
  RuleIndex::Candidates& kept_;
};

}  // namespace

struct RuleIndex::Question {
  const RuleIndex* index;
  std::span<const Outcome> outcomes;  // of the family that is asked about
  const KeyBlock* block;
  const Scope* scope;

  static bool holds(const void* context, std::uint32_t index, std::uint32_t slot) noexcept {
    const auto& self = *static_cast<const Question*>(context);
    const std::uint32_t rule = self.outcomes[index].rule;
    return self.scope->has(rule) && (self.index->compiled_at_[rule] == kNoPlace ||
                                     self.index->meets(rule, self.block->keys[slot], self.scope->tables));
  }
};

void RuleIndex::ask_tables(const KeyBlock& block, const Scope& scope, Answers& answers) const noexcept {
  std::ranges::fill(std::span(answers.index).first(block.count), kNone);
  Question question{.index = this, .outcomes = outcomes_, .block = &block, .scope = &scope};
  MoreConditions more{.gone = scope.gone == nullptr ? nullptr : scope.gone->outcomes.data(),
                      .always = scope.end < rule_count(),
                      .context = &question,
                      .hold = &Question::holds};
  if (block.wide_count < block.count && !tables_.empty()) {
    HeaderBlock<1> open;
    open.rows = block.rows.data();
    open.count = block.count;
    if (block.wide_count == 0) {
      rule_filter<1>(scope.width).open(open);
    } else {
      open_narrow(block, open);
    }
    tables_.lookup(open, more, scope.width, answers.index);
  }
  if (block.wide_count != 0 && !wide_tables_.empty()) {
    HeaderBlock<4> open;
    open_wide(block, open);
    question.outcomes = wide_outcomes_;
    if (scope.gone != nullptr) more.gone = scope.gone->wide_outcomes.data();
    wide_tables_.lookup(open, more, scope.width, answers.index);
  }
}

bool RuleIndex::meets(std::uint32_t rule, const MatchKey& key, const TableContents& tables) const noexcept {
  const CompiledRule& own = compiled(rule);
  if (!matches(own, key, tables)) return false;
  for (std::uint32_t anchor = own.parent; anchor != Rule::kNone; anchor = anchors_->conditions[anchor].parent) {
    if (!matches(anchors_->conditions[anchor], key, tables)) return false;
  }
  return true;
}

template <class Wants, class Visit>
void RuleIndex::for_each_list(const RuleTuples& tuples, const MatchKey& key, const Scope& scope, Wants&& wants,
                              Visit&& visit) const noexcept {
  // Written before they are read.
  TableFinder::Found sources;       // NOLINT(cppcoreguidelines-pro-type-member-init)
  TableFinder::Found destinations;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const auto holders = [&](bool asked, const wire::IpAddress& address, TableFinder::Found& found) {
    if (!asked) return std::span<const TableId>();
    return finder_.find(key.family, address, scope.tables.overlay, scope.changed_tables, found);
  };
  tuples.for_each_list(RuleTuples::words_of(key), holders(tuples.asks_source_tables(), key.source, sources),
                       holders(tuples.asks_destination_tables(), key.destination, destinations), wants, visit);
}

std::uint32_t RuleIndex::best_by_tuples(const MatchKey& key, const Scope& scope, std::uint32_t best) const noexcept {
  const RuleTuples& tuples = plain_tuples_[space_of(key.way, key.family)];
  if (tuples.empty()) return best;
  std::uint32_t best_rank = best == kNone ? kNone : rank_of(best, list_[best].quick);
  for_each_list(
      tuples, key, scope, [&best_rank](std::uint32_t rank) { return rank < best_rank; },
      [&](std::span<const std::uint32_t> list) {
        for (const std::uint32_t rule : list) {
          const std::uint32_t rank = rank_of(rule);
          if (rank >= best_rank) return;
          if (!scope.has(rule) || !meets(rule, key, scope.tables)) continue;
          best = rule;
          best_rank = rank;
          return;
        }
      });
  return best;
}

void RuleIndex::gather(const MatchKey& key, const Scope& scope, std::uint32_t first,
                       Candidates& candidates) const noexcept {
  Lowest lowest(candidates);
  const auto offer = [&](std::span<const std::uint32_t> list) {
    for (auto at = std::ranges::lower_bound(list, first); at != list.end(); ++at) {
      if (!lowest.takes(*at) || *at >= scope.end) return;
      if (scope.has(*at) && meets(*at, key, scope.tables)) lowest.add(*at);
    }
  };
  if (walked_.size() < kFewWalked) {
    offer(walked_);
  } else {
    for_each_list(
        walked_tuples_[space_of(key.way, key.family)], key, scope,
        [&](std::uint32_t rule) { return lowest.takes(rule) && rule < scope.end; }, offer);
  }
  lowest.sort();
}

std::size_t RuleIndex::table_count(Way way, wire::Family family) const noexcept {
  const bool wide = family == wire::Family::kIpv6;
  return (wide ? wide_tables_.table_count() : tables_.table_count()) +
         plain_tuples_[space_of(way, family)].tuple_count() + walked_tuples_[space_of(way, family)].tuple_count();
}

std::size_t RuleIndex::memory_bytes() const noexcept {
  std::size_t bytes = tables_.memory_bytes() + wide_tables_.memory_bytes() + finder_.memory_bytes() +
                      (outcomes_.capacity() + wide_outcomes_.capacity()) * sizeof(Outcome) +
                      (compiled_at_.capacity() + walked_.capacity()) * sizeof(std::uint32_t) +
                      rules_.capacity() * sizeof(CompiledRule);
  for (const auto* all : {&plain_tuples_, &walked_tuples_}) {
    for (const RuleTuples& tuples : *all) bytes += tuples.memory_bytes();
  }
  return bytes;
}

}  // namespace ringplane::firewall
