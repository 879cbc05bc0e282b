#include "wire/checksum.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "wire/bytes.h"
#include "wire/ip_address.h"

namespace ringplane::wire {

std::uint64_t checksum_add(Bytes bytes, std::uint64_t initial) noexcept {
  // One's complement addition does not care about byte order (RFC 1071 2(B)): add native 32-bit words, swap once.
  std::uint64_t native = 0;
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data() + i, 4);
    native += word;
  }
  std::uint32_t tail = 0;
  if (i < bytes.size()) std::memcpy(&tail, bytes.data() + i, bytes.size() - i);
  native += tail;
  while (native >> 16) native = (native & 0xffff) + (native >> 16);
  auto folded = static_cast<std::uint16_t>(native);
  if constexpr (std::endian::native == std::endian::little) folded = std::byteswap(folded);
  return initial + folded;
}

std::uint64_t pseudo_header_sum(Family family, const IpAddress& source, const IpAddress& destination,
                                std::uint8_t protocol, std::uint32_t length) noexcept {
  const std::size_t address_bytes = family == Family::kIpv4 ? 4 : 16;
  const std::uint64_t addresses =
      checksum_add({destination.bytes.data(), address_bytes}, checksum_add({source.bytes.data(), address_bytes}));
  return addresses + protocol + (length >> 16) + (length & 0xffff);
}

}  // namespace ringplane::wire
