// pf's timeouts: their names, their defaults and the presets of `set optimization` (pf.conf(5) OPTIONS).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ringplane::firewall {

// X(name in C++, name in pf.conf, default). Seconds, but for adaptive.*: numbers of states.
#define RINGPLANE_PF_TIMEOUTS(X)               \
  X(kTcpFirst, "tcp.first", 120)               \
  X(kTcpOpening, "tcp.opening", 30)            \
  X(kTcpEstablished, "tcp.established", 86400) \
  X(kTcpClosing, "tcp.closing", 900)           \
  X(kTcpFinwait, "tcp.finwait", 45)            \
  X(kTcpClosed, "tcp.closed", 90)              \
  X(kTcpTsdiff, "tcp.tsdiff", 30)              \
  X(kUdpFirst, "udp.first", 60)                \
  X(kUdpSingle, "udp.single", 30)              \
  X(kUdpMultiple, "udp.multiple", 60)          \
  X(kIcmpFirst, "icmp.first", 20)              \
  X(kIcmpError, "icmp.error", 10)              \
  X(kOtherFirst, "other.first", 60)            \
  X(kOtherSingle, "other.single", 30)          \
  X(kOtherMultiple, "other.multiple", 60)      \
  X(kFrag, "frag", 60)                         \
  X(kInterval, "interval", 10)                 \
  X(kSrcTrack, "src.track", 0)                 \
  X(kAdaptiveStart, "adaptive.start", 60000)   \
  X(kAdaptiveEnd, "adaptive.end", 120000)

enum class Timeout : std::uint8_t {
#define RINGPLANE_X(name, text, value) name,
  RINGPLANE_PF_TIMEOUTS(RINGPLANE_X)
#undef RINGPLANE_X
};

inline constexpr auto kTimeoutNames = std::to_array<std::string_view>({
#define RINGPLANE_X(name, text, value) text,
    RINGPLANE_PF_TIMEOUTS(RINGPLANE_X)
#undef RINGPLANE_X
});
inline constexpr std::size_t kTimeoutCount = kTimeoutNames.size();

/// One value per Timeout. Seconds; adaptive.start and adaptive.end are numbers of states, both 0: not adaptive.
struct Timeouts {
  std::array<std::uint32_t, kTimeoutCount> value = {
#define RINGPLANE_X(name, text, default_value) default_value,
      RINGPLANE_PF_TIMEOUTS(RINGPLANE_X)
#undef RINGPLANE_X
  };
  [[nodiscard]] std::uint32_t operator[](Timeout timeout) const noexcept {
    return value[static_cast<std::size_t>(timeout)];
  }
};

/// What one rule's state options replace: bit i of `set` says that value[i] counts.
struct TimeoutOverrides {
  std::array<std::uint32_t, kTimeoutCount> value{};
  std::uint32_t set = 0;

  [[nodiscard]] bool has(Timeout timeout) const noexcept { return ((set >> static_cast<unsigned>(timeout)) & 1U) != 0; }
  void put(Timeout timeout, std::uint32_t seconds) noexcept {
    value[static_cast<std::size_t>(timeout)] = seconds;
    set |= 1U << static_cast<unsigned>(timeout);
  }
  /// `base` with what is set here in its place.
  [[nodiscard]] Timeouts over(const Timeouts& base) const noexcept;
};
static_assert(kTimeoutCount <= 32);

[[nodiscard]] std::optional<Timeout> find_timeout(std::string_view name) noexcept;
/// The values that `set optimization <name>` puts in place; nullopt: no such preset.
[[nodiscard]] std::optional<TimeoutOverrides> find_optimization(std::string_view name) noexcept;

}  // namespace ringplane::firewall
