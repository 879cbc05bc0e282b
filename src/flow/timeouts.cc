#include "flow/timeouts.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ringplane::flow {
namespace {

constexpr std::uint64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

std::optional<TimeoutClass> timeout_class_of(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kTimeoutClassCount; ++i) {
    if (kTimeoutNames[i] == name) return static_cast<TimeoutClass>(i);
  }
  return std::nullopt;
}

Tick FlowTimeouts::ticks(TimeoutClass timeout, std::uint32_t flows) const noexcept {
  const std::uint64_t capped_seconds = std::min((*this)[timeout], kMaxTimeoutSeconds);
  const auto full = static_cast<Tick>((capped_seconds * kNanosPerSecond) >> kTickShift);
  if (adaptive_end_flows <= adaptive_start_flows || flows <= adaptive_start_flows) return full;
  if (flows >= adaptive_end_flows) return 0;
  return static_cast<Tick>(std::uint64_t{full} * (adaptive_end_flows - flows) /
                           (adaptive_end_flows - adaptive_start_flows));
}

}  // namespace ringplane::flow
