#include "firewall/rule_filter.h"

#include <bit>
#include <cstddef>
#include <cstdint>

#include "firewall/rule_shapes.h"
#include "firewall/rule_tables.h"

#ifdef __x86_64__
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // in avx512fintrin.h itself, GCC PR 105593
#endif
#include <immintrin.h>
#define RINGPLANE_AVX2 [[gnu::target("avx2,bmi,bmi2")]]
#define RINGPLANE_AVX512 [[gnu::target("avx512f,avx512vl,avx512bw,avx512dq,avx512cd,avx2,bmi,bmi2")]]
#endif

namespace ringplane::firewall {
namespace {

constexpr std::uint32_t kSlots = 16;
constexpr std::uint32_t kIndexBits = 20;
constexpr std::uint32_t kIndexMask = (1U << kIndexBits) - 1;
constexpr std::uint32_t kFree = 0xffffffff;
/// What one header can add: all slots of a chain.
constexpr std::uint32_t kRoom = RuleTables::kChain * kSlots;
static_assert(kRoom <= RuleHits::kCapacity);

/// Written so that compilers make vectors of the first loop, of whatever width the caller allows.
[[gnu::always_inline]] inline std::uint32_t survivors_of(const HeaderBlock& block, const RuleTables::Shape& shape,
                                                         std::uint32_t best_rank, const std::uint32_t* words,
                                                         std::uint32_t shift, std::uint32_t* header,
                                                         std::uint32_t* hash) noexcept {
  alignas(64) std::uint32_t hashes[HeaderBlock::kCapacity];
  alignas(64) std::uint32_t stays[HeaderBlock::kCapacity];
  const RuleTables::Shape bits = shape;
  const std::uint32_t headers = block.count;
  for (std::uint32_t i = 0; i < headers; ++i) {
    const std::uint32_t own = shape_hash(block.source[i] & bits.source, block.destination[i] & bits.destination,
                                         block.ports[i] & bits.ports, block.protocol[i] & bits.protocol);
    hashes[i] = own;
    const std::uint32_t word = words[static_cast<std::int32_t>(own >> shift)];
    stays[i] = (word >> (own & 31)) & (word >> ((own >> 5) & 31)) & 1U & (block.best[i] > best_rank ? 1U : 0U);
  }
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < block.count; ++i) {
    header[count] = i;
    hash[count] = hashes[i];
    count += stays[i];
  }
  return count;
}

[[gnu::always_inline]] inline void add_hits(std::uint32_t found, const std::uint32_t* slot, std::uint32_t header,
                                            const HotRule* rules, RuleHits& hits) noexcept {
  while (found != 0) {
    const std::uint32_t rule = slot[std::countr_zero(found)] & kIndexMask;
    __builtin_prefetch(&rules[rule]);
    hits.hit[hits.count++] = {header, rule};
    found &= found - 1;
  }
}

std::uint32_t survivors_plain(const HeaderBlock& block, const RuleTables::Shape& shape, std::uint32_t best_rank,
                              const std::uint32_t* words, std::uint32_t shift, std::uint32_t* header,
                              std::uint32_t* hash) noexcept {
  return survivors_of(block, shape, best_rank, words, shift, header, hash);
}

std::uint32_t hits_plain(const std::uint32_t* slots, std::uint32_t buckets, std::uint32_t survivors,
                         std::uint32_t first, const std::uint32_t* header, const HotRule* rules,
                         RuleHits& hits) noexcept {
  for (; first < survivors && hits.count + kRoom <= RuleHits::kCapacity; ++first) {
    std::uint32_t at = hits.place[first];
    for (std::uint32_t chain = 0; chain < RuleTables::kChain; ++chain, at = at + 1 == buckets ? 0 : at + 1) {
      const std::uint32_t* slot = slots + std::size_t{at} * kSlots;
      std::uint32_t found = 0;
      for (std::uint32_t i = 0; i < kSlots; ++i) {
        found |= static_cast<std::uint32_t>((slot[i] >> kIndexBits) == hits.tag[first]) << i;
      }
      add_hits(found, slot, header[first], rules, hits);
      if (slot[kSlots - 1] == kFree) break;
    }
  }
  return first;
}

#ifdef __x86_64__
RINGPLANE_AVX2 std::uint32_t survivors_avx2(const HeaderBlock& block, const RuleTables::Shape& shape,
                                            std::uint32_t best_rank, const std::uint32_t* words, std::uint32_t shift,
                                            std::uint32_t* header, std::uint32_t* hash) noexcept {
  return survivors_of(block, shape, best_rank, words, shift, header, hash);
}

RINGPLANE_AVX2 std::uint32_t hits_avx2(const std::uint32_t* slots, std::uint32_t buckets, std::uint32_t survivors,
                                       std::uint32_t first, const std::uint32_t* header, const HotRule* rules,
                                       RuleHits& hits) noexcept {
  for (; first < survivors && hits.count + kRoom <= RuleHits::kCapacity; ++first) {
    const __m256i wanted = _mm256_set1_epi32(static_cast<int>(hits.tag[first]));
    std::uint32_t at = hits.place[first];
    for (std::uint32_t chain = 0; chain < RuleTables::kChain; ++chain, at = at + 1 == buckets ? 0 : at + 1) {
      const std::uint32_t* slot = slots + std::size_t{at} * kSlots;
      const auto* vectors = reinterpret_cast<const __m256i*>(slot);
      const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(_mm256_load_si256(vectors), kIndexBits), wanted);
      const __m256i high = _mm256_cmpeq_epi32(_mm256_srli_epi32(_mm256_load_si256(vectors + 1), kIndexBits), wanted);
      const auto low_bits = static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(low)));
      const auto high_bits = static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(high)));
      add_hits(low_bits | (high_bits << 8), slot, header[first], rules, hits);
      if (slot[kSlots - 1] == kFree) break;
    }
  }
  return first;
}

