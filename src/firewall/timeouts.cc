#include "firewall/timeouts.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ringplane::firewall {
namespace {

// The presets concern TCP only: first, opening, established, closing, finwait, closed, tsdiff (pfctl's hints).
struct Preset {
  std::string_view name;
  std::uint32_t seconds[7];
};
constexpr std::uint32_t kMinute = 60;
constexpr std::uint32_t kHour = 60 * kMinute;
constexpr Preset kPresets[] = {
    {"default", {120, 30, 24 * kHour, 15 * kMinute, 45, 90, 30}},
    {"normal", {120, 30, 24 * kHour, 15 * kMinute, 45, 90, 30}},
    {"satellite", {180, 35, 24 * kHour, 15 * kMinute + 5, 50, 95, 60}},
    {"high-latency", {180, 35, 24 * kHour, 15 * kMinute + 5, 50, 95, 60}},
    {"conservative", {kHour, 15 * kMinute, 5 * 24 * kHour, kHour, 10 * kMinute, 3 * kMinute, 60}},
    {"aggressive", {30, 5, 5 * kHour, kMinute, 30, 30, 10}},
};

}  // namespace

Timeouts TimeoutOverrides::over(const Timeouts& base) const noexcept {
  Timeouts result = base;
  for (std::size_t i = 0; i < kTimeoutCount; ++i) {
    if (has(static_cast<Timeout>(i))) result.value[i] = value[i];
  }
  return result;
}

std::optional<Timeout> find_timeout(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kTimeoutCount; ++i) {
    if (kTimeoutNames[i] == name) return static_cast<Timeout>(i);
  }
  return std::nullopt;
}

std::optional<TimeoutOverrides> find_optimization(std::string_view name) noexcept {
  for (const Preset& preset : kPresets) {
    if (preset.name != name) continue;
    TimeoutOverrides overrides;
    for (std::size_t i = 0; i < 7; ++i) overrides.put(static_cast<Timeout>(i), preset.seconds[i]);
    return overrides;
  }
  return std::nullopt;
}

}  // namespace ringplane::firewall
