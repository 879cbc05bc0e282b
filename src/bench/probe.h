// LookupProbe: the least that finding a flow can cost on this machine: a bucket of 16-bit tags, then a 64-byte record,
// both somewhere in memory, for 64 random keys at a time with a pass of prefetches before each read. No frames, no
// headers, no conntrack, no counters. What the whole pipeline does is set against this in the same run.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/mapped_memory.h"
#include "base/random.h"
#include "base/result.h"

namespace ringplane::bench {

class LookupProbe {
 public:
  /// Records 0..count-1, all in the table; count <= 2^30. Takes about 76 bytes a record.
  [[nodiscard]] static base::Result<std::unique_ptr<LookupProbe>> create(std::uint64_t count);

  /// Looks up `lookups` random records (a multiple of 64); returns how many were found: all, or a bug.
  [[nodiscard]] std::uint64_t run(std::uint64_t lookups, base::Random& random) noexcept;

 private:
  static constexpr std::uint32_t kSlots = 8;
  struct alignas(64) Bucket {
    std::array<std::uint16_t, kSlots> tag;  // 0: free
    std::array<std::uint32_t, kSlots> record;
  };
  struct alignas(64) Record {
    std::uint64_t key;
    std::array<std::uint64_t, 7> rest;
  };
  LookupProbe(base::MappedMemory memory, std::uint64_t count) noexcept;
  [[nodiscard]] std::uint64_t bucket_of(std::uint64_t hash) const noexcept {
    return ((hash & 0xffff'ffff) * buckets_.size()) >> 32;
  }

  base::MappedMemory memory_;
  std::span<Bucket> buckets_;
  std::span<Record> records_;
};

}  // namespace ringplane::bench
