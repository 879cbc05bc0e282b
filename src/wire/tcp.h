// TCP headers (RFC 9293 3.1).
#pragma once

#include <cstdint>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"

namespace ringplane::wire {

/// Value form without options; the checksum is the caller's (see checksum.h: it needs the addresses).
struct TcpHeader {
  static constexpr std::size_t kBytes = 20;

  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint8_t flags = 0;  ///< tcp_flag bits, see packet.h
  std::uint16_t window = 0;
  std::uint16_t checksum = 0;
  std::uint16_t urgent = 0;

  /// Writes kBytes bytes with data offset 5.
  void emit(MutableBytes out) const noexcept;
  [[nodiscard]] bool operator==(const TcpHeader&) const noexcept = default;
};

class TcpView {
 public:
  /// Fails with tcp_bad_header. Flags are not judged here.
  [[nodiscard]] static std::expected<TcpView, base::DropReason> parse(Bytes segment) noexcept;

  [[nodiscard]] std::uint16_t source_port() const noexcept { return header_at<Be16>(bytes_); }
  [[nodiscard]] std::uint16_t destination_port() const noexcept { return header_at<Be16>(bytes_.subspan(2)); }
  [[nodiscard]] std::uint32_t seq() const noexcept { return header_at<Be32>(bytes_.subspan(4)); }
  [[nodiscard]] std::uint32_t ack() const noexcept { return header_at<Be32>(bytes_.subspan(8)); }
  [[nodiscard]] std::size_t header_bytes() const noexcept { return std::size_t{4} * (bytes_[12] >> 4); }
  [[nodiscard]] std::uint8_t flags() const noexcept { return bytes_[13]; }
  [[nodiscard]] std::uint16_t window() const noexcept { return header_at<Be16>(bytes_.subspan(14)); }
  /// Window scale option, cut to 14 (RFC 7323 2.3); Packet::kNoWindowScale (0xff) when absent or unreadable.
  [[nodiscard]] std::uint8_t window_scale() const noexcept {
    return window_scale_of(bytes_.subspan(TcpHeader::kBytes, header_bytes() - TcpHeader::kBytes));
  }
  /// The same, from the bytes between the header and the payload.
  [[nodiscard]] static std::uint8_t window_scale_of(Bytes options) noexcept;
  [[nodiscard]] Bytes payload() const noexcept { return bytes_.subspan(header_bytes()); }
  [[nodiscard]] TcpHeader value() const noexcept;

 private:
  explicit TcpView(Bytes bytes) noexcept : bytes_(bytes) {}
  Bytes bytes_;
};

}  // namespace ringplane::wire
