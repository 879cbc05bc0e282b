// What the kernel says of a network interface: asked by ioctl in the namespace of the calling thread. Control thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "port/port.h"

namespace ringplane::port {

struct Interface {
  std::string name{};
  std::uint32_t index = 0;
  MacAddress mac{};
  std::uint32_t mtu = 0;  ///< bytes after the Ethernet header
  bool up = false;        ///< switched on (IFF_UP), whether or not a cable is in
  std::uint32_t rx_queues = 1;
  std::uint32_t tx_queues = 1;
};

/// A socket to ask through; it stays in the namespace it was opened in.
[[nodiscard]] base::Result<base::FileDescriptor> open_interface_socket();
/// Fails with a sentence if there is no such Ethernet interface.
[[nodiscard]] base::Result<Interface> find_interface(int interface_socket, const std::string& name);
/// kUp: switched on and carrier. By index, so an interface that was removed and made again by the same name is gone.
[[nodiscard]] LinkState link_state_of(int interface_socket, std::uint32_t index) noexcept;

/// Makes the interface take packets for any MAC address, until the descriptor is closed (packet(7), PACKET_MR_PROMISC).
[[nodiscard]] base::Result<base::FileDescriptor> open_promiscuous(const Interface& interface);

}  // namespace ringplane::port
