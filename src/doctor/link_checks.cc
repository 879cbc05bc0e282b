// What an interface must be for AF_XDP: there, up, with a driver that knows XDP, and as many queues as workers.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "doctor/checks.h"
#include "doctor/drivers.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"
#include "doctor/machine.h"
#include "doctor/wishes.h"

namespace ringplane::doctor {
namespace {

/// Slots of ringplane's own rings (port::RingSlots): a NIC with fewer runs out before the worker has its turn.
constexpr std::uint32_t kRingSlots = 2048;

/// What a driver can do with XDP, and who says so.
struct XdpSkill {
  bool native = false;
  bool zero_copy = false;
  std::string_view source;
};

/// EOPNOTSUPP: neither the kernel nor the table knows.
Asked<XdpSkill> skill_of(const Port& port) {
  if (port.xdp) {
    constexpr std::uint64_t kNative = Kernel::kXdpBasic | Kernel::kXdpRedirect;
    return XdpSkill{.native = (*port.xdp & kNative) == kNative,
                    .zero_copy = (*port.xdp & Kernel::kXdpZeroCopy) != 0,
                    .source = "says the kernel"};
  }
  const auto version = port.machine.version();
  if (port.facts == nullptr || !version) return std::unexpected(EOPNOTSUPP);
  const auto since = [&](const auto& first) { return first && *version >= *first; };
  return XdpSkill{.native = since(port.facts->native),
                  .zero_copy = since(port.facts->zero_copy),
                  .source = "by the table of drivers"};
}

}  // namespace

Port::Port(const Machine& from, const Wishes& all, const PortWish& one)
    : machine(from),
      kernel(from.kernel()),
      wishes(all),
      wish(one),
      link(one.is_dpdk ? Asked<Link>(std::unexpected(ENODEV)) : kernel.link(one.interface)),
      details(link ? kernel.details(link->index) : Asked<LinkDetails>(std::unexpected(ENODEV))),
      driver(link ? kernel.driver(one.interface).value_or("") : ""),
      facts(facts_of(driver)),
      xdp(link ? kernel.xdp_features(link->index) : Asked<std::uint64_t>(std::unexpected(ENODEV))),
      channels(link ? kernel.channels(one.interface) : Asked<Channels>(std::unexpected(ENODEV))),
      offloads(link ? kernel.offloads(one.interface) : Asked<std::vector<Offload>>(std::unexpected(ENODEV))) {
  if (link && !channels && channels.error() == EOPNOTSUPP) channels = Channels{};
}

std::string Port::file(std::string_view name) const {
  return fmt::format("/sys/class/net/{}/{}", wish.interface, name);
}

std::uint32_t Port::workers() const noexcept {
  return wishes.workers != 0 ? wishes.workers : channels ? channels->rx_queues() : 1;
}

Answer check_link(const Port& port) {
  if (!port.link && port.link.error() == ENODEV) {
    return broken("there is no interface " + port.wish.interface, "type: ip link");
  }
  if (!port.link) return not_told(port.link.error());
  if (!port.link->is_ethernet) return broken("not Ethernet", "name another interface");
  if (!port.link->is_up) {
    if (!port.wish.is_required) return ok("down: not in use");
    return broken("down", type("ip link set " + port.interface() + " up"));
  }
  if (!port.link->has_carrier) {
    if (!port.wish.is_required) return ok("no carrier: not in use");
    return broken("no carrier", "plug the cable in, and set the other end up");
  }
  const auto speed = port.machine.number(port.file("speed"));
  return ok(speed && *speed > 0 && *speed < 10'000'000 ? fmt::format("up, {} Mbit/s", *speed) : "up");
}

Answer check_driver(const Port& port) {
  const std::string name = port.driver.empty() ? "the driver" : port.driver;
  const auto skill = skill_of(port);
  if (!skill) {
    return unknown(name + ": neither this kernel nor the table of drivers tells what XDP it has",
                   "start ringplane: `ringplane show ports` tells what it got");
  }
  if (!skill->native) {
    if (port.wish.generic_only) return ok(name + ", generic XDP, as asked for");
    const std::string finding = fmt::format("{} has no native XDP ({})", name, skill->source);
    if (port.wish.native_only) return broken(finding, "set mode = \"auto\" for this port, or use another NIC");
    return slow(finding + ": each packet becomes one of the kernel's first, and is copied",
                "use a NIC with zero-copy AF_XDP: igb, igc, ixgbe, i40e, ice, mlx5_core");
  }
  if (port.wish.generic_only) {
    return slow(name + " has native XDP, but generic is asked for", "set mode = \"auto\" for this port");
  }
  if (!skill->zero_copy) {
    return slow(fmt::format("{}, native XDP; each packet is copied ({})", name, skill->source),
                port.driver == "veth" ? "for more, use a NIC with zero-copy AF_XDP; veth has none"
                                      : "use a NIC with zero-copy AF_XDP: igb, igc, ixgbe, i40e, ice, mlx5_core");
  }
  if (!port.wish.zero_copy) {
    return slow(name + " has zero-copy AF_XDP, but copies are asked for", "set zero_copy = true for this port");
  }
  return ok(fmt::format("{}, AF_XDP zero-copy ({})", name, skill->source));
}

Answer check_xdp_program(const Port& port) {
  if (!port.details) return not_told(port.details.error());
  if (port.details->xdp_program == 0) return ok("no XDP program is attached");
  const std::string finding = fmt::format("XDP program {} is attached", port.details->xdp_program);
  if (port.machine.ringplane_runs()) return ok(finding + ": ringplane runs");
  return broken(finding + ", and there is room for one only",
                fmt::format("stop what attached it, or: ip link set {} xdp off", port.interface()));
}

Answer check_mtu(const Port& port) {
  const std::uint32_t mtu = port.link->mtu;
  const Wishes& wishes = port.wishes;
  if (mtu > wishes.largest_mtu) {
    const std::string smaller = fmt::format("ip link set {} mtu {}", port.interface(), wishes.largest_mtu);
    return broken(fmt::format("{}: a frame holds packets up to {}", mtu, wishes.largest_mtu),
                  wishes.larger_frames == 0
                      ? type(smaller)
                      : fmt::format("set memory.frame_bytes = {}, or: {}", wishes.larger_frames, smaller));
  }
  if (port.facts != nullptr && port.facts->xdp_mtu != 0 && mtu > port.facts->xdp_mtu && !port.wish.generic_only) {
    return slow(fmt::format("{}: {} has native XDP up to {} only", mtu, port.driver, port.facts->xdp_mtu),
                type(fmt::format("ip link set {} mtu {}", port.interface(), port.facts->xdp_mtu)));
  }
  return ok(fmt::format("{}, a frame holds {}", mtu, wishes.largest_mtu));
}

Answer check_queues(const Port& port) {
  if (!port.channels) return not_told(port.channels.error());
  const Channels& has = *port.channels;
  const std::uint32_t wanted = port.wishes.workers;
  const std::string here = has.rx_queues() == has.tx_queues()
                               ? fmt::format("{}", has.rx_queues())
                               : fmt::format("{} to receive, {} to transmit", has.rx_queues(), has.tx_queues());
  if (wanted == 0) return ok(fmt::format("{}: workers.count = {} goes with that", here, has.rx_queues()));
  if (has.rx_queues() == wanted && has.tx_queues() >= wanted) return ok(here + ", one for each worker");
  const std::uint32_t most = std::max(has.most_combined, std::min(has.most_rx, has.most_tx));
  if (most < wanted) {
    const std::uint32_t goes = std::max({1U, most, std::min(has.rx_queues(), has.tx_queues())});
    return broken(fmt::format("{}, {} at most, for {} workers", here, goes, wanted),
                  fmt::format("set workers.count = {}", goes));
  }
  const std::string why = has.rx_queues() > wanted ? ": packets of the others would go past the firewall" : "";
  const std::string how =
      has.most_combined >= wanted ? fmt::format("combined {}", wanted) : fmt::format("rx {0} tx {0}", wanted);
  return broken(fmt::format("{} for {} worker(s){}", here, wanted, why),
                type(fmt::format("ethtool -L {} {}", port.interface(), how)));
}

Answer check_rings(const Port& port) {
  const auto sizes = port.kernel.ring_sizes(port.wish.interface);
  if (!sizes && sizes.error() == EOPNOTSUPP) return std::nullopt;  // no hardware, no ring
  if (!sizes) return not_told(sizes.error());
  if (sizes->most_rx == 0) return std::nullopt;
  const std::uint32_t rx = std::min(sizes->most_rx, kRingSlots);
  const std::uint32_t tx = std::min(sizes->most_tx, kRingSlots);
  const std::string here = fmt::format("{} to receive (of {}), {} to transmit (of {})", sizes->rx, sizes->most_rx,
                                       sizes->tx, sizes->most_tx);
  if (sizes->rx >= rx && sizes->tx >= tx) return ok(here);
  return slow(here + ": a burst does not fit", type(fmt::format("ethtool -G {} rx {} tx {}", port.interface(),
                                                                std::max(rx, sizes->rx), std::max(tx, sizes->tx))));
}

Answer check_flow_control(const Port& port) {
  const auto pause = port.kernel.flow_control(port.wish.interface);
  if (!pause && pause.error() == EOPNOTSUPP) return std::nullopt;
  if (!pause) return not_told(pause.error());
  if (!pause->rx && !pause->tx) return ok("off");
  return slow(
      fmt::format("on ({}): one end that is slow stops the whole link", pause->rx && pause->tx ? "rx, tx"
                                                                        : pause->rx            ? "rx"
                                                                                               : "tx"),
      type(fmt::format("ethtool -A {}{} rx off tx off", port.interface(), pause->is_negotiated ? " autoneg off" : "")));
}

Answer check_promiscuous(const Port& port) {
  if (port.facts != nullptr && port.facts->is_virtual) {
    return unknown("whether the host lets frames for and from other addresses through is not seen from here",
                   "allow promiscuous mode and forged addresses for this interface at the hypervisor");
  }
  return ok("ringplane switches it on by itself");
}

Answer check_pci_driver(const Port& port) {
  const std::string& device = port.wish.interface;
  const std::string folder = "/sys/bus/pci/devices/" + device;
  const bool is_pci = device.find(':') != std::string::npos && device.find('/') == std::string::npos;
  if (!is_pci) return ok("DPDK's " + device + ", which needs nothing of the kernel");
  if (!port.machine.exists(folder)) return broken("there is no PCI device " + device, "type: lspci -D");
  const std::string driver = port.machine.link_target(folder + "/driver");
  if (driver == "vfio-pci") return ok("vfio-pci");
  if (driver == "uio_pci_generic" || driver == "igb_uio") {
    return slow(driver + ": without an IOMMU the device reaches all memory",
                type(fmt::format("dpdk-devbind.py -b vfio-pci {}", word(device))));
  }
  return broken(driver.empty() ? "no driver" : driver + ", which DPDK cannot use",
                type(fmt::format("dpdk-devbind.py -b vfio-pci {}", word(device))));
}

Answer check_same_mtu(const Port& first, const Port& second) {
  if (!first.link || !second.link) return std::nullopt;
  if (first.link->mtu == second.link->mtu) return ok(fmt::format("{} on both", first.link->mtu));
  const Port& larger = first.link->mtu > second.link->mtu ? first : second;
  const std::uint32_t smaller_mtu = std::min(first.link->mtu, second.link->mtu);
  return broken(
      fmt::format("{} and {}: what is larger than {} gets lost", first.link->mtu, second.link->mtu, smaller_mtu),
      type(fmt::format("ip link set {} mtu {}", larger.interface(), smaller_mtu)));
}

}  // namespace ringplane::doctor
