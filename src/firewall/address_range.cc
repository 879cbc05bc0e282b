#include "firewall/address_range.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

__extension__ using Wide = unsigned __int128;

Wide to_wide(const wire::HostAddress& host) {
  if (host.family == wire::Family::kIpv4) return host.address.ipv4();
  Wide value = 0;
  for (const std::uint8_t byte : host.address.bytes) value = value << 8 | byte;
  return value;
}

wire::IpAddress from_wide(wire::Family family, Wide value) {
  if (family == wire::Family::kIpv4) return wire::IpAddress::from_ipv4(static_cast<std::uint32_t>(value));
  wire::IpAddress address;
  for (std::size_t i = 16; i-- > 0; value >>= 8) address.bytes[i] = static_cast<std::uint8_t>(value);
  return address;
}

}  // namespace

std::vector<wire::Prefix> prefixes_of_range(const wire::HostAddress& first, const wire::HostAddress& last) {
  std::vector<wire::Prefix> prefixes;
  if (first.family != last.family) return prefixes;
  const unsigned bits = wire::address_bits(first.family);
  Wide at = to_wide(first);
  const Wide end = to_wide(last);
  while (at <= end) {
    unsigned host_bits = 0;
    while (host_bits < bits) {
      const Wide low = (Wide{2} << host_bits) - 1;  // one bit more; wraps to all ones at 128
      if ((at & low) != 0 || (at | low) > end) break;
      ++host_bits;
    }
    prefixes.push_back(wire::Prefix::of(first.family, from_wide(first.family, at), bits - host_bits));
    const Wide block_end = host_bits == 128 ? ~Wide{0} : at + ((Wide{1} << host_bits) - 1);
    if (block_end >= end) break;
    at = block_end + 1;
  }
  return prefixes;
}

}  // namespace ringplane::firewall
