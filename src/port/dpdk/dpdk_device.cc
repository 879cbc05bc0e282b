#include "port/dpdk/dpdk_device.h"

#include <rte_build_config.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_memory.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/socket.h>
#include <sys/un.h>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/dpdk/dpdk_log.h"
#include "port/dpdk/dpdk_pool.h"
#include "port/dpdk/dpdk_runtime.h"
#include "port/dpdk/symmetric_rss_key.h"
#include "port/dpdk_ports.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

constexpr std::uint32_t kEthernetAndTwoTagsBytes = 14 + 2 * 4;
constexpr std::uint16_t kRingSlots = 1024;
/// A receive ring holds at most this part of the pool, so that a worker with several queues has frames to work with.
constexpr std::uint32_t kPoolShare = 4;
/// Most bursts that are taken out of a queue when it is closed: a peer may go on sending.
constexpr int kDrainBursts = 256;
constexpr std::uint64_t kHashedFields = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
constexpr std::uint64_t kChecksumChecks = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;

std::string error_text(int error) {
  return rte_strerror(error < 0 ? -error : error);
}

/// Devices between virtual machines hand up packets whose checksum nobody has computed if one lets them; if not, they
/// complete it themselves, which is what a firewall needs.
bool leaves_checksums_open(std::string_view driver) {
  return driver.find("virtio") != std::string_view::npos || driver.find("vhost") != std::string_view::npos;
}

/// Where a device makes a socket: iface= of vhost, socket= of memif; or "".
std::string socket_path(std::string_view device) {
  for (const std::string_view key : {",iface=", ",socket="}) {
    const std::size_t found = device.find(key);
    if (found == std::string_view::npos) continue;
    const std::string_view value = device.substr(found + key.size());
    return std::string(value.substr(0, value.find(',')));
  }
  return "";
}

/// A process that was killed leaves the sockets of its devices in the file system, and the drivers do not bind where
/// one is. One that nobody listens at goes. `path` is a socket's.
void remove_if_dead(const std::string& path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return;
  path.copy(address.sun_path, path.size());
  const base::FileDescriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // Whoever lives takes the connection, or says that it is of another type.
  const bool is_taken = connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (!is_taken && errno == ECONNREFUSED) unlink(path.c_str());
}

base::Result<void> check_device(const DpdkPortOptions& options) {
  const std::string_view name = device_name(options.device);
  const auto refuse = [&](const std::string& why) {
    return base::fail("dpdk:" + options.device + ": " + why, base::ErrorKind::kBadConfiguration);
  };
  if (name.empty()) return refuse("a DPDK device is expected, such as net_memif0,role=client or 0000:01:00.0");
  if (name.starts_with("net_af_xdp")) {
    return refuse(
        "this driver wants memory of its own: name the interface without dpdk:, and ringplane opens AF_XDP itself");
  }
  // Both share DPDK's own memory with their peer by file descriptor, and the arena is not in it.
  if (name.starts_with("net_virtio_user")) {
    return refuse("its peer would not find the frames: let ringplane be the host (net_vhost) and the peer the guest");
  }
  if (name.starts_with("net_memif") && options.device.find("zero-copy=yes") != std::string::npos) {
    return refuse("its peer would not find the frames: leave out zero-copy=yes, or set it at the other end");
  }
  // Both make a guest send what cannot leave again as it is: checksums that nobody completes, segments beyond a frame.
  for (const std::string argument : {"legacy-ol-flags=1", "tso=1"}) {
    if (name.starts_with("net_vhost") && (options.device + ",").find("," + argument + ",") != std::string::npos) {
      return refuse("a firewall needs packets as they go over a wire: leave out " + argument);
    }
  }
  std::error_code ignored;
  const std::string path = socket_path(options.device);
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_socket(path, ignored)) {
    return refuse(path + " is no socket, and DPDK would remove it: choose another path");
  }
  std::uint16_t taken = 0;
  if (rte_eth_dev_get_port_by_name(std::string(name).c_str(), &taken) == 0) return refuse("it is in use already");
  return {};
}

}  // namespace

std::string_view device_name(std::string_view device) noexcept {
  return device.substr(0, device.find(','));
}

