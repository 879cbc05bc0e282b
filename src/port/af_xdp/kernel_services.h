// KernelServices: what of the traffic on an af_xdp port stays with the kernel's own network, so that SSH and the like
// go on working on the same interface. Everything else goes to the data plane.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/ip_address.h"

namespace ringplane::port {

struct KernelServices {
  /// The host's own addresses on this interface, at most 256. ARP and neighbour discovery for them stay with the
  /// kernel.
  std::vector<wire::HostAddress> addresses{};
  std::vector<std::uint16_t> tcp_ports{};  ///< destination ports kept, for packets to one of `addresses`
  std::vector<std::uint16_t> udp_ports{};
  bool icmp = true;  ///< ICMP and ICMPv6 to one of `addresses`
  bool all = false;  ///< everything to one of `addresses`, fragments too
};

}  // namespace ringplane::port
