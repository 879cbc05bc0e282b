#include "port/af_xdp/interface.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

ifreq request_for(const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

void ask_queues(int interface_socket, Interface& interface) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request = request_for(interface.name);
  request.ifr_data = reinterpret_cast<char*>(&channels);
  if (ioctl(interface_socket, SIOCETHTOOL, &request) != 0) return;  // a device without channels has one queue
  interface.rx_queues = std::max(1U, channels.combined_count + channels.rx_count);
  interface.tx_queues = std::max(1U, channels.combined_count + channels.tx_count);
}

}  // namespace

base::Result<base::FileDescriptor> open_interface_socket() {
  base::FileDescriptor fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid())
    return base::fail(std::string("cannot open a socket to ask for interfaces: ") + std::strerror(errno));
  return fd;
}

base::Result<Interface> find_interface(int interface_socket, const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return base::fail("\"" + name + "\" cannot be the name of an interface", base::ErrorKind::kBadConfiguration);
  }
  Interface interface{.name = name};
  ifreq request = request_for(name);
  if (ioctl(interface_socket, SIOCGIFINDEX, &request) != 0) {
    return base::fail("there is no interface " + name + ": `ip link` lists those that there are",
                      base::ErrorKind::kBadConfiguration);
  }
  interface.index = static_cast<std::uint32_t>(request.ifr_ifindex);
  request = request_for(name);
  if (ioctl(interface_socket, SIOCGIFHWADDR, &request) != 0 || request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    return base::fail("interface " + name + " is not Ethernet", base::ErrorKind::kBadConfiguration);
  }
  std::memcpy(interface.mac.data(), request.ifr_hwaddr.sa_data, interface.mac.size());
  request = request_for(name);
  if (ioctl(interface_socket, SIOCGIFMTU, &request) == 0) interface.mtu = static_cast<std::uint32_t>(request.ifr_mtu);
  request = request_for(name);
  if (ioctl(interface_socket, SIOCGIFFLAGS, &request) == 0) interface.up = (request.ifr_flags & IFF_UP) != 0;
  ask_queues(interface_socket, interface);
  return interface;
}

LinkState link_state_of(int interface_socket, std::uint32_t index) noexcept {
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(index);
  if (ioctl(interface_socket, SIOCGIFNAME, &request) != 0) return LinkState::kGone;
  if (ioctl(interface_socket, SIOCGIFFLAGS, &request) != 0) return LinkState::kGone;
  const int needed = IFF_UP | IFF_RUNNING;
  return (request.ifr_flags & needed) == needed ? LinkState::kUp : LinkState::kDown;
}

base::Result<base::FileDescriptor> open_promiscuous(const Interface& interface) {
  // Protocol 0: the socket itself receives nothing.
  base::FileDescriptor fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  packet_mreq membership{};
  membership.mr_ifindex = static_cast<int>(interface.index);
  membership.mr_type = PACKET_MR_PROMISC;
  if (fd.valid() && setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) == 0)
    return fd;
  return base::fail("cannot switch " + interface.name + " to promiscuous mode: " + std::strerror(errno));
}

}  // namespace ringplane::port
