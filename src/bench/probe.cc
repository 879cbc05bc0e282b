#include "bench/probe.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <utility>

#include "base/mapped_memory.h"
#include "base/random.h"
#include "base/result.h"

namespace ringplane::bench {
namespace {

constexpr std::size_t kProbeBurst = 64;

std::uint64_t hash_of(std::uint64_t key) noexcept {
  return base::Random(key)();
}
std::uint16_t tag_of(std::uint64_t hash) noexcept {
  return static_cast<std::uint16_t>((hash >> 32) | 1);
}
/// Half full, so that a bucket without room is rare, and the next one takes its place.
std::uint64_t buckets_for(std::uint64_t count) noexcept {
  return count / 4 + 2;
}

}  // namespace

base::Result<std::unique_ptr<LookupProbe>> LookupProbe::create(std::uint64_t count) {
  const std::uint64_t bytes =
      base::MappedMemory::bytes_for<Bucket>(buckets_for(count)) + base::MappedMemory::bytes_for<Record>(count);
  auto memory = base::MappedMemory::map(bytes, true, true, "the lookup probe", "ask for fewer flows");
  if (!memory) return std::unexpected(std::move(memory.error()));
  return std::unique_ptr<LookupProbe>(new LookupProbe(std::move(*memory), count));
}

LookupProbe::LookupProbe(base::MappedMemory memory, std::uint64_t count) noexcept
    : memory_(std::move(memory)),
      buckets_(memory_.take<Bucket>(buckets_for(count))),
      records_(memory_.take<Record>(count)) {
  for (std::uint32_t i = 0; i < count; ++i) {
    records_[i].key = i;
    const std::uint64_t hash = hash_of(i);
    std::size_t slot = 0;
    std::uint64_t at = bucket_of(hash);
    while (buckets_[at].tag[slot] != 0) {
      if (++slot < kSlots) continue;
      slot = 0;
      at = at + 1 == buckets_.size() ? 0 : at + 1;
    }
    buckets_[at].tag[slot] = tag_of(hash);
    buckets_[at].record[slot] = i;
  }
}

std::uint64_t LookupProbe::run(std::uint64_t lookups, base::Random& random) noexcept {
  std::array<std::uint64_t, kProbeBurst> keys;
  std::array<std::uint64_t, kProbeBurst> hashes;
  std::array<std::uint32_t, kProbeBurst> candidates;
  std::uint64_t found = 0;
  for (std::uint64_t done = 0; done < lookups; done += kProbeBurst) {
    // Hash all, fetch the buckets.
    for (std::size_t i = 0; i < kProbeBurst; ++i) {
      keys[i] = random.below(records_.size());
      hashes[i] = hash_of(keys[i]);
      __builtin_prefetch(&buckets_[bucket_of(hashes[i])]);
    }
    // Find the tags, fetch the records. No early exit: a wrong guess would stop the reads behind it.
    for (std::size_t i = 0; i < kProbeBurst; ++i) {
      const Bucket& bucket = buckets_[bucket_of(hashes[i])];
      const std::uint16_t tag = tag_of(hashes[i]);
      std::uint32_t candidate = bucket.record[0];
      for (std::size_t slot = 1; slot < kSlots; ++slot) {
        candidate = bucket.tag[slot] == tag ? bucket.record[slot] : candidate;
      }
      candidates[i] = candidate;
      __builtin_prefetch(&records_[candidate]);
    }
    // Compare the keys; the few whose tag was not unique or whose bucket was full are looked for at leisure.
    for (std::size_t i = 0; i < kProbeBurst; ++i) {
      if (records_[candidates[i]].key == keys[i]) [[likely]] {
        ++found;
        continue;
      }
      for (std::uint64_t at = bucket_of(hashes[i]), left = buckets_.size(); left > 0; --left) {
        bool here = false;
        for (std::size_t slot = 0; slot < kSlots; ++slot) {
          here |= buckets_[at].tag[slot] != 0 && records_[buckets_[at].record[slot]].key == keys[i];
        }
        if (here) {
          ++found;
          break;
        }
        at = at + 1 == buckets_.size() ? 0 : at + 1;
      }
    }
  }
  return found;
}

}  // namespace ringplane::bench
