// Counters cross the thread border outwards: one writer (the owning worker), any number of readers, no locked
// instruction. A reader sees a value that was true a moment ago; sums over workers are not a point in time.
#pragma once

#include <atomic>
#include <cstdint>

namespace ringplane::base {

class Counter {
 public:
  /// Owner thread only.
  void add(std::uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  /// Owner thread only; for gauges (live flows, live states).
  void subtract(std::uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  /// Any thread.
  [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace ringplane::base
