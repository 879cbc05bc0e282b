// UDP headers (RFC 768).
#pragma once

#include <cstdint>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"

namespace ringplane::wire {

struct UdpHeader {
  static constexpr std::size_t kBytes = 8;

  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint16_t length = kBytes;
  std::uint16_t checksum = 0;

  /// Writes kBytes bytes.
  void emit(MutableBytes out) const noexcept {
    header_at<Be16>(out) = source_port;
    header_at<Be16>(out.subspan(2)) = destination_port;
    header_at<Be16>(out.subspan(4)) = length;
    header_at<Be16>(out.subspan(6)) = checksum;
  }
  [[nodiscard]] bool operator==(const UdpHeader&) const noexcept = default;
};

class UdpView {
 public:
  /// `whole` is false for the first of several fragments, whose length field counts what is still to come.
  /// Fails with udp_bad_length.
  [[nodiscard]] static std::expected<UdpView, base::DropReason> parse(Bytes datagram, bool whole) noexcept {
    if (datagram.size() < UdpHeader::kBytes) return std::unexpected(base::DropReason::udp_bad_length);
    const std::uint16_t length = header_at<Be16>(datagram.subspan(4));
    if (length < UdpHeader::kBytes || (whole && length > datagram.size())) {
      return std::unexpected(base::DropReason::udp_bad_length);
    }
    return UdpView(datagram);
  }

  [[nodiscard]] std::uint16_t source_port() const noexcept { return header_at<Be16>(bytes_); }
  [[nodiscard]] std::uint16_t destination_port() const noexcept { return header_at<Be16>(bytes_.subspan(2)); }
  [[nodiscard]] std::uint16_t length() const noexcept { return header_at<Be16>(bytes_.subspan(4)); }
  [[nodiscard]] UdpHeader value() const noexcept {
    return {.source_port = source_port(),
            .destination_port = destination_port(),
            .length = length(),
            .checksum = header_at<Be16>(bytes_.subspan(6))};
  }

 private:
  explicit UdpView(Bytes bytes) noexcept : bytes_(bytes) {}
  Bytes bytes_;
};

}  // namespace ringplane::wire
