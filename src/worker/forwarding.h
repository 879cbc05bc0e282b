// Forwarding: where a frame goes that came in on a port. Today every bridge joins two ports and copies neither
// addresses nor TTL: what comes in on one leaves by the other. Each bridge is a forwarding domain of its own, so that
// equal addresses on two bridges are two conversations.
#pragma once

#include <array>
#include <cstdint>

#include "base/ids.h"

namespace ringplane::worker {

/// What a bridge does with frames that are neither IPv4 nor IPv6.
enum class NonIp : std::uint8_t { kPass, kArpOnly };

struct Egress {
  base::PortId port;         ///< none: frames from here have nowhere to go
  std::uint8_t domain = 0;   ///< of the bridge, from 1
  bool second_side = false;  ///< the ingress port is the second of its bridge
  NonIp non_ip = NonIp::kPass;
  std::uint32_t mtu = 1500;  ///< of the egress port: bytes after the Ethernet header
};

class Forwarding {
 public:
  /// Both ports are valid and in no other bridge; `domain` counts from 1.
  void add_bridge(base::PortId first, base::PortId second, std::uint8_t domain, NonIp non_ip) noexcept {
    egress_[first.value] = {.port = second, .domain = domain, .second_side = false, .non_ip = non_ip};
    egress_[second.value] = {.port = first, .domain = domain, .second_side = true, .non_ip = non_ip};
    ends_[domain] = {first, second};
  }
  /// Packets that leave by `port` may have at most `mtu` bytes after the Ethernet header.
  void set_mtu(base::PortId port, std::uint32_t mtu) noexcept {
    for (Egress& egress : egress_) {
      if (egress.port == port) egress.mtu = mtu;
    }
  }
  [[nodiscard]] const Egress& from(base::PortId ingress) const noexcept { return egress_[ingress.value]; }
  /// The port of `domain` that a flow's original sender is behind.
  [[nodiscard]] base::PortId side(std::uint8_t domain, bool second) const noexcept {
    return ends_[domain][second ? 1 : 0];
  }

 private:
  std::array<Egress, base::kMaxPorts> egress_{};
  std::array<std::array<base::PortId, 2>, base::kMaxPorts + 1> ends_{};
};

}  // namespace ringplane::worker