RINGPLANE_AVX512 std::uint32_t survivors_avx512(const HeaderBlock& block, const RuleTables::Shape& shape,
                                                std::uint32_t best_rank, const std::uint32_t* words,
                                                std::uint32_t shift, std::uint32_t* header,
                                                std::uint32_t* hash) noexcept {
  const __m512i source_bits = _mm512_set1_epi32(static_cast<int>(shape.source));
  const __m512i destination_bits = _mm512_set1_epi32(static_cast<int>(shape.destination));
  const __m512i port_bits = _mm512_set1_epi32(static_cast<int>(shape.ports));
  const __m512i protocol_bits = _mm512_set1_epi32(static_cast<int>(shape.protocol));
#define RINGPLANE_SET1(value) _mm512_set1_epi32(static_cast<int>(value))
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < block.count; i += 16) {
    const std::uint32_t left = block.count - i;
    const auto here = static_cast<__mmask16>(left >= 16 ? 0xffff : (1U << left) - 1);
    const __mmask16 open =
        _mm512_mask_cmpgt_epu32_mask(here, _mm512_load_si512(&block.best[i]), RINGPLANE_SET1(best_rank));
    if (open == 0) continue;
    // shape_hash(), sixteen at a time.
    const __m512i source = _mm512_and_si512(_mm512_load_si512(&block.source[i]), source_bits);
    const __m512i destination = _mm512_and_si512(_mm512_load_si512(&block.destination[i]), destination_bits);
    const __m512i ports = _mm512_and_si512(_mm512_load_si512(&block.ports[i]), port_bits);
    const __m512i protocol = _mm512_and_si512(_mm512_load_si512(&block.protocol[i]), protocol_bits);
    __m512i own = _mm512_mullo_epi32(source, RINGPLANE_SET1(0x9e3779b1U));
    own = _mm512_add_epi32(_mm512_xor_si512(own, _mm512_srli_epi32(own, 15)), destination);
    own = _mm512_mullo_epi32(own, RINGPLANE_SET1(0x85ebca77U));
    const __m512i rest = _mm512_xor_si512(ports, _mm512_mullo_epi32(protocol, RINGPLANE_SET1(0x27d4eb2fU)));
    own = _mm512_add_epi32(_mm512_xor_si512(own, _mm512_srli_epi32(own, 13)), rest);
    own = _mm512_mullo_epi32(own, RINGPLANE_SET1(0xc2b2ae3dU));
    own = _mm512_xor_si512(own, _mm512_srli_epi32(own, 16));
    const __m512i place = _mm512_srl_epi32(own, _mm_cvtsi32_si128(static_cast<int>(shift)));
    const __m512i word = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), open, place, words, 4);
    const __m512i low = _mm512_set1_epi32(31);
    const __m512i first = _mm512_srlv_epi32(word, _mm512_and_si512(own, low));
    const __m512i second = _mm512_srlv_epi32(word, _mm512_and_si512(_mm512_srli_epi32(own, 5), low));
    const __mmask16 stay = _mm512_mask_test_epi32_mask(open, _mm512_and_si512(first, second), _mm512_set1_epi32(1));
    const __m512i index =
        _mm512_add_epi32(RINGPLANE_SET1(i), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    _mm512_storeu_si512(header + count, _mm512_maskz_compress_epi32(stay, index));
    _mm512_storeu_si512(hash + count, _mm512_maskz_compress_epi32(stay, own));
    count += static_cast<std::uint32_t>(std::popcount(static_cast<std::uint32_t>(stay)));
  }
  return count;
}

RINGPLANE_AVX512 std::uint32_t hits_avx512(const std::uint32_t* slots, std::uint32_t buckets, std::uint32_t survivors,
                                           std::uint32_t first, const std::uint32_t* header, const HotRule* rules,
                                           RuleHits& hits) noexcept {
  for (; first < survivors && hits.count + kRoom <= RuleHits::kCapacity; ++first) {
    const __m512i wanted = _mm512_set1_epi32(static_cast<int>(hits.tag[first]));
    std::uint32_t at = hits.place[first];
    for (std::uint32_t chain = 0; chain < RuleTables::kChain; ++chain, at = at + 1 == buckets ? 0 : at + 1) {
      const std::uint32_t* slot = slots + std::size_t{at} * kSlots;
      const __m512i tags = _mm512_srli_epi32(_mm512_load_si512(slot), kIndexBits);
      add_hits(_mm512_cmpeq_epi32_mask(tags, wanted), slot, header[first], rules, hits);
      if (slot[kSlots - 1] == kFree) break;
    }
  }
  return first;
}
#endif

}  // namespace

VectorWidth widest_vectors() noexcept {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
      __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
      __builtin_cpu_supports("avx512cd") != 0) {
    return VectorWidth::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi2") != 0) return VectorWidth::kAvx2;
#endif
  return VectorWidth::kPlain;
}

const RuleFilter& rule_filter(VectorWidth width) noexcept {
  static constexpr RuleFilter kPlain{survivors_plain, hits_plain};
#ifdef __x86_64__
  static constexpr RuleFilter kAvx2{survivors_avx2, hits_avx2};
  static constexpr RuleFilter kAvx512{survivors_avx512, hits_avx512};
  if (width == VectorWidth::kAvx512) return kAvx512;
  if (width == VectorWidth::kAvx2) return kAvx2;
#endif
  static_cast<void>(width);
  return kPlain;
}

}  // namespace ringplane::firewall
