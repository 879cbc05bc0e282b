// The inner loops of a lookup, for each width of vectors that a processor may have: the same results, chosen at run
// time.
#pragma once

#include <array>
#include <cstdint>

#include "base/vector_width.h"
#include "firewall/rule_record.h"
#include "firewall/rule_tables.h"

namespace ringplane::firewall {

/// One block on its way through one table. A survivor is a header whose key may be in the table; a hit is a rule whose
/// tag agrees with a survivor's. A header is meant by its place in the HeaderBlock, plus its
/// slot in the KeyBlock << 16.
struct RuleProbe {
  static constexpr std::uint32_t kCapacity = KeyBlock::kCapacity;
  static constexpr std::uint32_t kHitCapacity = 4 * kCapacity;
  /// Vectors are written whole; what they write beyond the end does not count.
  static constexpr std::uint32_t kSpare = 16;

  std::uint32_t open = 0;  ///< headers that the table was asked for
  std::uint32_t survivors = 0;
  std::uint32_t hits = 0;
  alignas(64) std::array<std::uint32_t, kCapacity> header;
  alignas(64) std::array<std::uint32_t, kCapacity> hash;
  alignas(64) std::array<std::uint32_t, kCapacity> bucket;
  alignas(64) std::array<std::uint32_t, kCapacity> tag;
  alignas(64) std::array<std::uint32_t, kHitCapacity + kSpare> hit_header;
  alignas(64) std::array<std::uint32_t, kHitCapacity + kSpare> hit_rule;
};

/// Where a table keeps its keys.
struct RuleBuckets {
  static constexpr std::uint32_t kSlots = 16;
  static constexpr std::uint32_t kIndexBits = 20;
  static constexpr std::uint32_t kIndexMask = (1U << kIndexBits) - 1;
  static constexpr std::uint32_t kTagMask = 0xfff;
  static constexpr std::uint32_t kFree = 0xffffffff;  ///< its tag is one that no key has
  /// Buckets, one behind the other, that a key's rules may lie in.
  static constexpr std::uint32_t kChain = 8;

  const std::uint32_t* slots;  ///< 16 a bucket, each tag << 20 | rule; aligned to 64
  std::uint32_t buckets;

  [[nodiscard, gnu::always_inline]] static std::uint32_t tag_of(std::uint32_t hash) noexcept {
    const std::uint32_t tag = (hash >> 4) & kTagMask;
    return tag < kTagMask - 1 ? tag : kTagMask - 1;
  }
  [[nodiscard, gnu::always_inline]] static std::uint32_t bucket_of(std::uint32_t hash, std::uint32_t buckets) noexcept {
    const std::uint32_t mixed = hash * 0x9e3779b1U;
    return static_cast<std::uint32_t>((std::uint64_t{mixed} * buckets) >> 32);
  }
};

template <unsigned kWords>
struct RuleFilter {
  /// A filter has at least this many words, which vectors hold without memory.
  static constexpr std::uint32_t kMinWords = 32;

  /// Finds the survivors among headers whose best is above `best`, in a filter of 2^(32 - shift) words.
  void (*survivors)(const HeaderBlock<kWords>& block, const Shape<kWords>& shape, std::uint32_t best,
                    const std::uint32_t* words, std::uint32_t shift, RuleProbe& probe) noexcept;
  /// Where survivors are to be looked for.
  void (*places)(std::uint32_t buckets, RuleProbe& probe) noexcept;
  /// Finds the hits of survivors [first, survivors) that are better than what best[header] says, until all are done or
  /// there might be no room for another's; returns the survivor to go on with.
  std::uint32_t (*hits)(const RuleBuckets& buckets, const std::uint32_t* best, std::uint32_t first,
                        RuleProbe& probe) noexcept;
  /// Drops headers whose best is not above `limit` out of the block, and leaves what was found in best[slot].
  void (*close_up)(HeaderBlock<kWords>& block, std::uint32_t limit, std::uint32_t* best) noexcept;
  /// The rows of a KeyBlock side by side: of slots [0, block.count).
  void (*open)(HeaderBlock<kWords>& block) noexcept;
};

template <unsigned kWords>
[[nodiscard]] const RuleFilter<kWords>& rule_filter(base::VectorWidth width) noexcept;

}  // namespace ringplane::firewall
