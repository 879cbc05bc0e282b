#include "firewall/rule_filter.h"

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/vector_target.h"
#include "base/vector_width.h"
#include "firewall/key_block.h"
#include "firewall/rule_record.h"
#include "firewall/rule_shapes.h"
#include "firewall/rule_tables.h"

namespace ringplane::firewall {
namespace {

constexpr std::uint32_t kSlots = RuleBuckets::kSlots;
/// What one header can add: all slots of a chain.
constexpr std::uint32_t kRoom = RuleBuckets::kChain * kSlots;
static_assert(kRoom <= RuleProbe::kHitCapacity && RuleProbe::kSpare >= kSlots);

/// Written so that compilers make vectors of the first loop, of whatever width the caller allows.
template <unsigned kWords>
[[gnu::always_inline]] inline void survivors_of(const HeaderBlock<kWords>& block, const Shape<kWords>& shape,
                                                std::uint32_t best, const std::uint32_t* words, std::uint32_t shift,
                                                RuleProbe& probe) noexcept {
  alignas(64) std::uint32_t hashes[KeyBlock::kCapacity];
  alignas(64) std::uint32_t stays[KeyBlock::kCapacity];
  const Shape<kWords> bits = shape;
  const std::uint32_t headers = block.count;
  std::uint32_t open = 0;
  for (std::uint32_t i = 0; i < headers; ++i) {
    const std::uint32_t own =
        shape_hash<kWords>([&](unsigned word) { return block.source[word][i] & bits.source[word]; },
                           [&](unsigned word) { return block.destination[word][i] & bits.destination[word]; },
                           block.ports[i] & bits.ports, block.traits[i] & bits.traits);
    hashes[i] = own;
    const std::uint32_t word = words[static_cast<std::int32_t>(own >> shift)];
    const std::uint32_t asked = block.best[i] > best ? 1U : 0U;
    stays[i] = (word >> (own & 31)) & (word >> ((own >> 5) & 31)) & asked;
    open += asked;
  }
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < headers; ++i) {
    probe.header[count] = i | (block.slot[i] << 16);
    probe.hash[count] = hashes[i];
    count += stays[i];
  }
  probe.survivors = count;
  probe.open = open;
}

[[gnu::always_inline]] inline void places_of(std::uint32_t buckets, RuleProbe& probe) noexcept {
  for (std::uint32_t n = 0; n < probe.survivors; ++n) {
    probe.bucket[n] = RuleBuckets::bucket_of(probe.hash[n], buckets);
    probe.tag[n] = RuleBuckets::tag_of(probe.hash[n]);
  }
}

[[gnu::always_inline]] inline void add_hits(std::uint32_t found, const std::uint32_t* slot, std::uint32_t header,
                                            std::uint32_t best, RuleProbe& probe) noexcept {
  for (; found != 0; found &= found - 1) {
    const std::uint32_t rule = slot[std::countr_zero(found)] & RuleBuckets::kIndexMask;
    probe.hit_rule[probe.hits] = rule;
    probe.hit_header[probe.hits] = header;
    probe.hits += rule < best ? 1 : 0;
  }
}

template <unsigned kWords>
void close_up_of(HeaderBlock<kWords>& block, std::uint32_t limit, std::uint32_t* best) noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < block.count; ++i) {
    best[block.slot[i]] = block.best[i];
    for (unsigned word = 0; word < kWords; ++word) {
      block.source[word][count] = block.source[word][i];
      block.destination[word][count] = block.destination[word][i];
    }
    block.ports[count] = block.ports[i];
    block.traits[count] = block.traits[i];
    block.slot[count] = block.slot[i];
    const bool stays = block.best[i] > limit;
    block.best[count] = block.best[i];
    count += stays ? 1 : 0;
  }
  block.count = count;
}

/// All but the addresses of IPv6.
template <unsigned kWords>
void open_of(HeaderBlock<kWords>& block) noexcept {
  for (std::uint32_t i = 0; i < block.count; ++i) {
    const KeyRow& row = block.rows[i];
    block.source[0][i] = row.source;
    block.destination[0][i] = row.destination;
    block.ports[i] = row.ports;
    block.traits[i] = row.traits;
    block.slot[i] = i;
    block.best[i] = 0xffffffff;
  }
}

