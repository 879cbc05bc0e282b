// How long a flow may be silent before it ends. The classes, their names and their defaults are those of
// pf.conf(5) "set timeout"; which class a flow is in follows from its conntrack state (conntrack.h: timeout_class).
//
// The table keeps time in ticks of 2^24 ns (16.8 ms) in 32 bits. Ticks wrap after 2.2 years of uptime and are compared
// like sequence numbers, so a timeout may be at most half of that.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ringplane::flow {

using Tick = std::uint32_t;
inline constexpr unsigned kTickShift = 24;
inline constexpr std::uint64_t kTickNs = std::uint64_t{1} << kTickShift;
[[nodiscard]] constexpr Tick tick_of(std::uint64_t now_ns) noexcept {
  return static_cast<Tick>(now_ns >> kTickShift);
}

// X(enumerator, name in pf.conf, default in seconds)
#define RINGPLANE_TIMEOUT_CLASSES(X)           \
  X(kTcpFirst, "tcp.first", 120)               \
  X(kTcpOpening, "tcp.opening", 30)            \
  X(kTcpEstablished, "tcp.established", 86400) \
  X(kTcpClosing, "tcp.closing", 900)           \
  X(kTcpFinWait, "tcp.finwait", 45)            \
  X(kTcpClosed, "tcp.closed", 90)              \
  X(kUdpFirst, "udp.first", 60)                \
  X(kUdpSingle, "udp.single", 30)              \
  X(kUdpMultiple, "udp.multiple", 60)          \
  X(kIcmpFirst, "icmp.first", 20)              \
  X(kIcmpError, "icmp.error", 10)              \
  X(kOtherFirst, "other.first", 60)            \
  X(kOtherSingle, "other.single", 30)          \
  X(kOtherMultiple, "other.multiple", 60)

enum class TimeoutClass : std::uint8_t {
#define RINGPLANE_X(enumerator, name, seconds) enumerator,
  RINGPLANE_TIMEOUT_CLASSES(RINGPLANE_X)
#undef RINGPLANE_X
};

inline constexpr auto kTimeoutNames = std::to_array<std::string_view>({
#define RINGPLANE_X(enumerator, name, seconds) name,
    RINGPLANE_TIMEOUT_CLASSES(RINGPLANE_X)
#undef RINGPLANE_X
});
inline constexpr std::size_t kTimeoutClassCount = kTimeoutNames.size();

[[nodiscard]] constexpr std::string_view name_of(TimeoutClass timeout) noexcept {
  return kTimeoutNames[static_cast<std::size_t>(timeout)];
}
/// The class called `name` in pf.conf ("tcp.first"), if there is one.
[[nodiscard]] std::optional<TimeoutClass> timeout_class_of(std::string_view name) noexcept;

/// Longest timeout that ticks can express, in seconds (a year).
inline constexpr std::uint32_t kMaxTimeoutSeconds = 365 * 86400;

/// One set of timeouts: the global one ("set timeout"), or that with what a rule overrides ("keep state (...)").
struct FlowTimeouts {
  std::array<std::uint32_t, kTimeoutClassCount> seconds{
#define RINGPLANE_X(enumerator, name, default_seconds) default_seconds,
      RINGPLANE_TIMEOUT_CLASSES(RINGPLANE_X)
#undef RINGPLANE_X
  };
  /// Adaptive scaling (pf.conf(5) adaptive.start, adaptive.end), in flows of one worker's table: above `start` every
  /// timeout is multiplied by (end - flows) / (end - start); at `end` it is zero. start = end = 0: none.
  std::uint32_t adaptive_start_flows = 0;
  std::uint32_t adaptive_end_flows = 0;

  [[nodiscard]] constexpr std::uint32_t& operator[](TimeoutClass timeout) noexcept {
    return seconds[static_cast<std::size_t>(timeout)];
  }
  [[nodiscard]] constexpr std::uint32_t operator[](TimeoutClass timeout) const noexcept {
    return seconds[static_cast<std::size_t>(timeout)];
  }
  /// pf's default scaling for a table of `capacity` flows: from 60 % to 120 % of it.
  constexpr void set_adaptive_defaults(std::uint32_t capacity) noexcept {
    adaptive_start_flows = static_cast<std::uint32_t>(std::uint64_t{capacity} * 6 / 10);
    adaptive_end_flows = static_cast<std::uint32_t>(std::uint64_t{capacity} * 12 / 10);
  }
  /// The timeout of `timeout` in ticks while the table holds `flows` flows.
  [[nodiscard]] Tick ticks(TimeoutClass timeout, std::uint32_t flows) const noexcept;
};

}  // namespace ringplane::flow
