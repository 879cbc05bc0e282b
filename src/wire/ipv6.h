// IPv6 headers and their extension headers (RFC 8200).
#pragma once

#include <cstdint>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"
#include "wire/ip_address.h"

namespace ringplane::wire {

/// Value form of the fixed header.
struct Ipv6Header {
  static constexpr std::size_t kBytes = 40;

  std::uint8_t traffic_class = 0;
  std::uint32_t flow_label = 0;  ///< 20 bits
  std::uint16_t payload_length = 0;
  std::uint8_t next_header = 0;
  std::uint8_t hop_limit = 64;
  IpAddress source;
  IpAddress destination;

  /// Writes kBytes bytes.
  void emit(MutableBytes out) const noexcept;
  [[nodiscard]] bool operator==(const Ipv6Header&) const noexcept = default;
};

class Ipv6View {
 public:
  /// Checks version and length, and walks the extension headers (at most 8, hop-by-hop only first, no routing header
  /// of type 0: RFC 5095) up to the transport header. Bytes after the payload length are left out.
  [[nodiscard]] static std::expected<Ipv6View, base::DropReason> parse(Bytes packet) noexcept;
  /// As parse(), for the packet that an ICMPv6 error quotes, which may be cut off.
  [[nodiscard]] static std::expected<Ipv6View, base::DropReason> parse_quoted(Bytes packet) noexcept;

  [[nodiscard]] std::uint8_t traffic_class() const noexcept {
    return static_cast<std::uint8_t>((bytes_[0] << 4) | (bytes_[1] >> 4));
  }
  [[nodiscard]] std::uint16_t payload_length() const noexcept { return header_at<Be16>(bytes_.subspan(4)); }
  [[nodiscard]] std::uint8_t hop_limit() const noexcept { return bytes_[7]; }
  [[nodiscard]] IpAddress source() const noexcept { return IpAddress::from_wire(bytes_.data() + 8, Family::kIpv6); }
  [[nodiscard]] IpAddress destination() const noexcept {
    return IpAddress::from_wire(bytes_.data() + 24, Family::kIpv6);
  }
  /// Protocol after the extension headers; 59 when nothing follows.
  [[nodiscard]] std::uint8_t protocol() const noexcept { return protocol_; }
  /// Fixed header and extension headers.
  [[nodiscard]] std::size_t header_bytes() const noexcept { return header_bytes_; }
  /// A hop-by-hop or routing header is present: what pf calls options.
  [[nodiscard]] bool has_options() const noexcept { return has_options_; }
  /// The only such header is a hop-by-hop one (multicast listener discovery sends it, RFC 2710).
  [[nodiscard]] bool only_hop_by_hop() const noexcept { return has_options_ && !has_routing_; }
  [[nodiscard]] bool is_fragment() const noexcept { return is_fragment_; }
  [[nodiscard]] bool more_fragments() const noexcept { return more_fragments_; }
  [[nodiscard]] std::uint16_t fragment_offset_bytes() const noexcept { return fragment_offset_bytes_; }
  [[nodiscard]] Bytes payload() const noexcept { return bytes_.subspan(header_bytes_); }
  [[nodiscard]] Ipv6Header value() const noexcept;

 private:
  explicit Ipv6View(Bytes bytes) noexcept : bytes_(bytes) {}
  [[nodiscard]] base::DropReason walk_extensions() noexcept;

  Bytes bytes_;  // header and payload, cut to the payload length
  std::uint16_t header_bytes_ = Ipv6Header::kBytes;
  std::uint16_t fragment_offset_bytes_ = 0;
  std::uint8_t protocol_ = 0;
  bool has_options_ = false;
  bool has_routing_ = false;
  bool is_fragment_ = false;
  bool more_fragments_ = false;
};

}  // namespace ringplane::wire