template <unsigned kWords>
void survivors_plain(const HeaderBlock<kWords>& block, const Shape<kWords>& shape, std::uint32_t best,
                     const std::uint32_t* words, std::uint32_t shift, RuleProbe& probe) noexcept {
  survivors_of(block, shape, best, words, shift, probe);
}

void places_plain(std::uint32_t buckets, RuleProbe& probe) noexcept {
  places_of(buckets, probe);
}

std::uint32_t hits_plain(const RuleBuckets& buckets, const std::uint32_t* best, std::uint32_t first,
                         RuleProbe& probe) noexcept {
  for (; first < probe.survivors && probe.hits + kRoom <= RuleProbe::kHitCapacity; ++first) {
    std::uint32_t at = probe.bucket[first];
    for (std::uint32_t chain = 0; chain < RuleBuckets::kChain; ++chain, at = at + 1 == buckets.buckets ? 0 : at + 1) {
      const std::uint32_t* slot = buckets.slots + std::size_t{at} * kSlots;
      std::uint32_t found = 0;
      for (std::uint32_t i = 0; i < kSlots; ++i) {
        found |= static_cast<std::uint32_t>((slot[i] >> RuleBuckets::kIndexBits) == probe.tag[first]) << i;
      }
      add_hits(found, slot, probe.header[first], best[probe.header[first] & 0xffff], probe);
      if (slot[kSlots - 1] == RuleBuckets::kFree) break;
    }
  }
  return first;
}

#ifdef __x86_64__
template <unsigned kWords>
RINGPLANE_AVX2 void survivors_avx2(const HeaderBlock<kWords>& block, const Shape<kWords>& shape, std::uint32_t best,
                                   const std::uint32_t* words, std::uint32_t shift, RuleProbe& probe) noexcept {
  survivors_of(block, shape, best, words, shift, probe);
}

RINGPLANE_AVX2 void places_avx2(std::uint32_t buckets, RuleProbe& probe) noexcept {
  places_of(buckets, probe);
}

RINGPLANE_AVX2 std::uint32_t hits_avx2(const RuleBuckets& buckets, const std::uint32_t* best, std::uint32_t first,
                                       RuleProbe& probe) noexcept {
  for (; first < probe.survivors && probe.hits + kRoom <= RuleProbe::kHitCapacity; ++first) {
    const __m256i wanted = _mm256_set1_epi32(static_cast<int>(probe.tag[first]));
    std::uint32_t at = probe.bucket[first];
    for (std::uint32_t chain = 0; chain < RuleBuckets::kChain; ++chain, at = at + 1 == buckets.buckets ? 0 : at + 1) {
      const std::uint32_t* slot = buckets.slots + std::size_t{at} * kSlots;
      const auto* vectors = reinterpret_cast<const __m256i*>(slot);
      constexpr int kShift = RuleBuckets::kIndexBits;
      const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(_mm256_load_si256(vectors), kShift), wanted);
      const __m256i high = _mm256_cmpeq_epi32(_mm256_srli_epi32(_mm256_load_si256(vectors + 1), kShift), wanted);
      const auto low_bits = static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(low)));
      const auto high_bits = static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(high)));
      add_hits(low_bits | (high_bits << 8), slot, probe.header[first], best[probe.header[first] & 0xffff], probe);
      if (slot[kSlots - 1] == RuleBuckets::kFree) break;
    }
  }
  return first;
}

#define RINGPLANE_SET1(value) _mm512_set1_epi32(static_cast<int>(value))

