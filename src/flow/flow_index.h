// FlowIndex: from the hash of a key to the numbers of the records that may hold it. One cache line in nearly every
// case.
//
// 64-byte buckets of ten (tag, record); a bucket is chosen by bits 0..31 of the hash, the tag is bits 32..47 (which
// worker owns a flow may depend on the top bits or on the hash modulo the number of workers: both stay independent of
// the bucket). An entry lives in its primary bucket, or as a guest in the alternate, (h(tag) - bucket) mod n: the same
// map leads back, so an entry can be moved knowing its tag alone. The primary counts how many of its entries are
// guests elsewhere, and only then is the alternate read.
//
// Both full: one entry of either is moved to its other bucket; if none can move, place() fails and the table is full
// for this key. At the load the flow table uses (0.825 at capacity) that does not happen to honest hashes; the hash is
// keyed.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/vector_width.h"

namespace ringplane::flow {

inline constexpr std::size_t kBucketSlots = 10;

struct alignas(64) IndexBucket {
  std::array<std::uint16_t, kBucketSlots> tag;  ///< 0: free
  std::uint16_t guests;                         ///< bit i: slot i holds an entry whose primary is another bucket
  std::uint16_t overflow;                       ///< entries with this primary that are guests elsewhere
  std::array<std::uint32_t, kBucketSlots> record;

  /// Bit i: slot i has this tag.
  [[nodiscard]] std::uint32_t match(std::uint16_t wanted) const noexcept {
#if defined(__SSE2__)
    const __m128i needle = _mm_set1_epi16(static_cast<short>(wanted));
    const auto* tags = reinterpret_cast<const unsigned char*>(tag.data());
    const __m128i low = _mm_load_si128(reinterpret_cast<const __m128i*>(tags));        // slots 0..7
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(tags + 4));  // slots 2..9
    const auto equal = static_cast<std::uint32_t>(
        _mm_movemask_epi8(_mm_packs_epi16(_mm_cmpeq_epi16(low, needle), _mm_cmpeq_epi16(high, needle))));
    return (equal & 0xff) | ((equal >> 14) << 8);
#else
    std::uint32_t equal = 0;
    for (std::size_t i = 0; i < kBucketSlots; ++i) equal |= std::uint32_t{tag[i] == wanted} << i;
    return equal;
#endif
  }
};
static_assert(sizeof(IndexBucket) == 64 && offsetof(IndexBucket, tag) == 0);

class FlowIndex {
 public:
  static constexpr std::uint32_t kNone = 0xffff'ffff;

  /// Buckets for `capacity` entries at a load of 0.825; at least 2.
  [[nodiscard]] static constexpr std::uint64_t buckets_for(std::uint64_t capacity) noexcept {
    const std::uint64_t buckets = (capacity * 4 + 32) / 33;  // 8.25 entries a bucket
    return buckets < 2 ? 2 : buckets;
  }

  /// `buckets` are all zero and outlive the index.
  explicit FlowIndex(std::span<IndexBucket> buckets) noexcept : buckets_(buckets) {}

  [[gnu::always_inline]] void prefetch(std::uint64_t hash) const noexcept {
    __builtin_prefetch(&buckets_[primary_of(hash)]);
  }
  struct Candidate {
    std::uint32_t record;  ///< any record of the bucket, or 0, if `matches` is false
    bool matches;          ///< the entry of `record` has the hash's tag
    bool overflowed;       ///< an entry with this primary bucket lives in another
  };
  /// The first record in the primary bucket with the hash's tag.
  [[nodiscard]] Candidate candidate(std::uint64_t hash) const noexcept {
    return first_match(buckets_[primary_of(hash)], tag_of(hash));
  }
  struct Candidates {
    std::uint64_t matches = 0;    ///< bit i: see Candidate
    std::uint64_t elsewhere = 0;  ///< bit i: none here, but the primary bucket has overflowed
  };
  /// candidate() of hashes[i] for each bit i of `wanted`: records[i], at most 64.
  [[nodiscard]] Candidates candidates(const std::uint64_t* hashes, std::uint64_t wanted, base::VectorWidth width,
                                      std::uint32_t* records) const noexcept;
  [[nodiscard]] const void* primary_place(std::uint64_t hash) const noexcept { return &buckets_[primary_of(hash)]; }
  [[nodiscard]] const void* alternate_place(std::uint64_t hash) const noexcept {
    return &buckets_[other_bucket(primary_of(hash), tag_of(hash))];
  }
  /// The same in the alternate bucket.
  [[nodiscard]] Candidate alternate_candidate(std::uint64_t hash) const noexcept {
    return first_match(buckets_[other_bucket(primary_of(hash), tag_of(hash))], tag_of(hash));
  }

