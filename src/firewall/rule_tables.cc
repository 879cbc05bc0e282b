#include "firewall/rule_tables.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/vector_width.h"
#include "firewall/key_block.h"
#include "firewall/rule_filter.h"
#include "firewall/rule_record.h"
#include "firewall/rule_shapes.h"

namespace ringplane::firewall {
namespace {

/// Rules of one key that stay in a table; more would make a walk over buckets of each lookup.
constexpr std::uint32_t kCrowd = 48;
/// Likewise of those that are not told by their record alone, such as many that name a table and nothing else: to check
/// one costs several times as much.
constexpr std::uint32_t kCrowdOfMore = 16;

/// Of a second-level cache, about half.
constexpr std::size_t kCacheBytes = std::size_t{512} << 10;

/// Two bits of a filter word; other bits of the hash choose the word.
constexpr std::uint32_t filter_bits(std::uint32_t hash) noexcept {
  return (1U << (hash & 31)) | (1U << ((hash >> 5) & 31));
}

}  // namespace

template <class Rule>
std::vector<std::uint32_t> RuleTables<Rule>::build(std::vector<Rule> rules) {
  rules_ = std::move(rules);
  std::vector<std::uint32_t> crowded;
  const std::vector<ShapeGroup<kWords>> groups = merged_shapes<Rule>(rules_);
  for (const ShapeGroup<kWords>& group : groups) add_table(group.shape, group.members, crowded);
  std::ranges::sort(tables_, {}, &Table::best);
  std::ranges::sort(crowded);
  filter_.shrink_to_fit();
  buckets_.shrink_to_fit();
  is_large_ = rules_.size() * sizeof(Rule) + buckets_.size() * sizeof(Bucket) > kCacheBytes;
  return crowded;
}

template <class Rule>
void RuleTables<Rule>::add_table(const Shape<kWords>& shape, std::span<const std::uint32_t> members,
                                 std::vector<std::uint32_t>& crowded) {
  struct Entry {
    std::uint32_t hash;
    std::uint32_t rule;
  };
  std::vector<Entry> entries;
  entries.reserve(members.size());
  for (const std::uint32_t member : members) entries.push_back({shape_hash(rules_[member], shape), member});
  std::ranges::sort(
      entries, [](const Entry& a, const Entry& b) { return a.hash != b.hash ? a.hash < b.hash : a.rule < b.rule; });
  Table table{.shape = shape,
              .first_word = filter_.size(),
              .first_bucket = buckets_.size(),
              .buckets = static_cast<std::uint32_t>((members.size() * 5 / 3 + kSlots) / kSlots)};
  const std::size_t words =
      std::bit_ceil(std::max<std::size_t>(members.size() * 10 / 32, RuleFilter<kWords>::kMinWords));
  table.filter_shift = 32 - static_cast<std::uint32_t>(std::countr_zero(words));
  filter_.resize(filter_.size() + words);
  Bucket free;
  free.slot.fill(RuleBuckets::kFree);
  buckets_.resize(buckets_.size() + table.buckets, free);
  for (std::size_t i = 0, first = 0; i < entries.size(); ++i) {
    const auto [hash, rule] = entries[i];
    if (hash != entries[first].hash) first = i;
    const std::uint32_t crowd = (rules_[rule].traits() & kMoreTrait) != 0 ? kCrowdOfMore : kCrowd;
    if (i - first >= crowd || !put(table, hash, rule)) {
      crowded.push_back(rule);
      continue;
    }
    table.best = std::min(table.best, rule);
    filter_[table.first_word + (hash >> table.filter_shift)] |= filter_bits(hash);
  }
  tables_.push_back(table);
}

template <class Rule>
bool RuleTables<Rule>::put(const Table& table, std::uint32_t hash, std::uint32_t rule) noexcept {
  std::uint32_t at = RuleBuckets::bucket_of(hash, table.buckets);
  for (std::uint32_t chain = 0; chain < RuleBuckets::kChain; ++chain) {
    auto& slots = buckets_[table.first_bucket + at].slot;
    const auto free = std::ranges::find(slots, RuleBuckets::kFree);
    if (free != slots.end()) {
      *free = (RuleBuckets::tag_of(hash) << RuleBuckets::kIndexBits) | rule;
      return true;
    }
    at = at + 1 == table.buckets ? 0 : at + 1;
  }
  return false;
}

template <class Rule>
template <bool kSomeAreGone>
void RuleTables<Rule>::check(HeaderBlock<kWords>& block, const MoreConditions& more,
                             const RuleProbe& probe) const noexcept {
  const std::uint32_t always = more.always ? kMoreTrait : 0;
  for (std::uint32_t n = 0; n < probe.hits; ++n) {
    const std::uint32_t header = probe.hit_header[n] & 0xffff;
    const std::uint32_t slot = probe.hit_header[n] >> 16;
    const std::uint32_t index = probe.hit_rule[n];
    const Rule& rule = rules_[index];
    std::uint32_t misses = rule.misses(block, header, slot);
    if constexpr (kSomeAreGone) misses |= static_cast<std::uint32_t>(more.gone[index / 64] >> (index % 64)) & 1U;
    if (((rule.traits() | always) & kMoreTrait) != 0) [[unlikely]] {
      const bool asks = misses == 0 && index < block.best[header];
      misses = asks && more.hold(more.context, index, slot) ? 0 : 1;
    }
    // Whether a rule matches is not to be guessed: no jump depends on it.
    const std::uint32_t candidate = index | (0U - misses);
    block.best[header] = std::min(block.best[header], candidate);
  }
}

template <class Rule>
void RuleTables<Rule>::lookup(HeaderBlock<kWords>& block, const MoreConditions& more, base::VectorWidth width,
                              std::span<std::uint32_t> best) const noexcept {
  const RuleFilter<kWords>& filter = rule_filter<kWords>(width);
  RuleProbe probe;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  for (const Table& table : tables_) {
    filter.survivors(block, table.shape, table.best, &filter_[table.first_word], table.filter_shift, probe);
    if (probe.open == 0) break;  // the tables behind hold nothing better either
    if (probe.survivors != 0) {
      const RuleBuckets buckets{.slots = buckets_[table.first_bucket].slot.data(), .buckets = table.buckets};
      filter.places(table.buckets, probe);
      for (std::uint32_t n = 0; is_large_ && n < probe.survivors; ++n) {
        __builtin_prefetch(buckets.slots + std::size_t{probe.bucket[n]} * kSlots);
      }
      for (std::uint32_t done = 0; done < probe.survivors;) {
        probe.hits = 0;
        done = filter.hits(buckets, block.best.data(), done, probe);
        for (std::uint32_t n = 0; is_large_ && n < probe.hits; ++n) __builtin_prefetch(&rules_[probe.hit_rule[n]]);
        more.gone == nullptr ? check<false>(block, more, probe) : check<true>(block, more, probe);
      }
    }
    // Closing up costs about as much as asking a table: worth it once a fourth has dropped out.
    if (probe.open * 4 <= block.count * 3) filter.close_up(block, table.best, best.data());
  }
  for (std::uint32_t i = 0; i < block.count; ++i) best[block.slot[i]] = block.best[i];
}

template <class Rule>
std::size_t RuleTables<Rule>::memory_bytes() const noexcept {
  return rules_.capacity() * sizeof(Rule) + tables_.capacity() * sizeof(Table) +
         filter_.capacity() * sizeof(std::uint32_t) + buckets_.capacity() * sizeof(Bucket);
}

template class RuleTables<HotRule>;
template class RuleTables<WideRule>;

}  // namespace ringplane::firewall
