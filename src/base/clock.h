// Time is an argument: a worker reads the clock once a turn and hands `now_ns` to all it calls.
#pragma once

#include <cstdint>

namespace ringplane::base {

inline constexpr std::uint64_t kNanosPerMicro = 1'000;
inline constexpr std::uint64_t kNanosPerMilli = 1'000'000;
inline constexpr std::uint64_t kNanosPerSecond = 1'000'000'000;

/// CLOCK_MONOTONIC in nanoseconds.
[[nodiscard]] std::uint64_t monotonic_ns() noexcept;
/// CLOCK_REALTIME in nanoseconds since 1970; for log lines only.
[[nodiscard]] std::uint64_t wall_clock_ns() noexcept;

}  // namespace ringplane::base
