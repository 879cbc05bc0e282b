// A port: what an interface must be.
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "doctor/checks.h"
#include "doctor/doctor.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"
#include "doctor/machine.h"
#include "doctor/test_machine.h"

namespace ringplane::doctor {
namespace {

using enum Level;
using LinkChecks = MadeUpMachine;

constexpr std::uint64_t kNative = Kernel::kXdpBasic | Kernel::kXdpRedirect;

TEST_F(LinkChecks, AnInterfaceThatIsNotThere) {
  kernel_.nics.clear();
  expect(ask(check_link), kBroken, "there is no interface lan", "type: ip link");
}

TEST_F(LinkChecks, AnInterfaceThatIsNotThereIsAskedNothingElse) {
  kernel_.nics.clear();
  std::size_t of_port = 0;
  for (const Finding& finding : examine(machine(), wishes_)) of_port += finding.subject == "lan" ? 1 : 0;
  EXPECT_EQ(of_port, 1U);
}

TEST_F(LinkChecks, AKernelThatDoesNotTell) {
  nic().link = std::unexpected(EPERM);
  expect(ask(check_link), kUnknown, "only root", "as root");
}

TEST_F(LinkChecks, Link) {
  file("/sys/class/net/lan/speed", "10000\n");
  expect(ask(check_link), kOk, "up, 10000 Mbit/s");
  file("/sys/class/net/lan/speed", "-1\n");  // what a NIC without a link says
  expect(ask(check_link), kOk, "up");
  file("/sys/class/net/lan/speed", "4294967295\n");
  EXPECT_EQ(ask(check_link)->finding, "up");
  nic().link->has_carrier = false;
  expect(ask(check_link), kBroken, "no carrier", "cable");
  nic().link->is_up = false;
  expect(ask(check_link), kBroken, "down", "type: ip link set lan up");
  nic().link->is_ethernet = false;
  expect(ask(check_link), kBroken, "not Ethernet", "another interface");
}

TEST_F(LinkChecks, AnInterfaceThatNobodyNamedMayBeDown) {
  wishes_.ports.front().is_required = false;
  nic().link->has_carrier = false;
  expect(ask(check_link), kOk, "not in use");
  nic().link->is_up = false;
  expect(ask(check_link), kOk, "not in use");
}

TEST_F(LinkChecks, TheKernelsWordOnTheDriverGoesFirst) {
  nic().xdp = kNative | Kernel::kXdpZeroCopy;
  nic().driver = "brandnew";
  expect(ask(check_driver), kOk, "brandnew, AF_XDP zero-copy (says the kernel)");
  nic().xdp = kNative;
  expect(ask(check_driver), kSlow, "each packet is copied", "zero-copy");
  nic().xdp = 0;
  expect(ask(check_driver), kSlow, "no native XDP", "zero-copy");
}

TEST_F(LinkChecks, TheTableOfDriversForKernelsThatDoNotTell) {
  expect(ask(check_driver), kOk, "ixgbe, AF_XDP zero-copy (by the table of drivers)");
  nic().driver = "igb";  // zero-copy since 6.14
  expect(ask(check_driver), kSlow, "igb, native XDP; each packet is copied", "zero-copy");
  nic().driver = "r8169";
  expect(ask(check_driver), kSlow, "r8169 has no native XDP", "zero-copy");
  nic().driver = "brandnew";
  expect(ask(check_driver), kUnknown, "brandnew", "show ports");
  nic().driver = std::unexpected(EOPNOTSUPP);
  expect(ask(check_driver), kUnknown, "the driver", "show ports");
  nic().driver = "ixgbe";
  file("/proc/sys/kernel/osrelease", "six\n");
  expect(ask(check_driver), kUnknown, "ixgbe", "show ports");
}

TEST_F(LinkChecks, TheConfigurationMayAskForLessThanThereIs) {
  nic().xdp = kNative | Kernel::kXdpZeroCopy;
  wishes_.ports.front().zero_copy = false;
  expect(ask(check_driver), kSlow, "copies are asked for", "zero_copy = true");
  wishes_.ports.front().generic_only = true;
  expect(ask(check_driver), kSlow, "generic is asked for", "mode = \"auto\"");
}

TEST_F(LinkChecks, NativeOnlyOnADriverWithoutItKeepsRingplaneFromStarting) {
  nic().xdp = 0;
  wishes_.ports.front().native_only = true;
  expect(ask(check_driver), kBroken, "no native XDP", "mode = \"auto\"");
  wishes_.ports.front() = {.name = "lan", .interface = "lan", .generic_only = true};
  expect(ask(check_driver), kOk, "as asked for");
}

TEST_F(LinkChecks, AnXdpProgram) {
  expect(ask(check_xdp_program), kOk, "no XDP program");
  nic().details = LinkDetails{.xdp_program = 12};
  expect(ask(check_xdp_program), kBroken, "program 12", "ip link set lan xdp off");
  file("/proc/7/cmdline", std::string("ringplane\0doctor\0", 17));
  expect(ask(check_xdp_program), kBroken, "program 12", "ip link set lan xdp off");
  file("/proc/8/cmdline", std::string("/proc/self/exe\0data-process\0", 28));
  expect(ask(check_xdp_program), kOk, "program 12 is attached: ringplane runs");
  nic().details = std::unexpected(EIO);
  expect(ask(check_xdp_program), kUnknown, "could not be looked at");
}

TEST_F(LinkChecks, Mtu) {
  nic().link->mtu = 1770;
  expect(ask(check_mtu), kOk, "1770");
  nic().link->mtu = 1771;
  expect(ask(check_mtu), kBroken, "up to 1770", "memory.frame_bytes = 4096, or: ip link set lan mtu 1770");
  wishes_.larger_frames = 0;
  wishes_.largest_mtu = 3818;
  nic().link->mtu = 9000;
  expect(ask(check_mtu), kBroken, "up to 3818", "type: ip link set lan mtu 3818");
  nic().link->mtu = 3100;
  expect(ask(check_mtu), kSlow, "ixgbe has native XDP up to 3050", "type: ip link set lan mtu 3050");
}

TEST_F(LinkChecks, Queues) {
  expect(ask(check_queues), kOk, "2, one for each worker");
  wishes_.workers = 4;
  expect(ask(check_queues), kBroken, "2 for 4", "type: ethtool -L lan combined 4");
  wishes_.workers = 1;
  expect(ask(check_queues), kBroken, "past the firewall", "type: ethtool -L lan combined 1");
  nic().channels = Channels{.rx = 1, .tx = 1, .most_rx = 2, .most_tx = 2};  // a veth
  wishes_.workers = 2;
  expect(ask(check_queues), kBroken, "1 for 2", "type: ethtool -L lan rx 2 tx 2");
  wishes_.workers = 3;
  expect(ask(check_queues), kBroken, "2 at most", "workers.count = 2");
  nic().channels = Channels{.rx = 2, .tx = 1, .most_rx = 2, .most_tx = 2};
  wishes_.workers = 2;
  expect(ask(check_queues), kBroken, "2 to receive, 1 to transmit", "rx 2 tx 2");
}

TEST_F(LinkChecks, QueuesOfADriverThatKnowsNoChannels) {
  nic().channels = std::unexpected(EOPNOTSUPP);
  wishes_.workers = 1;
  expect(ask(check_queues), kOk, "1, one for each worker");
  wishes_.workers = 2;
  expect(ask(check_queues), kBroken, "1 at most", "workers.count = 1");
  nic().channels = std::unexpected(EIO);
  expect(ask(check_queues), kUnknown, "could not be looked at");
}

TEST_F(LinkChecks, WithoutAConfigurationQueuesSayHowManyWorkers) {
  wishes_.workers = 0;
  expect(ask(check_queues), kOk, "workers.count = 2");
}

TEST_F(LinkChecks, Rings) {
  EXPECT_FALSE(ask(check_rings));
  nic().rings = RingSizes{.rx = 512, .tx = 512, .most_rx = 4096, .most_tx = 4096};
  expect(ask(check_rings), kSlow, "512 to receive (of 4096)", "type: ethtool -G lan rx 2048 tx 2048");
  nic().rings = RingSizes{.rx = 4096, .tx = 512, .most_rx = 4096, .most_tx = 1024};
  expect(ask(check_rings), kSlow, "512 to transmit", "type: ethtool -G lan rx 4096 tx 1024");
  nic().rings = RingSizes{.rx = 2048, .tx = 2048, .most_rx = 4096, .most_tx = 4096};
  expect(ask(check_rings), kOk, "2048 to receive");
  nic().rings = RingSizes{};
  EXPECT_FALSE(ask(check_rings));
  nic().rings = std::unexpected(EPERM);
  expect(ask(check_rings), kUnknown, "only root", "as root");
}

TEST_F(LinkChecks, FlowControl) {
  EXPECT_FALSE(ask(check_flow_control));
  nic().pause = FlowControl{};
  expect(ask(check_flow_control), kOk, "off");
  nic().pause = FlowControl{.is_negotiated = true, .rx = true, .tx = true};
  expect(ask(check_flow_control), kSlow, "rx, tx", "type: ethtool -A lan autoneg off rx off tx off");
  nic().pause = FlowControl{.tx = true};
  expect(ask(check_flow_control), kSlow, "on (tx)", "type: ethtool -A lan rx off tx off");
  nic().pause = std::unexpected(EIO);
  expect(ask(check_flow_control), kUnknown, "could not be looked at");
}

TEST_F(LinkChecks, PromiscuousModeIsUpToAHypervisor) {
  expect(ask(check_promiscuous), kOk, "by itself");
  nic().driver = "virtio_net";
  expect(ask(check_promiscuous), kUnknown, "the host", "at the hypervisor");
}

TEST_F(LinkChecks, DevicesOfDpdk) {
  wishes_.ports.front() = {.name = "lan", .interface = "net_memif0", .is_dpdk = true};
  expect(ask(check_pci_driver), kOk, "net_memif0");
  wishes_.ports.front().interface = "0000:01:00.0";
  expect(ask(check_pci_driver), kBroken, "no PCI device", "lspci");
  const std::string folder = machine().root() + "/sys/bus/pci/devices/0000:01:00.0/";
  std::filesystem::create_directories(folder);
  expect(ask(check_pci_driver), kBroken, "no driver", "dpdk-devbind.py -b vfio-pci 0000:01:00.0");
  for (const auto& [driver, level] : {std::pair("ixgbe", kBroken), {"uio_pci_generic", kSlow}, {"vfio-pci", kOk}}) {
    std::filesystem::remove(folder + "driver");
    std::filesystem::create_symlink(std::string("../../bus/pci/drivers/") + driver, folder + "driver");
    expect(ask(check_pci_driver), level, driver, level == kOk ? "" : "vfio-pci");
  }
}

TEST_F(LinkChecks, BothPortsOfABridgeWantOneMtu) {
  kernel_.nics["wan"] = {};
  wishes_.ports.push_back({.name = "out side", .interface = "wan"});
  const Machine all = machine();
  const auto asked = [&] {
    return check_same_mtu(Port(all, wishes_, wishes_.ports[0]), Port(all, wishes_, wishes_.ports[1]));
  };
  expect(asked(), kOk, "1500 on both");
  kernel_.nics["wan"].link->mtu = 1400;
  expect(asked(), kBroken, "larger than 1400", "type: ip link set lan mtu 1400");
  kernel_.nics["wan"].link = std::unexpected(ENODEV);
  EXPECT_FALSE(asked());
}

TEST_F(LinkChecks, PossiblePortsAreEthernetWithADeviceOrAVeth) {
  file("/sys/class/net/lan/device/vendor", "0x8086\n");
  kernel_.nics["lo"].link = Link{.is_ethernet = false};
  kernel_.nics["br0"].driver = "bridge";
  kernel_.nics["v0"].driver = "veth";
  kernel_.nics["gone"].link = std::unexpected(ENODEV);
  EXPECT_EQ(possible_ports(machine()), (std::vector<std::string>{"lan", "v0"}));
}

}  // namespace
}  // namespace ringplane::doctor
