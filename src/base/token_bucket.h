// TokenBucket: at most `rate` events a second on average and `rate` at once. Owner thread only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace ringplane::base {

class TokenBucket {
 public:
  /// `rate_per_second` 0: never.
  explicit TokenBucket(std::uint32_t rate_per_second) noexcept : rate_(rate_per_second), tokens_ns_(full()) {}

  /// Takes one token if there is one. `now_ns` never runs backwards.
  [[nodiscard]] bool take(std::uint64_t now_ns) noexcept {
    if (rate_ == 0) return false;
    // Tokens are kept as the time it takes to earn them, so that no division is needed here.
    if (now_ns - last_ns_ >= kNanosPerSecond) {
      tokens_ns_ = full();
    } else {
      tokens_ns_ = std::min(full(), tokens_ns_ + (now_ns - last_ns_) * rate_);
    }
    last_ns_ = now_ns;
    if (tokens_ns_ < kNanosPerSecond) return false;
    tokens_ns_ -= kNanosPerSecond;
    return true;
  }

 private:
  [[nodiscard]] std::uint64_t full() const noexcept { return rate_ * kNanosPerSecond; }

  std::uint64_t rate_;
  std::uint64_t tokens_ns_;
  std::uint64_t last_ns_ = 0;
};

}  // namespace ringplane::base
