// FlowTimes: from the workers' clock, which nobody sets, to the time of day as it is now. A clock that is set moves
// what is written from then on; how long a flow lived stays right.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "flow/timeouts.h"

namespace ringplane::report {

struct FlowTimes {
  std::uint64_t monotonic_ns = 0;
  std::uint64_t wall_ns = 0;

  [[nodiscard]] static FlowTimes now() noexcept { return {base::monotonic_ns(), base::wall_clock_ns()}; }
  /// The time of day, in ns since 1970, of a moment in the past.
  [[nodiscard]] std::uint64_t wall_of(std::uint64_t then_ns) const noexcept {
    return wall_ns - (monotonic_ns > then_ns ? monotonic_ns - then_ns : 0);
  }
  [[nodiscard]] std::uint64_t wall_of(flow::Tick then) const noexcept {
    const flow::Tick ago = flow::tick_of(monotonic_ns) - then;
    return wall_ns - (static_cast<std::int32_t>(ago) > 0 ? ago * flow::kTickNs : 0);
  }
};

}  // namespace ringplane::report
