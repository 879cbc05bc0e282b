#include "firewall/rule_tables.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/branchless.h"
#include "firewall/rule_filter.h"
#include "firewall/rule_shapes.h"

namespace ringplane::firewall {
namespace {

constexpr std::uint32_t kIndexBits = 20;
constexpr std::uint32_t kFree = 0xffffffff;  // a tag that no key has
constexpr std::uint32_t kTagMask = 0xfff;
/// Rules of one key that stay in a table; more would make a walk over buckets of each lookup.
constexpr std::uint32_t kCrowd = 48;

constexpr std::uint32_t tag_of(std::uint32_t hash) noexcept {
  return std::min((hash >> 4) & kTagMask, kTagMask - 1);
}

constexpr std::uint32_t bucket_of(std::uint32_t hash, std::uint32_t buckets) noexcept {
  const std::uint32_t mixed = hash * 0x9e3779b1U;
  return static_cast<std::uint32_t>((std::uint64_t{mixed} * buckets) >> 32);
}

/// Two bits of a filter word; other bits of the hash choose the word.
constexpr std::uint32_t filter_bits(std::uint32_t hash) noexcept {
  return (1U << (hash & 31)) | (1U << ((hash >> 5) & 31));
}

[[gnu::always_inline]] inline bool matches(const HotRule& rule, const HeaderBlock& block, std::uint32_t i) noexcept {
  const std::uint32_t source_port = block.ports[i] >> 16;
  const std::uint32_t destination_port = block.ports[i] & 0xffff;
  return base::all_hold(
      ((block.source[i] ^ rule.source) & rule.source_mask) == 0,
      ((block.destination[i] ^ rule.destination) & rule.destination_mask) == 0, source_port >= rule.source_port_low,
      source_port <= rule.source_port_high, destination_port >= rule.destination_port_low,
      destination_port <= rule.destination_port_high, (rule.wants & ~block.has[i] & 0xff) == 0,
      ((block.tcp_flags[i] ^ rule.tcp_flags) & rule.tcp_flags_mask & block.judged_flags[i]) == 0,
      ((block.protocol[i] ^ rule.protocol) & (0U - static_cast<std::uint32_t>(rule.wants >> 7)) & 0xff) == 0);
}

}  // namespace

std::vector<std::uint32_t> RuleTables::build(std::vector<HotRule> rules) {
  rules_ = std::move(rules);
  std::vector<std::uint32_t> crowded;
  const std::vector<ShapeGroup> groups = merged_shapes(rules_);
  for (const ShapeGroup& group : groups) add_table(group.shape, group.members, crowded);
  std::ranges::sort(tables_, {}, &Table::best_rank);
  std::ranges::sort(crowded);
  filter_.shrink_to_fit();
  buckets_.shrink_to_fit();
  return crowded;
}

void RuleTables::add_table(const Shape& shape, std::span<const std::uint32_t> members,
                           std::vector<std::uint32_t>& crowded) {
  struct Entry {
    std::uint32_t hash;
    std::uint32_t rule;
  };
  std::vector<Entry> entries;
  entries.reserve(members.size());
  for (const std::uint32_t member : members) entries.push_back({shape_hash(rules_[member], shape), member});
  std::ranges::sort(entries, [this](const Entry& a, const Entry& b) {
    return a.hash != b.hash ? a.hash < b.hash : rules_[a.rule].rank < rules_[b.rule].rank;
  });
  Table table{.shape = shape,
              .first_word = filter_.size(),
              .first_bucket = buckets_.size(),
              .buckets = static_cast<std::uint32_t>((members.size() * 5 / 3 + kSlots) / kSlots)};
  const std::size_t words = std::bit_ceil(std::max<std::size_t>(members.size() * 10 / 32, 2));
  table.filter_shift = 32 - static_cast<std::uint32_t>(std::countr_zero(words));
  filter_.resize(filter_.size() + words);
  Bucket free;
  free.slot.fill(kFree);
  buckets_.resize(buckets_.size() + table.buckets, free);
  for (std::size_t i = 0, first = 0; i < entries.size(); ++i) {
    const auto [hash, rule] = entries[i];
    if (hash != entries[first].hash) first = i;
    if (i - first >= kCrowd || !put(table, hash, rule)) {
      crowded.push_back(rules_[rule].rank);
      continue;
    }
    table.best_rank = std::min(table.best_rank, rules_[rule].rank);
    filter_[table.first_word + (hash >> table.filter_shift)] |= filter_bits(hash);
  }
  tables_.push_back(table);
}

bool RuleTables::put(const Table& table, std::uint32_t hash, std::uint32_t rule) noexcept {
  std::uint32_t at = bucket_of(hash, table.buckets);
  for (std::uint32_t chain = 0; chain < kChain; ++chain) {
    auto& slots = buckets_[table.first_bucket + at].slot;
    const auto free = std::ranges::find(slots, kFree);
    if (free != slots.end()) {
      *free = (tag_of(hash) << kIndexBits) | rule;
      return true;
    }
    at = at + 1 == table.buckets ? 0 : at + 1;
  }
  return false;
}

void RuleTables::check(HeaderBlock& block, const MoreConditions& more, const RuleHits& hits) const noexcept {
  for (std::uint32_t n = 0; n < hits.count; ++n) {
    const auto [header, index] = hits.hit[n];
    const HotRule& rule = rules_[index];
    const bool better = base::all_hold(rule.rank < block.best[header], matches(rule, block, header));
    if (better && (more.always || (rule.wants & kWantMore) != 0) && !more.hold(more.context, rule.rank, header))
      continue;
    block.best[header] = better ? rule.rank : block.best[header];
  }
}

void RuleTables::lookup(HeaderBlock& block, const MoreConditions& more, VectorWidth width) const noexcept {
  const RuleFilter& filter = rule_filter(width);
  // Written before they are read.
  RuleHits hits;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  std::array<std::uint32_t, HeaderBlock::kCapacity> header;
  std::array<std::uint32_t, HeaderBlock::kCapacity> hash;
  for (const Table& table : tables_) {
    const std::uint32_t survivors = filter.survivors(block, table.shape, table.best_rank, &filter_[table.first_word],
                                                     table.filter_shift, header.data(), hash.data());
    if (survivors == 0) continue;
    const Bucket* buckets = &buckets_[table.first_bucket];
    for (std::uint32_t n = 0; n < survivors; ++n) {
      const std::uint32_t bucket = bucket_of(hash[n], table.buckets);
      const std::uint32_t tag = tag_of(hash[n]);
      __builtin_prefetch(&buckets[bucket]);
      hits.place[n] = bucket;
      hits.tag[n] = tag;
    }
    for (std::uint32_t done = 0; done < survivors;) {
      hits.count = 0;
      done = filter.hits(buckets->slot.data(), table.buckets, survivors, done, header.data(), rules_.data(), hits);
      check(block, more, hits);
    }
  }
}

std::size_t RuleTables::memory_bytes() const noexcept {
  return rules_.capacity() * sizeof(HotRule) + tables_.capacity() * sizeof(Table) +
         filter_.capacity() * sizeof(std::uint32_t) + buckets_.capacity() * sizeof(Bucket);
}

}  // namespace ringplane::firewall
