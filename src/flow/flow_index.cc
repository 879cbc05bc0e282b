#include "flow/flow_index.h"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace ringplane::flow {
namespace {

constexpr std::uint16_t kFreeTag = 0;

}  // namespace

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
