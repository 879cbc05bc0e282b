// The Internet checksum (RFC 1071) and its incremental update (RFC 1624, equation 3).
#pragma once

#include <cstdint>

#include "wire/bytes.h"
#include "wire/ip_address.h"

namespace ringplane::wire {

/// One's complement sum of `bytes` as big-endian 16-bit words (an odd last byte is padded with zero), added to
/// `initial`; not folded, not complemented. Sums of parts may be added as long as every part but the last is even.
[[nodiscard]] std::uint64_t checksum_add(Bytes bytes, std::uint64_t initial = 0) noexcept;

/// Folds a sum into the 16-bit value that stands in a header (host order).
[[nodiscard]] constexpr std::uint16_t checksum_finish(std::uint64_t sum) noexcept {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

/// Checksum field over `bytes`; 0 when `bytes` includes a correct checksum.
[[nodiscard]] inline std::uint16_t checksum(Bytes bytes) noexcept {
  return checksum_finish(checksum_add(bytes));
}

/// The header value after a 16-bit word it covers changed from `before` to `after`.
[[nodiscard]] constexpr std::uint16_t checksum_update(std::uint16_t header, std::uint16_t before,
                                                      std::uint16_t after) noexcept {
  return checksum_finish(std::uint64_t{static_cast<std::uint16_t>(~header)} + static_cast<std::uint16_t>(~before) +
                         after);
}

/// Sum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1) of a segment of `length` bytes.
[[nodiscard]] std::uint64_t pseudo_header_sum(Family family, const IpAddress& source, const IpAddress& destination,
                                              std::uint8_t protocol, std::uint32_t length) noexcept;

}  // namespace ringplane::wire