  /// The record with this hash's tag and place for which equal(record) holds, or kNone.
  template <class Equal>
  [[nodiscard]] std::uint32_t find(std::uint64_t hash, Equal&& equal) const noexcept {
    const std::uint16_t tag = tag_of(hash);
    const std::uint32_t primary = primary_of(hash);
    const auto search = [&](const IndexBucket& bucket) noexcept {
      for (std::uint32_t slots = bucket.match(tag); slots != 0; slots &= slots - 1) {
        const std::uint32_t record = bucket.record[static_cast<std::size_t>(std::countr_zero(slots))];
        if (equal(record)) return record;
      }
      return kNone;
    };
    const std::uint32_t record = search(buckets_[primary]);
    if (record != kNone || buckets_[primary].overflow == 0) return record;
    return search(buckets_[other_bucket(primary, tag)]);
  }

  /// For the entry of `record`, whose primary bucket was prefetched: if it is a guest elsewhere, sends for that bucket.
  [[gnu::always_inline]] void prefetch_guest(std::uint64_t hash, std::uint32_t record) const noexcept {
    const std::uint32_t primary = primary_of(hash);
    const IndexBucket& bucket = buckets_[primary];
    if (bucket.overflow == 0) return;
    bool at_home = false;
    for (const std::uint32_t other : bucket.record) at_home |= other == record;  // a free slot may lie: no harm done
    if (!at_home) __builtin_prefetch(&buckets_[other_bucket(primary, tag_of(hash))], 1);
  }
  /// Before place(): if the primary bucket, which was prefetched, is full, sends for the alternate; then, when that is
  /// there and full too, for the buckets to which entries would move.
  [[gnu::always_inline]] void prefetch_place(std::uint64_t hash) const noexcept {
    const std::uint32_t primary = primary_of(hash);
    if (buckets_[primary].match(0) == 0) __builtin_prefetch(&buckets_[other_bucket(primary, tag_of(hash))], 1);
  }
  [[gnu::always_inline]] void prefetch_displacement(std::uint64_t hash) const noexcept {
    const std::uint32_t primary = primary_of(hash);
    const IndexBucket& bucket = buckets_[primary];
    if (bucket.match(0) != 0 || buckets_[other_bucket(primary, tag_of(hash))].match(0) != 0) return;
    for (std::size_t slot = 0; slot < kDisplacementsAhead; ++slot) {
      __builtin_prefetch(&buckets_[other_bucket(primary, bucket.tag[slot])], 1);
    }
  }

  enum class Placed : std::uint8_t { kPlaced, kDisplaced, kFull };
  /// Adds an entry; the caller has made sure that there is none for the same key.
  [[nodiscard]] Placed place(std::uint64_t hash, std::uint32_t record) noexcept;
  /// Removes all.
  void clear() noexcept { std::ranges::fill(buckets_, IndexBucket{}); }
  /// Removes the entry of `record`; false if there is none.
  bool remove(std::uint64_t hash, std::uint32_t record) noexcept;

 private:
  /// Three of four first tries find room at the load of a full table.
  static constexpr std::size_t kDisplacementsAhead = 4;
  [[nodiscard]] static std::uint16_t tag_of(std::uint64_t hash) noexcept {
    const auto tag = static_cast<std::uint16_t>(hash >> 32);
    return tag == 0 ? 1 : tag;
  }
  [[nodiscard]] std::uint32_t scale(std::uint32_t number) const noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{number} * buckets_.size()) >> 32);
  }
  [[nodiscard]] std::uint32_t primary_of(std::uint64_t hash) const noexcept {
    return scale(static_cast<std::uint32_t>(hash));
  }
  [[nodiscard]] std::uint32_t other_bucket(std::uint32_t bucket, std::uint16_t tag) const noexcept {
    const std::uint32_t turn = scale(tag * 0x9e37'79b1U);
    return turn >= bucket ? turn - bucket : turn + static_cast<std::uint32_t>(buckets_.size()) - bucket;
  }
  [[nodiscard]] static Candidate first_match(const IndexBucket& bucket, std::uint16_t tag) noexcept {
    const std::uint32_t slots = bucket.match(tag);
    const auto slot = static_cast<std::size_t>(std::countr_zero(slots | (1U << (kBucketSlots - 1))));
    return {bucket.record[slot], slots != 0, bucket.overflow != 0};
  }
  [[nodiscard]] Candidates candidates_avx512(const std::uint64_t* hashes, std::uint64_t wanted,
                                             std::uint32_t* records) const noexcept;
  static void put(IndexBucket& bucket, std::uint32_t free_slots, std::uint16_t tag, std::uint32_t record,
                  bool guest) noexcept;
  [[nodiscard]] bool make_room(std::uint32_t bucket_number) noexcept;

  std::span<IndexBucket> buckets_;
};

}  // namespace ringplane::flow
