// Addresses and prefixes of both families in one shape, so that tables and rules are written once.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "wire/bytes.h"

namespace ringplane::wire {

enum class Family : std::uint8_t { kNone = 0, kIpv4 = 4, kIpv6 = 6 };

[[nodiscard]] constexpr unsigned address_bits(Family family) noexcept {
  return family == Family::kIpv4 ? 32 : 128;
}

/// 16 bytes in network order; an IPv4 address is the first four, the rest zero. The family stands beside it
/// (FlowKey, Prefix), never inside.
struct IpAddress {
  alignas(8) std::array<std::uint8_t, 16> bytes{};

  [[nodiscard]] static constexpr IpAddress from_ipv4(std::uint32_t host_order) noexcept {
    IpAddress address;
    for (unsigned i = 0; i < 4; ++i) address.bytes[i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
    return address;
  }
  /// First 4 (IPv4) or 16 (IPv6) bytes at `from`.
  [[nodiscard]] static IpAddress from_wire(const std::uint8_t* from, Family family) noexcept {
    IpAddress address;
    std::memcpy(address.bytes.data(), from, family == Family::kIpv4 ? 4 : 16);
    return address;
  }
  /// The IPv4 address in host order.
  [[nodiscard]] constexpr std::uint32_t ipv4() const noexcept {
    return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) | (std::uint32_t{bytes[2]} << 8) |
           bytes[3];
  }
  [[nodiscard]] constexpr bool bit(unsigned index) const noexcept { return (bytes[index / 8] >> (7 - index % 8)) & 1; }
  [[nodiscard]] constexpr auto operator<=>(const IpAddress&) const noexcept = default;
};
static_assert(sizeof(IpAddress) == 16);

/// An address of either family, as configuration and output speak of it.
struct HostAddress {
  Family family = Family::kNone;
  IpAddress address;
  [[nodiscard]] constexpr auto operator<=>(const HostAddress&) const noexcept = default;
};

/// Address with its host bits clear, and the number of bits that count; length <= address_bits(family).
struct Prefix {
  Family family = Family::kNone;
  std::uint8_t length = 0;
  IpAddress address;

  /// Clears the host bits.
  [[nodiscard]] static Prefix of(Family family, const IpAddress& address, unsigned length) noexcept;
  [[nodiscard]] bool contains(Family other_family, const IpAddress& other) const noexcept;
  [[nodiscard]] bool contains(const Prefix& other) const noexcept {
    return other.length >= length && contains(other.family, other.address);
  }
  [[nodiscard]] constexpr auto operator<=>(const Prefix&) const noexcept = default;
};

/// "192.0.2.1", "2001:db8::1" (RFC 5952).
[[nodiscard]] std::string to_string(Family family, const IpAddress& address);
[[nodiscard]] inline std::string to_string(const HostAddress& host) {
  return to_string(host.family, host.address);
}
/// "192.0.2.0/24"; a full-length prefix prints without the slash.
[[nodiscard]] std::string to_string(const Prefix& prefix);

/// Dotted quad or IPv6 text; nothing else around it.
[[nodiscard]] std::optional<HostAddress> parse_host_address(std::string_view text);
/// Address with an optional "/length"; host bits are cleared.
[[nodiscard]] std::optional<Prefix> parse_prefix(std::string_view text);

}  // namespace ringplane::wire