/// shape_hash() of headers [i, i + 16).
template <unsigned kWords>
RINGPLANE_AVX512_INLINE __m512i hash_avx512(const HeaderBlock<kWords>& block, const Shape<kWords>& shape,
                                            std::uint32_t i) noexcept {
  __m512i hash = _mm512_setzero_si512();
  for (unsigned word = 0; word < kWords; ++word) {
    const __m512i part =
        _mm512_and_si512(_mm512_load_si512(&block.source[word][i]), RINGPLANE_SET1(shape.source[word]));
    hash = _mm512_mullo_epi32(_mm512_add_epi32(hash, part), RINGPLANE_SET1(0x9e3779b1U));
    hash = _mm512_xor_si512(hash, _mm512_srli_epi32(hash, 15));
  }
  for (unsigned word = 0; word < kWords; ++word) {
    const __m512i part =
        _mm512_and_si512(_mm512_load_si512(&block.destination[word][i]), RINGPLANE_SET1(shape.destination[word]));
    hash = _mm512_mullo_epi32(_mm512_add_epi32(hash, part), RINGPLANE_SET1(0x85ebca77U));
    hash = _mm512_xor_si512(hash, _mm512_srli_epi32(hash, 13));
  }
  const __m512i ports = _mm512_and_si512(_mm512_load_si512(&block.ports[i]), RINGPLANE_SET1(shape.ports));
  const __m512i traits = _mm512_and_si512(_mm512_load_si512(&block.traits[i]), RINGPLANE_SET1(shape.traits));
  const __m512i rest = _mm512_xor_si512(ports, _mm512_mullo_epi32(traits, RINGPLANE_SET1(0x27d4eb2fU)));
  hash = _mm512_mullo_epi32(_mm512_add_epi32(hash, rest), RINGPLANE_SET1(0xc2b2ae3dU));
  return _mm512_xor_si512(hash, _mm512_srli_epi32(hash, 16));
}

RINGPLANE_AVX512_INLINE __m512i indexes_avx512(std::uint32_t first) noexcept {
  return _mm512_add_epi32(RINGPLANE_SET1(first),
                          _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/// The headers among [i, i + 16) that there are.
RINGPLANE_AVX512_INLINE __mmask16 present_avx512(std::uint32_t count, std::uint32_t i) noexcept {
  const std::uint32_t left = count - i;
  return static_cast<__mmask16>(left >= 16 ? 0xffff : (1U << left) - 1);
}

/// The words at sixteen places of a filter of kPairs * 32 words, without memory.
template <unsigned kPairs>
RINGPLANE_AVX512_INLINE __m512i words_avx512(const __m512i* words, __m512i place) noexcept {
  __m512i found = _mm512_permutex2var_epi32(words[0], place, words[1]);
  const __m512i pair = _mm512_srli_epi32(place, 5);
  for (unsigned i = 1; i < kPairs; ++i) {
    const __m512i others = _mm512_permutex2var_epi32(words[std::size_t{i} * 2], place, words[std::size_t{i} * 2 + 1]);
    found = _mm512_mask_mov_epi32(found, _mm512_cmpeq_epi32_mask(pair, RINGPLANE_SET1(i)), others);
  }
  return found;
}

/// `kPairs`: of vectors that hold the whole filter; 0: it is too large for that.
template <unsigned kWords, unsigned kPairs>
RINGPLANE_AVX512_INLINE void filter_avx512(const HeaderBlock<kWords>& block, const Shape<kWords>& shape,
                                           std::uint32_t best, const std::uint32_t* words, std::uint32_t shift,
                                           RuleProbe& probe) noexcept {
  __m512i held[kPairs == 0 ? 1 : kPairs * 2];
  for (std::size_t i = 0; i < std::size_t{kPairs} * 2; ++i) held[i] = _mm512_loadu_si512(words + i * 16);
  const __m128i by = _mm_cvtsi32_si128(static_cast<int>(shift));
  const __m512i low = _mm512_set1_epi32(31);
  std::uint32_t count = 0;
  std::uint32_t asked = 0;
  for (std::uint32_t i = 0; i < block.count; i += 16) {
    const __mmask16 open = _mm512_mask_cmpgt_epu32_mask(present_avx512(block.count, i),
                                                        _mm512_load_si512(&block.best[i]), RINGPLANE_SET1(best));
    if (kPairs == 0 && open == 0) continue;
    asked += static_cast<std::uint32_t>(std::popcount(static_cast<std::uint32_t>(open)));
    const __m512i own = hash_avx512(block, shape, i);
    const __m512i place = _mm512_srl_epi32(own, by);
    __m512i word;
    if constexpr (kPairs == 0) {
      word = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), open, place, words, 4);
    } else {
      word = words_avx512<kPairs>(held, place);
    }
    const __m512i first = _mm512_srlv_epi32(word, _mm512_and_si512(own, low));
    const __m512i second = _mm512_srlv_epi32(word, _mm512_and_si512(_mm512_srli_epi32(own, 5), low));
    const __mmask16 stay = _mm512_mask_test_epi32_mask(open, _mm512_and_si512(first, second), _mm512_set1_epi32(1));
    const __m512i header = _mm512_or_si512(indexes_avx512(i), _mm512_slli_epi32(_mm512_load_si512(&block.slot[i]), 16));
    _mm512_storeu_si512(&probe.header[count], _mm512_maskz_compress_epi32(stay, header));
    _mm512_storeu_si512(&probe.hash[count], _mm512_maskz_compress_epi32(stay, own));
    count += static_cast<std::uint32_t>(std::popcount(static_cast<std::uint32_t>(stay)));
  }
  probe.survivors = count;
  probe.open = asked;
}