base::Result<std::unique_ptr<DpdkDevice>> DpdkDevice::create(const DpdkPortOptions& options,
                                                             const FrameHeaders& headers, const DpdkPool::List& pools) {
  if (auto checked = check_device(options); !checked) return std::unexpected(std::move(checked.error()));
  std::error_code ignored;
  if (const std::string path = socket_path(options.device); std::filesystem::exists(path, ignored))
    remove_if_dead(path);
  const SignalsBlocked blocked;
  DpdkLog& log = DpdkLog::attach();
  log.collect();
  const int probed = rte_dev_probe(options.device.c_str());
  std::uint16_t id = RTE_MAX_ETHPORTS;
  const int found = rte_eth_dev_get_port_by_name(std::string(device_name(options.device)).c_str(), &id);
  if (probed != 0 || found != 0) {
    const std::string lines = log.take_lines();
    return base::fail("dpdk:" + options.device + " cannot be opened (" +
                          (lines.empty() ? error_text(probed != 0 ? probed : found) : lines) +
                          "): check the driver's name and its arguments, or that the hardware is bound to vfio-pci",
                      base::ErrorKind::kBadConfiguration);
  }
  std::unique_ptr<DpdkDevice> device(
      new DpdkDevice(options.device, id, static_cast<std::uint16_t>(options.queues), headers, pools));
  if (auto configured = device->configure(options.promiscuous); !configured) {
    return std::unexpected(std::move(configured.error()));
  }
  log.tell_lines();
  return device;
}

DpdkDevice::DpdkDevice(std::string device, std::uint16_t id, std::uint16_t queues, const FrameHeaders& headers,
                       const DpdkPool::List& pools)
    : device_(std::move(device)), id_(id), queues_(queues), headers_(headers), pools_(pools) {}

std::unexpected<base::Error> DpdkDevice::refuse(const char* what, int error) const {
  const std::string lines = DpdkLog::attach().take_lines();
  return base::fail("dpdk:" + device_ + ": " + what + " (" + (lines.empty() ? error_text(error) : lines) + ")");
}

base::Result<void> DpdkDevice::configure(bool promiscuous) {
  rte_eth_dev_info info{};
  if (const int error = rte_eth_dev_info_get(id_, &info); error != 0) return refuse("it says nothing of itself", error);
  driver_ = info.driver_name;
  hardware_ = info.device;
  if (queues_ > info.max_rx_queues || queues_ > info.max_tx_queues) {
    return base::fail("dpdk:" + device_ + " has " + std::to_string(std::min(info.max_rx_queues, info.max_tx_queues)) +
                          " queue(s) for " + std::to_string(queues_) +
                          " workers: lower workers.count, or give the device more (queues=, vhost; a NIC's own limit)",
                      base::ErrorKind::kBadConfiguration);
  }
  rte_eth_conf wanted{};
  std::uint16_t mtu = 0;
  if (rte_eth_dev_get_mtu(id_, &mtu) == 0 && mtu != 0) mtu_ = mtu;
  wanted.rxmode.mtu = mtu_;
  if (auto fits = check_mtu(); !fits) return fits;
  if (queues_ > 1 && (info.flow_type_rss_offloads & kHashedFields) != 0 && info.hash_key_size <= kMostRssKeyBytes) {
    wanted.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    wanted.rx_adv_conf.rss_conf.rss_key = const_cast<std::uint8_t*>(kSymmetricRssKey.data());  // only read
    wanted.rx_adv_conf.rss_conf.rss_key_len = info.hash_key_size;
    wanted.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & kHashedFields;
    spreads_by_hash_ = true;
  }
  if ((info.rx_offload_capa & kChecksumChecks) == kChecksumChecks && !leaves_checksums_open(driver_)) {
    wanted.rxmode.offloads |= kChecksumChecks;
    checks_checksums_ = true;
  }
  if (const int error = rte_eth_dev_configure(id_, queues_, queues_, &wanted); error != 0) {
    return refuse("it does not take its configuration", error);
  }
  if (promiscuous) {
    const int error = rte_eth_promiscuous_enable(id_);
    if (error != 0 && error != -ENOTSUP) return refuse("it does not become promiscuous, as a bridge needs it", error);
  }
  return map_arena(info.device);
}

base::Result<void> DpdkDevice::check_mtu() {
  const std::uint32_t most = headers_.packet_bytes() - kEthernetAndTwoTagsBytes;
  if (mtu_ <= most) return {};
  return base::fail("the MTU of dpdk:" + device_ + " is " + std::to_string(mtu_) + ", but a frame of " +
                        std::to_string(headers_.arena().frame_bytes()) + " bytes holds packets up to MTU " +
                        std::to_string(most) + ": lower it" +
                        (headers_.arena().frame_bytes() < 4096 ? " or set memory.frame_bytes to 4096" : ""),
                    base::ErrorKind::kBadConfiguration);
}

