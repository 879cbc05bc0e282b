#include "flow/flow_index.h"

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/vector_target.h"
#include "base/vector_width.h"

namespace ringplane::flow {
namespace {

constexpr std::uint16_t kFreeTag = 0;

}  // namespace

FlowIndex::Candidates FlowIndex::candidates(const std::uint64_t* hashes, std::uint64_t wanted, base::VectorWidth width,
                                            std::uint32_t* records) const noexcept {
#ifdef __x86_64__
  if (width == base::VectorWidth::kAvx512) return candidates_avx512(hashes, wanted, records);
#endif
  static_cast<void>(width);
  Candidates found;
  for (std::uint64_t rest = wanted; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<std::size_t>(std::countr_zero(rest));
    const Candidate first = candidate(hashes[i]);
    records[i] = first.matches ? first.record : kNone;
    found.matches |= std::uint64_t{first.matches} << i;
    found.elsewhere |= std::uint64_t{!first.matches && first.overflowed} << i;
  }
  return found;
}

#ifdef __x86_64__
RINGPLANE_AVX512 FlowIndex::Candidates FlowIndex::candidates_avx512(const std::uint64_t* hashes, std::uint64_t wanted,
                                                                    std::uint32_t* records) const noexcept {
  constexpr unsigned kSlots = (1U << kBucketSlots) - 1;
  Candidates found;
  for (std::uint64_t rest = wanted; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<std::size_t>(std::countr_zero(rest));
    const IndexBucket& bucket = buckets_[primary_of(hashes[i])];
    const __m256i tags = _mm256_load_si256(reinterpret_cast<const __m256i*>(bucket.tag.data()));
    const __m256i wanted_tag = _mm256_set1_epi16(static_cast<short>(tag_of(hashes[i])));
    const unsigned slots = _mm256_cmpeq_epi16_mask(tags, wanted_tag) & kSlots;
    const std::uint32_t record = bucket.record[static_cast<std::size_t>(std::countr_zero(slots | (kSlots + 1) / 2))];
    records[i] = slots != 0 ? record : kNone;
    found.matches |= std::uint64_t{slots != 0} << i;
    found.elsewhere |= std::uint64_t{slots == 0 && bucket.overflow != 0} << i;
  }
  return found;
}
#endif

void FlowIndex::put(IndexBucket& bucket, std::uint32_t free_slots, std::uint16_t tag, std::uint32_t record,
                    bool guest) noexcept {
  const auto slot = static_cast<std::size_t>(std::countr_zero(free_slots));
  bucket.tag[slot] = tag;
  bucket.record[slot] = record;
  const auto bit = static_cast<std::uint16_t>(1U << slot);
  bucket.guests = static_cast<std::uint16_t>(guest ? bucket.guests | bit : bucket.guests & ~bit);
}

FlowIndex::Placed FlowIndex::place(std::uint64_t hash, std::uint32_t record) noexcept {
  const std::uint16_t tag = tag_of(hash);
  const std::uint32_t primary = primary_of(hash);
  if (const std::uint32_t free_slots = buckets_[primary].match(kFreeTag); free_slots != 0) {
    put(buckets_[primary], free_slots, tag, record, false);
    return Placed::kPlaced;
  }
  const std::uint32_t alternate = other_bucket(primary, tag);
  if (alternate != primary) {
    if (const std::uint32_t free_slots = buckets_[alternate].match(kFreeTag); free_slots != 0) {
      put(buckets_[alternate], free_slots, tag, record, true);
      ++buckets_[primary].overflow;
      return Placed::kPlaced;
    }
  }
  if (make_room(primary)) {
    put(buckets_[primary], buckets_[primary].match(kFreeTag), tag, record, false);
    return Placed::kDisplaced;
  }
  if (alternate != primary && make_room(alternate)) {
    put(buckets_[alternate], buckets_[alternate].match(kFreeTag), tag, record, true);
    ++buckets_[primary].overflow;
    return Placed::kDisplaced;
  }
  return Placed::kFull;
}

/// Moves one entry of a full bucket to its other bucket.
bool FlowIndex::make_room(std::uint32_t bucket_number) noexcept {
  IndexBucket& bucket = buckets_[bucket_number];
  for (std::size_t slot = 0; slot < kBucketSlots; ++slot) {
    const std::uint32_t target_number = other_bucket(bucket_number, bucket.tag[slot]);
    if (target_number == bucket_number) continue;
    IndexBucket& target = buckets_[target_number];
    const std::uint32_t free_slots = target.match(kFreeTag);
    if (free_slots == 0) continue;
    const bool was_guest = (bucket.guests >> slot & 1) != 0;
    put(target, free_slots, bucket.tag[slot], bucket.record[slot], !was_guest);
    if (was_guest) {
      --target.overflow;  // it came home
    } else {
      ++bucket.overflow;
    }
    bucket.tag[slot] = kFreeTag;
    return true;
  }
  return false;
}

bool FlowIndex::remove(std::uint64_t hash, std::uint32_t record) noexcept {
  const std::uint16_t tag = tag_of(hash);
  const std::uint32_t primary = primary_of(hash);
  const auto remove_from = [&](IndexBucket& bucket) noexcept {
    for (std::uint32_t slots = bucket.match(tag); slots != 0; slots &= slots - 1) {
      const auto slot = static_cast<std::size_t>(std::countr_zero(slots));
      if (bucket.record[slot] != record) continue;
      bucket.tag[slot] = kFreeTag;
      return true;
    }
    return false;
  };
  if (remove_from(buckets_[primary])) return true;
  if (buckets_[primary].overflow == 0 || !remove_from(buckets_[other_bucket(primary, tag)])) return false;
  --buckets_[primary].overflow;
  return true;
}

}  // namespace ringplane::flow
