#include "base/clock.h"

#include <time.h>

#include <cstdint>
#include <ctime>

namespace ringplane::base {
namespace {

std::uint64_t read_ns(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kNanosPerSecond + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::uint64_t monotonic_ns() noexcept {
  return read_ns(CLOCK_MONOTONIC);
}
std::uint64_t wall_clock_ns() noexcept {
  return read_ns(CLOCK_REALTIME);
}

}  // namespace ringplane::base
