// Randomness is an argument: whoever needs it is handed a Random, and prints the seed where a run must be repeatable.
#pragma once

#include <cstdint>
#include <limits>

#include "base/hash.h"

namespace ringplane::base {

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, passes BigCrush. Satisfies std::uniform_random_bit_generator.
class Random {
 public:
  using result_type = std::uint64_t;
  explicit constexpr Random(std::uint64_t seed) noexcept : state_(seed) {}

  static constexpr result_type min() noexcept { return 0; }
  static constexpr result_type max() noexcept { return std::numeric_limits<result_type>::max(); }

  constexpr result_type operator()() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, bound); bound > 0. Bias below 2^-32 for bounds below 2^32.
  constexpr std::uint64_t below(std::uint64_t bound) noexcept {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<Wide>((*this)()) * bound) >> 64);
  }
  /// True with probability `p` in [0, 1].
  constexpr bool chance(double p) noexcept { return static_cast<double>((*this)() >> 11) * 0x1.0p-53 < p; }

 private:
  std::uint64_t state_;
};

/// A hash secret from a seed: for tests. The daemon takes its secret from the kernel (os_random_seed).
[[nodiscard]] constexpr HashSecret secret_from_seed(std::uint64_t seed) noexcept {
  Random random(seed);
  return HashSecret{{random(), random(), random(), random()}};
}

/// 64 bits from getrandom(2).
[[nodiscard]] std::uint64_t os_random_seed();

}  // namespace ringplane::base
