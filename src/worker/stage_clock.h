// StageClock: where the cycles of a turn go. Off (no clock) it costs a well-predicted branch per stage and burst; on, a
// read of the time-stamp counter. For `ringplane bench`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include "base/clock.h"
#endif

namespace ringplane::worker {

enum class Stage : std::uint8_t {
  kReceive,
  kFind,
  kDecode,
  kSteer,
  kTrack,
  kAdmit,
  kAccount,
  kForward,
  kTransmit,
  kTimers
};
inline constexpr auto kStageNames = std::to_array<std::string_view>(
    {"receive", "find", "decode", "steer", "track", "admit", "account", "forward", "transmit", "timers"});

class StageClock {
 public:
  /// Cycles of the time-stamp counter; nanoseconds where there is none.
  [[nodiscard]] static std::uint64_t now() noexcept {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return base::monotonic_ns();
#endif
  }
  void start() noexcept { last_ = now(); }
  /// What has passed since the last call was spent in `stage`.
  void lap(Stage stage) noexcept {
    const std::uint64_t time = now();
    cycles_[static_cast<std::size_t>(stage)] += time - last_;
    last_ = time;
  }
  [[nodiscard]] std::uint64_t cycles(Stage stage) const noexcept { return cycles_[static_cast<std::size_t>(stage)]; }
  void clear() noexcept { cycles_ = {}; }

 private:
  std::uint64_t last_ = 0;
  std::array<std::uint64_t, kStageNames.size()> cycles_{};
};

}  // namespace ringplane::worker
