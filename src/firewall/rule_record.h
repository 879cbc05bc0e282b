// The conditions of most rules as a lookup checks them, one record for each family: HotRule in half a cache line,
// WideRule in a whole one. And the block of headers that is open while tables are asked.
#pragma once

#include <array>
#include <cstdint>

#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

#include "base/branchless.h"
#include "firewall/key_block.h"

namespace ringplane::firewall {

/// Headers that a better rule may still be found for, side by side. Addresses are `kWords` numbers in host order.
template <unsigned kWords>
struct HeaderBlock {
  static constexpr std::uint32_t kCapacity = KeyBlock::kCapacity;
  template <class T>
  using Column = std::array<T, kCapacity>;

  std::uint32_t count = 0;
  const KeyRow* rows = nullptr;  ///< of the KeyBlock, by `slot`
  alignas(64) std::array<Column<std::uint32_t>, kWords> source;
  alignas(64) std::array<Column<std::uint32_t>, kWords> destination;
  alignas(64) Column<std::uint32_t> ports;   ///< as in KeyRow
  alignas(64) Column<std::uint32_t> traits;  ///< likewise
  alignas(64) Column<std::uint32_t> best;    ///< index of the best rule found so far, or above all
  alignas(64) Column<std::uint32_t> slot;    ///< where the header is in the KeyBlock
};

/// Which bits of a header the key of a table is made of.
template <unsigned kWords>
struct Shape {
  std::array<std::uint32_t, kWords> source{};
  std::array<std::uint32_t, kWords> destination{};
  std::uint32_t ports = 0;
  std::uint32_t traits = 0;
  [[nodiscard]] auto operator<=>(const Shape&) const noexcept = default;
};

/// Of IPv4 packets. Laid out so that four conditions are checked at once: (header ^ value) & mask is 0, but for ports,
/// of which the header's lie between both.
struct alignas(32) HotRule {
  static constexpr unsigned kWords = 1;
  KeyRow value{};                                                                 ///< `ports`: the lowest of each
  KeyRow mask{.source = 0, .destination = 0, .ports = 0xffff'ffff, .traits = 0};  ///< `ports`: the highest of each

  /// 0 if the rule matches but for its further conditions, else 1. `slot`: of the header.
  [[nodiscard, gnu::always_inline]] std::uint32_t misses(const HeaderBlock<1>& block, std::uint32_t /*header*/,
                                                         std::uint32_t slot) const noexcept {
    const KeyRow& row = block.rows[slot];
#ifdef __SSE4_1__
    const __m128i own = _mm_load_si128(reinterpret_cast<const __m128i*>(&row));
    const __m128i low = _mm_load_si128(reinterpret_cast<const __m128i*>(&value));
    const __m128i high = _mm_load_si128(reinterpret_cast<const __m128i*>(&mask));
    const __m128i differs = _mm_and_si128(_mm_xor_si128(own, low), high);
    const __m128i outside =
        _mm_or_si128(_mm_xor_si128(_mm_max_epu16(own, low), own), _mm_xor_si128(_mm_min_epu16(own, high), own));
    constexpr int kPorts = 0b0011'0000;
    const __m128i right = _mm_cmpeq_epi32(_mm_blend_epi16(differs, outside, kPorts), _mm_setzero_si128());
    // By arithmetic, which no compiler makes a jump of.
    const std::uint32_t wrong = static_cast<std::uint32_t>(_mm_movemask_epi8(right)) ^ 0xffff;
    return (wrong + 0xffff) >> 16;
#else
    const auto between = [](std::uint32_t port, std::uint32_t low, std::uint32_t high) {
      return base::all_hold(port >= low, port <= high);
    };
    const bool holds = base::all_hold(((row.source ^ value.source) & mask.source) == 0,
                                      ((row.destination ^ value.destination) & mask.destination) == 0,
                                      ((row.traits ^ value.traits) & mask.traits) == 0,
                                      between(row.ports >> 16, value.ports >> 16, mask.ports >> 16),
                                      between(row.ports & 0xffff, value.ports & 0xffff, mask.ports & 0xffff));
    return holds ? 0 : 1;
#endif
  }
  [[nodiscard]] std::uint32_t source_word(unsigned) const noexcept { return value.source; }
  [[nodiscard]] std::uint32_t destination_word(unsigned) const noexcept { return value.destination; }
  [[nodiscard]] std::uint32_t source_bits(unsigned) const noexcept { return mask.source; }
  [[nodiscard]] std::uint32_t destination_bits(unsigned) const noexcept { return mask.destination; }
  [[nodiscard]] std::uint32_t ports_low() const noexcept { return value.ports; }
  [[nodiscard]] std::uint32_t ports_high() const noexcept { return mask.ports; }
  [[nodiscard]] std::uint32_t traits() const noexcept { return value.traits; }
  [[nodiscard]] std::uint32_t traits_bits() const noexcept { return mask.traits; }
};
static_assert(sizeof(HotRule) == 32);

/// Of IPv6 packets. Addresses as four numbers in host order, most significant first, host bits clear.
struct alignas(64) WideRule {
  static constexpr unsigned kWords = 4;
  std::array<std::uint32_t, 4> source{};
  std::array<std::uint32_t, 4> destination{};
  std::uint32_t low_ports = 0;
  std::uint32_t high_ports = 0xffff'ffff;
  std::uint32_t traits_value = 0;
  std::uint32_t traits_mask = 0;
  std::uint8_t source_length = 0;
  std::uint8_t destination_length = 0;

