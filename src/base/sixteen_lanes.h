// Sixteen records side by side, for AVX-512: words of 16 bytes of sixteen places in memory as four vectors of sixteen
// 32-bit elements, and back. Only for functions that carry RINGPLANE_AVX512 themselves.
#pragma once

#ifdef __x86_64__
#include <cstddef>
#include <cstdint>

#include "base/vector_target.h"

namespace ringplane::base {

inline constexpr std::size_t kLanes = 16;

/// Four 32-bit words of each of sixteen records: word w of record i is element i of word[w].
struct Words {
  __m512i word[4];
};

RINGPLANE_AVX512_INLINE __m512i all_lanes(std::uint32_t value) noexcept {
  return _mm512_set1_epi32(static_cast<int>(value));
}

/// Each 32-bit element made of the bytes of its own that `order` names, lowest first; 0x80: zero.
RINGPLANE_AVX512_INLINE __m512i bytes_of(__m512i words, std::uint32_t order) noexcept {
  const __m128i first = _mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c);
  const __m128i control = _mm_or_si128(_mm_set1_epi32(static_cast<int>(order)), first);
  return _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(control));
}

namespace lanes_detail {

RINGPLANE_AVX512_INLINE __m128i sixteen_bytes(const std::uint8_t* at) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}

/// Sixteen bytes at `offset` of records k, k + 4, k + 8 and k + 12.
RINGPLANE_AVX512_INLINE __m512i four_of(const std::uint8_t* const* at, std::size_t k, std::size_t offset) noexcept {
  __m512i all = _mm512_castsi128_si512(sixteen_bytes(at[k] + offset));
  all = _mm512_mask_broadcast_i32x4(all, 0x00f0, sixteen_bytes(at[k + 4] + offset));
  all = _mm512_mask_broadcast_i32x4(all, 0x0f00, sixteen_bytes(at[k + 8] + offset));
  return _mm512_mask_broadcast_i32x4(all, 0xf000, sixteen_bytes(at[k + 12] + offset));
}

RINGPLANE_AVX512_INLINE void store_four(std::uint8_t* const* at, std::size_t k, std::size_t offset,
                                        __m512i all) noexcept {
  const auto place = [&](std::size_t record) noexcept { return reinterpret_cast<__m128i*>(at[record] + offset); };
  _mm_storeu_si128(place(k), _mm512_castsi512_si128(all));
  _mm_storeu_si128(place(k + 4), _mm512_extracti32x4_epi32(all, 1));
  _mm_storeu_si128(place(k + 8), _mm512_extracti32x4_epi32(all, 2));
  _mm_storeu_si128(place(k + 12), _mm512_extracti32x4_epi32(all, 3));
}

/// Four vectors of four groups of four elements: element j of group g of vector i goes to element i of group g of
/// vector j.
RINGPLANE_AVX512_INLINE Words turned(__m512i first, __m512i second, __m512i third, __m512i fourth) noexcept {
  const __m512i low_a = _mm512_unpacklo_epi32(first, second);
  const __m512i low_b = _mm512_unpacklo_epi32(third, fourth);
  const __m512i high_a = _mm512_unpackhi_epi32(first, second);
  const __m512i high_b = _mm512_unpackhi_epi32(third, fourth);
  return {{_mm512_unpacklo_epi64(low_a, low_b), _mm512_unpackhi_epi64(low_a, low_b),
           _mm512_unpacklo_epi64(high_a, high_b), _mm512_unpackhi_epi64(high_a, high_b)}};
}

}  // namespace lanes_detail

/// The sixteen bytes at `offset` of the records at[0..16).
RINGPLANE_AVX512_INLINE Words load_words(const std::uint8_t* const* at, std::size_t offset) noexcept {
  using lanes_detail::four_of;
  return lanes_detail::turned(four_of(at, 0, offset), four_of(at, 1, offset), four_of(at, 2, offset),
                              four_of(at, 3, offset));
}

/// The way back; places that are equal get the bytes of one of them.
RINGPLANE_AVX512_INLINE void store_words(std::uint8_t* const* at, std::size_t offset, const Words& words) noexcept {
  const Words rows = lanes_detail::turned(words.word[0], words.word[1], words.word[2], words.word[3]);
  for (std::size_t k = 0; k < 4; ++k) lanes_detail::store_four(at, k, offset, rows.word[k]);
}

}  // namespace ringplane::base
#endif