base::Result<void> DpdkDevice::map_arena(rte_device* hardware) {
  const rte_bus* bus = rte_dev_bus(hardware);
  if (bus == nullptr || std::string_view(rte_bus_name(bus)) != "pci") return {};
  const frame::Arena& arena = headers_.arena();
  // The IOMMU must let the device at the frames; their device address is their virtual one.
  const int error =
      rte_dev_dma_map(hardware, arena.base(), reinterpret_cast<std::uintptr_t>(arena.base()), arena.bytes());
  if (error != 0) {
    return refuse("the IOMMU does not map the frames for it: bind it to vfio-pci, with an IOMMU", rte_errno);
  }
  arena_mapped_ = true;
  return {};
}

base::Result<void> DpdkDevice::set_up_queue(std::uint16_t index, DpdkPool& pool) {
  const SignalsBlocked blocked;
  DpdkLog& log = DpdkLog::attach();
  log.collect();
  const std::uint32_t share = std::max(frame::Burst::kCapacity, pool.frames().total() / kPoolShare);
  std::uint16_t rx_slots =
      std::min<std::uint16_t>(kRingSlots, static_cast<std::uint16_t>(std::bit_floor(std::min(share, 32768U))));
  std::uint16_t tx_slots = rx_slots;
  int error = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_slots, &tx_slots);
  if (error != 0) return refuse("it does not say how long its rings may be", error);
  pool.enter();
  error = rte_eth_rx_queue_setup(id_, index, rx_slots, SOCKET_ID_ANY, nullptr, pool.handle());
  if (error == 0) error = rte_eth_tx_queue_setup(id_, index, tx_slots, SOCKET_ID_ANY, nullptr);
  if (error != 0) return refuse("a queue cannot be set up: check memory.frames and memory.frame_bytes", error);
  ++open_;
  if (++set_up_ == queues_) {
    for (const auto& each : pools_) each->enter();
    error = rte_eth_dev_start(id_);
    if (error != 0) {
      --open_;
      return refuse("it does not start: check that its other end is there", error);
    }
    started_ = true;
  }
  log.tell_lines();
  return {};
}

void DpdkDevice::close_queue() noexcept {
  if (--open_ == 0) end();
}

/// Devices that are rings in memory would keep what lies in them.
void DpdkDevice::drain() noexcept {
  for (std::uint16_t queue = 0; queue < queues_; ++queue) {
    std::array<rte_mbuf*, frame::Burst::kCapacity> headers;
    for (int i = 0; i < kDrainBursts; ++i) {
      const std::uint16_t count = rte_eth_rx_burst(id_, queue, headers.data(), headers.size());
      if (count == 0) break;
      rte_pktmbuf_free_bulk(headers.data(), count);
    }
  }
}

void DpdkDevice::end() noexcept {
  if (std::exchange(ended_, true)) return;
  const SignalsBlocked blocked;
  for (const auto& pool : pools_) pool->enter_for_close();
  if (started_) {
    drain();
    rte_eth_dev_stop(id_);
  }
  if (arena_mapped_) {
    const frame::Arena& arena = headers_.arena();
    rte_dev_dma_unmap(hardware_, arena.base(), reinterpret_cast<std::uintptr_t>(arena.base()), arena.bytes());
  }
  rte_eth_dev_close(id_);
  rte_dev_remove(hardware_);
  for (const auto& pool : pools_) pool->send_all_home();
}

MacAddress DpdkDevice::mac() const noexcept {
  rte_ether_addr address{};
  MacAddress mac{};
  if (!ended_ && rte_eth_macaddr_get(id_, &address) == 0) std::memcpy(mac.data(), address.addr_bytes, mac.size());
  return mac;
}

LinkState DpdkDevice::link_state() const noexcept {
  if (ended_ || rte_eth_dev_is_removed(id_) != 0) return LinkState::kGone;
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(id_, &link) != 0) return LinkState::kDown;
  return link.link_status == RTE_ETH_LINK_UP ? LinkState::kUp : LinkState::kDown;
}

}  // namespace ringplane::port