  [[nodiscard, gnu::always_inline]] std::uint32_t misses(const HeaderBlock<4>& block, std::uint32_t header,
                                                         std::uint32_t /*slot*/) const noexcept {
    std::uint32_t differs = (block.traits[header] ^ traits_value) & traits_mask;
    for (unsigned word = 0; word < kWords; ++word) {
      differs |= (block.source[word][header] ^ source[word]) & source_bits(word);
      differs |= (block.destination[word][header] ^ destination[word]) & destination_bits(word);
    }
    const std::uint32_t ports = block.ports[header];
    const bool holds =
        base::all_hold(differs == 0, (ports >> 16) >= (low_ports >> 16), (ports >> 16) <= (high_ports >> 16),
                       (ports & 0xffff) >= (low_ports & 0xffff), (ports & 0xffff) <= (high_ports & 0xffff));
    return holds ? 0 : 1;
  }
  [[nodiscard]] std::uint32_t source_word(unsigned word) const noexcept { return source[word]; }
  [[nodiscard]] std::uint32_t destination_word(unsigned word) const noexcept { return destination[word]; }
  [[nodiscard]] std::uint32_t source_bits(unsigned word) const noexcept { return bits(source_length, word); }
  [[nodiscard]] std::uint32_t destination_bits(unsigned word) const noexcept { return bits(destination_length, word); }
  [[nodiscard]] std::uint32_t ports_low() const noexcept { return low_ports; }
  [[nodiscard]] std::uint32_t ports_high() const noexcept { return high_ports; }
  [[nodiscard]] std::uint32_t traits() const noexcept { return traits_value; }
  [[nodiscard]] std::uint32_t traits_bits() const noexcept { return traits_mask; }

 private:
  /// Which bits of a word count, of an address of which `length` leading ones do.
  [[nodiscard]] static constexpr std::uint32_t bits(std::uint32_t length, unsigned word) noexcept {
    const std::uint32_t before = word * 32;
    const std::uint32_t own = length <= before ? 0 : (length - before < 32 ? length - before : 32);
    return static_cast<std::uint32_t>(~(~std::uint64_t{0} >> own) >> 32);
  }
};
static_assert(sizeof(WideRule) == 64);

}  // namespace ringplane::firewall
