// The two inner loops of a lookup, for each width of vectors that a processor may have: the same results, chosen at run
// time.
#pragma once

#include <array>
#include <cstdint>

#include "firewall/rule_tables.h"

namespace ringplane::firewall {

/// Rules whose tag agrees with a header's. `place` and `tag` are where to look: bucket and tag by survivor.
struct RuleHits {
  static constexpr std::uint32_t kCapacity = 4 * HeaderBlock::kCapacity;
  struct Hit {
    std::uint32_t header;
    std::uint32_t rule;
  };
  std::array<std::uint32_t, HeaderBlock::kCapacity> place;
  std::array<std::uint32_t, HeaderBlock::kCapacity> tag;
  std::uint32_t count;
  std::array<Hit, kCapacity> hit;
};

struct RuleFilter {
  /// Headers (their indexes to `header`, their hashes to `hash`) whose best rank is above `best_rank` and whose key is
  /// in the filter of 2^(32 - shift) words; returns how many.
  std::uint32_t (*survivors)(const HeaderBlock& block, const RuleTables::Shape& shape, std::uint32_t best_rank,
                             const std::uint32_t* words, std::uint32_t shift, std::uint32_t* header,
                             std::uint32_t* hash) noexcept;
  /// Adds the rules of survivors [first, survivors) whose tags agree to `hits`, prefetches their records, until all are
  /// done or `hits` might not hold another's; returns the survivor to go on with. `slots`: 16 a bucket.
  std::uint32_t (*hits)(const std::uint32_t* slots, std::uint32_t buckets, std::uint32_t survivors, std::uint32_t first,
                        const std::uint32_t* header, const HotRule* rules, RuleHits& hits) noexcept;
};

[[nodiscard]] const RuleFilter& rule_filter(VectorWidth width) noexcept;

}  // namespace ringplane::firewall
