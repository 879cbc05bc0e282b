// IPv4 headers with options (RFC 791).
#pragma once

#include <cstdint>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"
#include "wire/ip_address.h"

namespace ringplane::wire {

/// Value form without options; emit() computes the checksum.
struct Ipv4Header {
  static constexpr std::size_t kBytes = 20;

  std::uint8_t tos = 0;
  std::uint16_t total_length = kBytes;
  std::uint16_t identification = 0;
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset_bytes = 0;  ///< a multiple of 8
  std::uint8_t ttl = 64;
  std::uint8_t protocol = 0;
  IpAddress source;
  IpAddress destination;

  /// Writes kBytes bytes.
  void emit(MutableBytes out) const noexcept;
  [[nodiscard]] bool operator==(const Ipv4Header&) const noexcept = default;
};

class Ipv4View {
 public:
  /// Checks version, lengths, options, fragment geometry and header checksum. Bytes after the total length (Ethernet
  /// padding) are left out of payload().
  [[nodiscard]] static std::expected<Ipv4View, base::DropReason> parse(Bytes packet) noexcept;
  /// As parse(), for the packet that an ICMP error quotes: it may be cut off after the header (RFC 792), and its
  /// checksum may be stale.
  [[nodiscard]] static std::expected<Ipv4View, base::DropReason> parse_quoted(Bytes packet) noexcept;

  [[nodiscard]] std::size_t header_bytes() const noexcept { return std::size_t{4} * (bytes_[0] & 0x0fU); }
  [[nodiscard]] bool has_options() const noexcept { return header_bytes() > Ipv4Header::kBytes; }
  /// Option kind 148 (RFC 2113) and nothing else but padding.
  [[nodiscard]] bool only_router_alert() const noexcept;
  [[nodiscard]] std::uint8_t tos() const noexcept { return bytes_[1]; }
  [[nodiscard]] std::uint16_t total_length() const noexcept { return header_at<Be16>(bytes_.subspan(2)); }
  [[nodiscard]] std::uint16_t identification() const noexcept { return header_at<Be16>(bytes_.subspan(4)); }
  [[nodiscard]] bool dont_fragment() const noexcept { return (bytes_[6] & 0x40) != 0; }
  [[nodiscard]] bool more_fragments() const noexcept { return (bytes_[6] & 0x20) != 0; }
  [[nodiscard]] std::uint16_t fragment_offset_bytes() const noexcept {
    return static_cast<std::uint16_t>((header_at<Be16>(bytes_.subspan(6)) & 0x1fff) * 8);
  }
  [[nodiscard]] std::uint8_t ttl() const noexcept { return bytes_[8]; }
  [[nodiscard]] std::uint8_t protocol() const noexcept { return bytes_[9]; }
  [[nodiscard]] IpAddress source() const noexcept { return IpAddress::from_wire(bytes_.data() + 12, Family::kIpv4); }
  [[nodiscard]] IpAddress destination() const noexcept {
    return IpAddress::from_wire(bytes_.data() + 16, Family::kIpv4);
  }
  [[nodiscard]] Bytes payload() const noexcept { return bytes_.subspan(header_bytes()); }
  [[nodiscard]] Ipv4Header value() const noexcept;

 private:
  explicit Ipv4View(Bytes bytes) noexcept : bytes_(bytes) {}
  Bytes bytes_;  // header and payload, cut to the total length
};

}  // namespace ringplane::wire
