// ICMP (RFC 792) and ICMPv6 (RFC 4443): the eight bytes that both share, and which types are what.
#pragma once

#include <cstdint>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"
#include "wire/ip_address.h"

namespace ringplane::wire {

namespace icmp_type {
inline constexpr std::uint8_t kEchoReply = 0;
inline constexpr std::uint8_t kUnreachable = 3;
inline constexpr std::uint8_t kSourceQuench = 4;
inline constexpr std::uint8_t kEcho = 8;
inline constexpr std::uint8_t kTimeExceeded = 11;
inline constexpr std::uint8_t kParameterProblem = 12;
inline constexpr std::uint8_t kTimestamp = 13;
inline constexpr std::uint8_t kMaskReply = 18;
}  // namespace icmp_type

namespace icmp6_type {
inline constexpr std::uint8_t kUnreachable = 1;
inline constexpr std::uint8_t kParameterProblem = 4;
inline constexpr std::uint8_t kEcho = 128;
inline constexpr std::uint8_t kEchoReply = 129;
inline constexpr std::uint8_t kListenerQuery = 130;
inline constexpr std::uint8_t kListenerDone = 132;
inline constexpr std::uint8_t kListenerReport2 = 143;
}  // namespace icmp6_type

/// Says what went wrong with a packet it quotes. Redirects quote one too but change routes: they are not of the flow.
[[nodiscard]] constexpr bool is_icmp_error(Family family, std::uint8_t type) noexcept {
  if (family == Family::kIpv6) return type >= icmp6_type::kUnreachable && type <= icmp6_type::kParameterProblem;
  return type == icmp_type::kUnreachable || type == icmp_type::kSourceQuench || type == icmp_type::kTimeExceeded ||
         type == icmp_type::kParameterProblem;
}

/// Question or answer with an identifier: echo, timestamp, information, mask.
[[nodiscard]] constexpr bool is_icmp_query(Family family, std::uint8_t type) noexcept {
  if (family == Family::kIpv6) return type == icmp6_type::kEcho || type == icmp6_type::kEchoReply;
  return type == icmp_type::kEcho || type == icmp_type::kEchoReply ||
         (type >= icmp_type::kTimestamp && type <= icmp_type::kMaskReply);
}

struct IcmpHeader {
  static constexpr std::size_t kBytes = 8;

  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint16_t checksum = 0;
  std::uint16_t identifier = 0;  ///< queries; errors: unused or upper half of the MTU
  std::uint16_t sequence = 0;    ///< queries; errors: the next-hop MTU of ICMPv4 "fragmentation needed"

  /// Writes kBytes bytes.
  void emit(MutableBytes out) const noexcept {
    out[0] = type;
    out[1] = code;
    header_at<Be16>(out.subspan(2)) = checksum;
    header_at<Be16>(out.subspan(4)) = identifier;
    header_at<Be16>(out.subspan(6)) = sequence;
  }
  [[nodiscard]] bool operator==(const IcmpHeader&) const noexcept = default;
};

class IcmpView {
 public:
  /// Fails with icmp_bad_header.
  [[nodiscard]] static std::expected<IcmpView, base::DropReason> parse(Bytes message) noexcept {
    if (message.size() < IcmpHeader::kBytes) return std::unexpected(base::DropReason::icmp_bad_header);
    return IcmpView(message);
  }

  [[nodiscard]] std::uint8_t type() const noexcept { return bytes_[0]; }
  [[nodiscard]] std::uint8_t code() const noexcept { return bytes_[1]; }
  [[nodiscard]] std::uint16_t identifier() const noexcept { return header_at<Be16>(bytes_.subspan(4)); }
  /// What follows the eight bytes; of an error: the packet it quotes.
  [[nodiscard]] Bytes payload() const noexcept { return bytes_.subspan(IcmpHeader::kBytes); }
  [[nodiscard]] IcmpHeader value() const noexcept {
    return {.type = type(),
            .code = code(),
            .checksum = header_at<Be16>(bytes_.subspan(2)),
            .identifier = identifier(),
            .sequence = header_at<Be16>(bytes_.subspan(6))};
  }

 private:
  explicit IcmpView(Bytes bytes) noexcept : bytes_(bytes) {}
  Bytes bytes_;
};

}  // namespace ringplane::wire
