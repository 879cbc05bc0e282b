// The key of the Toeplitz hash by which a NIC spreads packets over its queues. The hash XORs one 32-bit window of the
// key for each set bit of the input; a key that repeats every 16 bits has the same window for bits that are 16 apart,
// so swapping two addresses (32 bits each) or two ports (16 bits) changes nothing: both directions of a flow get the
// same hash and queue (S. Woo, K. Park: Scalable TCP Session Monitoring with Symmetric Receive-side Scaling, 2012).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ringplane::port {

/// The longest that DPDK's devices take; each takes as many bytes of it as it needs.
inline constexpr std::size_t kMostRssKeyBytes = 64;
inline constexpr auto kSymmetricRssKey = [] {
  std::array<std::uint8_t, kMostRssKeyBytes> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = i % 2 == 0 ? 0x6d : 0x5a;
  return key;
}();

}  // namespace ringplane::port
