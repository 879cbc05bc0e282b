#include "port/dpdk/symmetric_rss_key.h"

#include <rte_thash.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>

#include <gtest/gtest.h>

#include "base/random.h"

namespace ringplane::port {
namespace {

/// Toeplitz by its definition, bit by bit; `words` in host order, as DPDK's function takes them.
std::uint32_t toeplitz(std::span<const std::uint32_t> words, std::span<const std::uint8_t> key) {
  const auto key_bit = [&](std::size_t at) { return key[at / 8] >> (7 - at % 8) & 1; };
  std::uint32_t hash = 0;
  for (std::size_t bit = 0; bit < words.size() * 32; ++bit) {
    if ((words[bit / 32] >> (31 - bit % 32) & 1) == 0) continue;
    for (std::size_t i = 0; i < 32; ++i) hash ^= static_cast<std::uint32_t>(key_bit(bit + i)) << (31 - i);
  }
  return hash;
}

template <std::size_t kWords>
std::uint32_t hash_of(std::array<std::uint32_t, kWords> tuple) {
  const std::uint32_t hash = toeplitz(tuple, kSymmetricRssKey);
  EXPECT_EQ(rte_softrss(tuple.data(), kWords, kSymmetricRssKey.data()), hash) << "what DPDK says a NIC computes";
  return hash;
}

TEST(SymmetricRssKey, GivesBothDirectionsOfAnIpv4FlowOneHash) {
  base::Random random(1);
  std::set<std::uint32_t> hashes;
  for (int i = 0; i < 2000; ++i) {
    const auto a = static_cast<std::uint32_t>(random());
    const auto b = static_cast<std::uint32_t>(random());
    const std::uint32_t p = random.below(65536);
    const std::uint32_t q = random.below(65536);
    const std::uint32_t there = hash_of<3>({a, b, p << 16 | q});
    EXPECT_EQ(there, hash_of<3>({b, a, q << 16 | p}));
    EXPECT_EQ(hash_of<2>({a, b}), hash_of<2>({b, a})) << "fragments, ICMP: addresses alone";
    hashes.insert(there);
  }
  EXPECT_GT(hashes.size(), 1800U) << "and still spreads the flows";
}

TEST(SymmetricRssKey, GivesBothDirectionsOfAnIpv6FlowOneHash) {
  base::Random random(2);
  for (int i = 0; i < 500; ++i) {
    std::array<std::uint32_t, 9> there{};
    for (std::uint32_t& word : there) word = static_cast<std::uint32_t>(random());
    std::array<std::uint32_t, 9> back{};
    for (std::size_t k = 0; k < 4; ++k) {
      back[k] = there[k + 4];
      back[k + 4] = there[k];
    }
    back[8] = there[8] << 16 | there[8] >> 16;
    EXPECT_EQ(hash_of(there), hash_of(back));
  }
}

}  // namespace
}  // namespace ringplane::port