template <unsigned kWords>
RINGPLANE_AVX512 void survivors_avx512(const HeaderBlock<kWords>& block, const Shape<kWords>& shape, std::uint32_t best,
                                       const std::uint32_t* words, std::uint32_t shift, RuleProbe& probe) noexcept {
  switch (std::uint32_t{1} << (32 - shift)) {
    case 32: return filter_avx512<kWords, 1>(block, shape, best, words, shift, probe);
    case 64: return filter_avx512<kWords, 2>(block, shape, best, words, shift, probe);
    case 128: return filter_avx512<kWords, 4>(block, shape, best, words, shift, probe);
    default: return filter_avx512<kWords, 0>(block, shape, best, words, shift, probe);
  }
}
static_assert(RuleFilter<1>::kMinWords == 32);

RINGPLANE_AVX512 void places_avx512(std::uint32_t buckets, RuleProbe& probe) noexcept {
  const __m512i factor = RINGPLANE_SET1(buckets);
  for (std::uint32_t n = 0; n < probe.survivors; n += 16) {
    const __m512i hash = _mm512_load_si512(&probe.hash[n]);
    const __m512i mixed = _mm512_mullo_epi32(hash, RINGPLANE_SET1(0x9e3779b1U));
    const __m512i even = _mm512_srli_epi64(_mm512_mul_epu32(mixed, factor), 32);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(mixed, 32), factor);
    _mm512_store_si512(&probe.bucket[n], _mm512_mask_blend_epi32(0xaaaa, even, odd));
    const __m512i tag = _mm512_and_si512(_mm512_srli_epi32(hash, 4), RINGPLANE_SET1(RuleBuckets::kTagMask));
    _mm512_store_si512(&probe.tag[n], _mm512_min_epu32(tag, RINGPLANE_SET1(RuleBuckets::kTagMask - 1)));
  }
}

RINGPLANE_AVX512 std::uint32_t hits_avx512(const RuleBuckets& buckets, const std::uint32_t* best, std::uint32_t first,
                                           RuleProbe& probe) noexcept {
  std::uint32_t hits = probe.hits;
  const __m512i index_mask = RINGPLANE_SET1(RuleBuckets::kIndexMask);
  for (; first < probe.survivors && hits + kRoom <= RuleProbe::kHitCapacity; ++first) {
    const __m512i wanted = RINGPLANE_SET1(probe.tag[first]);
    const __m512i header = RINGPLANE_SET1(probe.header[first]);
    const __m512i limit = RINGPLANE_SET1(best[probe.header[first] & 0xffff]);
    std::uint32_t at = probe.bucket[first];
    for (std::uint32_t chain = 0; chain < RuleBuckets::kChain; ++chain, at = at + 1 == buckets.buckets ? 0 : at + 1) {
      const std::uint32_t* slot = buckets.slots + std::size_t{at} * kSlots;
      const __m512i all = _mm512_load_si512(slot);
      const __m512i rule = _mm512_and_si512(all, index_mask);
      const __mmask16 better = _mm512_cmplt_epu32_mask(rule, limit);
      const __mmask16 found =
          _mm512_mask_cmpeq_epi32_mask(better, _mm512_srli_epi32(all, RuleBuckets::kIndexBits), wanted);
      // Without a branch on how many there are: mostly one or none, and nobody knows which.
      _mm512_storeu_si512(&probe.hit_rule[hits], _mm512_maskz_compress_epi32(found, rule));
      _mm512_storeu_si512(&probe.hit_header[hits], header);
      hits += static_cast<std::uint32_t>(std::popcount(static_cast<std::uint32_t>(found)));
      if (slot[kSlots - 1] == RuleBuckets::kFree) break;
    }
  }
  probe.hits = hits;
  return first;
}

