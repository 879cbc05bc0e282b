// Keyed hashing for tables that strangers can fill. 128-bit folded multiplication: the fastest mixer on 64-bit
// machines that still depends on every input bit and on a secret, so that keys which collide cannot be computed
// without knowing the secret. Not a MAC: never show a hash to the network.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace ringplane::base {

struct HashSecret {
  std::array<std::uint64_t, 4> word;
};

[[nodiscard]] constexpr std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

[[nodiscard]] inline std::uint64_t load64(const void* from) noexcept {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

/// Hash of `kBytes` (a multiple of 8, at most 64) bytes at `data` under `secret`.
template <std::size_t kBytes>
[[nodiscard]] inline std::uint64_t keyed_hash(const void* data, const HashSecret& secret) noexcept {
  static_assert(kBytes % 8 == 0 && kBytes > 0 && kBytes <= 64);
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::uint64_t state = secret.word[0] ^ (kBytes * 0x9e3779b97f4a7c15ULL);
  for (std::size_t i = 0; i + 16 <= kBytes; i += 16) {
    state = fold_multiply(load64(bytes + i) ^ secret.word[1] ^ state, load64(bytes + i + 8) ^ secret.word[2]);
  }
  if constexpr (kBytes % 16 == 8)
    state = fold_multiply(load64(bytes + kBytes - 8) ^ secret.word[1] ^ state, secret.word[2]);
  return fold_multiply(state ^ secret.word[3], secret.word[1] | 1);
}

}  // namespace ringplane::base
