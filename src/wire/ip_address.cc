#include "wire/ip_address.h"

#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <arpa/inet.h>

namespace ringplane::wire {

Prefix Prefix::of(Family family, const IpAddress& address, unsigned length) noexcept {
  Prefix prefix{.family = family, .length = static_cast<std::uint8_t>(length), .address = address};
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned kept_bits = length > 8 * i ? length - 8 * i : 0;
    if (kept_bits < 8) prefix.address.bytes[i] &= static_cast<std::uint8_t>(0xff00U >> kept_bits);
  }
  return prefix;
}

bool Prefix::contains(Family other_family, const IpAddress& other) const noexcept {
  if (other_family != family) return false;
  const unsigned whole_bytes = length / 8;
  if (std::memcmp(address.bytes.data(), other.bytes.data(), whole_bytes) != 0) return false;
  const unsigned rest_bits = length % 8;
  if (rest_bits == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff00U >> rest_bits);
  return ((address.bytes[whole_bytes] ^ other.bytes[whole_bytes]) & mask) == 0;
}

std::string to_string(Family family, const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(family == Family::kIpv4 ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof text);
  return text;
}

std::string to_string(const Prefix& prefix) {
  std::string text = to_string(prefix.family, prefix.address);
  if (prefix.length != address_bits(prefix.family)) text += '/' + std::to_string(prefix.length);
  return text;
}

std::optional<HostAddress> parse_host_address(std::string_view text) {
  const std::string terminated(text);
  HostAddress host;
  host.family = terminated.find(':') == std::string::npos ? Family::kIpv4 : Family::kIpv6;
  if (inet_pton(host.family == Family::kIpv4 ? AF_INET : AF_INET6, terminated.c_str(), host.address.bytes.data()) !=
      1) {
    return std::nullopt;
  }
  return host;
}

std::optional<Prefix> parse_prefix(std::string_view text) {
  const auto slash = text.find('/');
  const auto host = parse_host_address(text.substr(0, slash));
  if (!host) return std::nullopt;
  unsigned length = address_bits(host->family);
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc{} || end != digits.data() + digits.size() || length > address_bits(host->family))
      return std::nullopt;
  }
  return Prefix::of(host->family, host->address, length);
}

}  // namespace ringplane::wire