RINGPLANE_AVX512_INLINE void compress_avx512(__mmask16 stay, std::uint32_t* column, std::uint32_t from,
                                             std::uint32_t to) noexcept {
  _mm512_storeu_si512(column + to, _mm512_maskz_compress_epi32(stay, _mm512_load_si512(column + from)));
}

template <unsigned kWords>
RINGPLANE_AVX512 void close_up_avx512(HeaderBlock<kWords>& block, std::uint32_t limit, std::uint32_t* best) noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < block.count; i += 16) {
    const __mmask16 present = present_avx512(block.count, i);
    const __m512i own = _mm512_load_si512(&block.best[i]);
    const __mmask16 stay = _mm512_mask_cmpgt_epu32_mask(present, own, RINGPLANE_SET1(limit));
    _mm512_mask_i32scatter_epi32(best, present, _mm512_load_si512(&block.slot[i]), own, 4);
    for (unsigned word = 0; word < kWords; ++word) {
      compress_avx512(stay, block.source[word].data(), i, count);
      compress_avx512(stay, block.destination[word].data(), i, count);
    }
    compress_avx512(stay, block.ports.data(), i, count);
    compress_avx512(stay, block.traits.data(), i, count);
    compress_avx512(stay, block.slot.data(), i, count);
    compress_avx512(stay, block.best.data(), i, count);
    count += static_cast<std::uint32_t>(std::popcount(static_cast<std::uint32_t>(stay)));
  }
  block.count = count;
}

template <unsigned kWords>
RINGPLANE_AVX512 void open_avx512(HeaderBlock<kWords>& block) noexcept {
  // Rows are four numbers, so four vectors hold sixteen of them: first in two halves of eight.
  const __m512i even = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(2));
  for (std::uint32_t i = 0; i < block.count; i += 16) {
    const KeyRow* rows = block.rows + i;
    const __m512i first = _mm512_load_si512(rows);
    const __m512i second = _mm512_load_si512(rows + 4);
    const __m512i third = _mm512_load_si512(rows + 8);
    const __m512i fourth = _mm512_load_si512(rows + 12);
    const __m512i low_addresses = _mm512_permutex2var_epi32(first, even, second);
    const __m512i high_addresses = _mm512_permutex2var_epi32(third, even, fourth);
    const __m512i low_rest = _mm512_permutex2var_epi32(first, odd, second);
    const __m512i high_rest = _mm512_permutex2var_epi32(third, odd, fourth);
    _mm512_store_si512(&block.source[0][i], _mm512_shuffle_i64x2(low_addresses, high_addresses, 0b01'00'01'00));
    _mm512_store_si512(&block.destination[0][i], _mm512_shuffle_i64x2(low_addresses, high_addresses, 0b11'10'11'10));
    _mm512_store_si512(&block.ports[i], _mm512_shuffle_i64x2(low_rest, high_rest, 0b01'00'01'00));
    _mm512_store_si512(&block.traits[i], _mm512_shuffle_i64x2(low_rest, high_rest, 0b11'10'11'10));
    _mm512_store_si512(&block.slot[i], indexes_avx512(i));
    _mm512_store_si512(&block.best[i], _mm512_set1_epi32(-1));
  }
}
#endif

}  // namespace

template <unsigned kWords>
const RuleFilter<kWords>& rule_filter(base::VectorWidth width) noexcept {
  static constexpr RuleFilter<kWords> kPlain{survivors_plain<kWords>, places_plain, hits_plain, close_up_of<kWords>,
                                             open_of<kWords>};
#ifdef __x86_64__
  static constexpr RuleFilter<kWords> kAvx2{survivors_avx2<kWords>, places_avx2, hits_avx2, close_up_of<kWords>,
                                            open_of<kWords>};
  static constexpr RuleFilter<kWords> kAvx512{survivors_avx512<kWords>, places_avx512, hits_avx512,
                                              close_up_avx512<kWords>, open_avx512<kWords>};
  if (width == base::VectorWidth::kAvx512) return kAvx512;
  if (width == base::VectorWidth::kAvx2) return kAvx2;
#endif
  static_cast<void>(width);
  return kPlain;
}

template const RuleFilter<1>& rule_filter<1>(base::VectorWidth width) noexcept;
template const RuleFilter<4>& rule_filter<4>(base::VectorWidth width) noexcept;

}  // namespace ringplane::firewall
