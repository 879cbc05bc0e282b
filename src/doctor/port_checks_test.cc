// A port: how packets are spread, what is done to them before ringplane sees them, and when and where it interrupts.
#include <cerrno>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <linux/ethtool.h>

#include "doctor/checks.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"
#include "doctor/test_machine.h"

namespace ringplane::doctor {
namespace {

using enum Level;
using SpreadingChecks = MadeUpMachine;
using OffloadChecks = MadeUpMachine;
using InterruptChecks = MadeUpMachine;
using Key = std::vector<std::uint8_t>;

const Key kSymmetricKey = {0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a};
const Key kMicrosoftKey = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2};

TEST_F(SpreadingChecks, OneWorkerDoesNotCare) {
  nic().spreading = Spreading{.function = Spreading::kToeplitz, .key = kMicrosoftKey, .table = {0, 1}};
  wishes_.workers = 1;
  for (const PortCheck check : {check_symmetry, check_table, check_tcp_fields, check_udp_fields})
    EXPECT_FALSE(ask(check));
}

TEST_F(SpreadingChecks, Symmetry) {
  expect(ask(check_symmetry), kUnknown, "does not tell");
  nic().spreading = Spreading{.function = Spreading::kToeplitz, .key = kSymmetricKey};
  expect(ask(check_symmetry), kOk, "repeats every 16 bits");
  nic().spreading = Spreading{.function = Spreading::kToeplitz, .key = kMicrosoftKey};
  expect(ask(check_symmetry), kOk, "not symmetric, which is fine");
  for (const std::uint8_t transform : {Spreading::kSymmetricXor, Spreading::kSymmetricOrXor}) {
    nic().spreading->transform = transform;
    expect(ask(check_symmetry), kOk, "transformed input");
  }
  nic().spreading = Spreading{.function = Spreading::kXor, .key = kMicrosoftKey};
  expect(ask(check_symmetry), kOk, "xor");
  nic().spreading = Spreading{.function = Spreading::kCrc32, .key = kSymmetricKey};
  expect(ask(check_symmetry), kOk, "not symmetric, which is fine");
  nic().spreading = Spreading{.function = Spreading::kToeplitz, .key = Key(40, 0)};
  expect(ask(check_symmetry), kSlow, "zeros", "type: ethtool -X lan hkey $(yes 6d:5a | head -n 20 | paste -sd:)");
  nic().spreading = Spreading{.function = Spreading::kToeplitz};
  expect(ask(check_symmetry), kUnknown, "does not tell the key");
  nic().spreading = std::unexpected(EIO);
  expect(ask(check_symmetry), kUnknown, "could not be looked at");
}

TEST_F(SpreadingChecks, Table) {
  EXPECT_FALSE(ask(check_table));
  nic().spreading = Spreading{.table = {0, 1, 0, 1}};
  expect(ask(check_table), kOk, "even over 2");
  nic().spreading->table = {0, 1, 2, 3};
  expect(ask(check_table), kBroken, "queue 3, which no worker has", "type: ethtool -X lan equal 2");
  nic().spreading->table = {0, 0, 0, 0};
  expect(ask(check_table), kSlow, "1 of 2 queues", "type: ethtool -X lan equal 2");
  nic().spreading->table = {0, 1, 1, 1};
  expect(ask(check_table), kSlow, "queue 1 gets more than twice", "type: ethtool -X lan equal 2");
  nic().spreading->table = {};
  EXPECT_FALSE(ask(check_table));
}

TEST_F(SpreadingChecks, HashedFields) {
  constexpr std::uint64_t kAddresses = RXH_IP_SRC | RXH_IP_DST;
  constexpr std::uint64_t kAll = kAddresses | RXH_L4_B_0_1 | RXH_L4_B_2_3;
  EXPECT_FALSE(ask(check_udp_fields));
  nic().fields = {{TCP_V4_FLOW, kAll}, {TCP_V6_FLOW, kAll}, {UDP_V4_FLOW, kAddresses}, {UDP_V6_FLOW, kAddresses}};
  expect(ask(check_tcp_fields), kOk, "addresses and ports");
  expect(ask(check_udp_fields), kSlow, "between two hosts",
         "type: ethtool -N lan rx-flow-hash udp4 sdfn; ethtool -N lan rx-flow-hash udp6 sdfn");
  nic().fields[UDP_V6_FLOW] = kAll;
  EXPECT_EQ(ask(check_udp_fields)->advice, "type: ethtool -N lan rx-flow-hash udp4 sdfn");
  nic().fields[UDP_V4_FLOW] = std::unexpected(EIO);
  expect(ask(check_udp_fields), kUnknown, "could not be looked at");
}

TEST_F(OffloadChecks, WhatMergesPackets) {
  struct Case {
    PortCheck check;
    const char* name;
    const char* command;
  };
  for (const auto& [check, name, command] : {Case{check_gro, "rx-gro", "type: ethtool -K lan gro off"},
                                             {check_lro, "rx-lro", "type: ethtool -K lan lro off"},
                                             {check_hardware_gro, "rx-gro-hw", "type: ethtool -K lan rx-gro-hw off"}}) {
    nic().offloads = std::vector<Offload>{};
    EXPECT_FALSE(ask(check)) << name;
    nic().offloads->push_back({.name = name, .is_on = false, .can_change = true});
    expect(ask(check), kOk, "off");
    nic().offloads->back().is_on = true;
    expect(ask(check), kSlow, "merged", command);
    nic().offloads->back().can_change = false;
    expect(ask(check), kSlow, "does not let it be switched off", "another NIC");
    nic().offloads = std::unexpected(EPERM);
    expect(ask(check), kUnknown, "only root", "as root");
  }
}

TEST_F(OffloadChecks, VlanTags) {
  expect(ask(check_vlan_tags), kOk, "left in the frame");
  nic().offloads->push_back({.name = "rx-vlan-hw-parse", .is_on = true, .can_change = true});
  expect(ask(check_vlan_tags), kBroken, "without their tag", "type: ethtool -K lan rxvlan off");
  nic().offloads->back().can_change = false;
  expect(ask(check_vlan_tags), kBroken, "without their tag", "another NIC");
  nic().offloads = std::unexpected(EIO);
  expect(ask(check_vlan_tags), kUnknown, "could not be looked at");
  nic().driver = "veth";
  EXPECT_FALSE(ask(check_vlan_tags));
}

TEST_F(OffloadChecks, ChecksumsOfVirtio) {
  EXPECT_FALSE(ask(check_rx_checksum));
  nic().driver = "virtio_net";
  nic().offloads->push_back({.name = "rx-checksum", .is_on = true, .can_change = true});
  expect(ask(check_rx_checksum), kSlow, "without checksums", "type: ethtool -K lan rx off");
  nic().offloads->back().is_on = false;
  expect(ask(check_rx_checksum), kOk, "off");
}

TEST_F(OffloadChecks, TheOtherEndOfAVeth) {
  EXPECT_FALSE(ask(check_other_end));
  nic().driver = "veth";
  nic().details = std::unexpected(EIO);
  expect(ask(check_other_end), kUnknown, "could not be looked at");
  nic().details = LinkDetails{.other_index = 9, .other_is_elsewhere = true};
  expect(ask(check_other_end), kUnknown, "another network namespace", "there: ethtool -K OTHER-END tx off");
  nic().details = LinkDetails{.other_index = 9};
  expect(ask(check_other_end), kUnknown, "not found");
  MadeUpNic& other = kernel_.nics["host"];
  other.link->index = 9;
  expect(ask(check_other_end), kOk, "host sends what a wire would carry");
  other.offloads->push_back({.name = "tx-tcp-segmentation", .is_on = true, .can_change = true});
  expect(ask(check_other_end), kSlow, "larger than a frame", "type: ethtool -K host tx off tso off gso off txvlan off");
  other.offloads->push_back({.name = "tx-vlan-hw-insert", .is_on = true, .can_change = true});
  expect(ask(check_other_end), kBroken, "tags beside the packet", "type: ethtool -K host");
  other.offloads->push_back({.name = "tx-checksum-ip-generic", .is_on = true, .can_change = true});
  expect(ask(check_other_end), kBroken, "leaves checksums out", "type: ethtool -K host");
  other.offloads = std::unexpected(EIO);
  expect(ask(check_other_end), kUnknown, "could not be looked at");
}

TEST_F(InterruptChecks, Coalescing) {
  EXPECT_FALSE(ask(check_coalescing));
  nic().coalescing = Coalescing{.is_adaptive = true, .rx_us = 1};
  expect(ask(check_coalescing), kOk, "adaptive");
  nic().coalescing = Coalescing{.rx_us = 50};
  expect(ask(check_coalescing), kOk, "up to 50 us");
  nic().coalescing = Coalescing{.rx_us = 1000};
  expect(ask(check_coalescing), kSlow, "1000 us", "type: ethtool -C lan rx-usecs 20");
  nic().coalescing = Coalescing{};
  expect(ask(check_coalescing), kSlow, "for each packet", "type: ethtool -C lan rx-usecs 20");
  nic().driver = "virtio_net";
  expect(ask(check_coalescing), kOk, "hypervisor");
  nic().coalescing = std::unexpected(EIO);
  expect(ask(check_coalescing), kUnknown, "could not be looked at");
}

TEST_F(InterruptChecks, Deferral) {
  expect(ask(check_deferral), kUnknown, "does not tell here");
  file("/sys/class/net/lan/gro_flush_timeout", "0\n");
  expect(ask(check_deferral), kOk, "not put off");
  file("/sys/class/net/lan/gro_flush_timeout", "2000000\n");
  expect(ask(check_deferral), kOk, "not put off");  // without the second knob the first does nothing to interrupts
  file("/sys/class/net/lan/napi_defer_hard_irqs", "2\n");
  expect(ask(check_deferral), kSlow, "2000 us, 2 times", "type: echo 0 > /sys/class/net/lan/napi_defer_hard_irqs");
  file("/sys/class/net/lan/gro_flush_timeout", "many\n");
  expect(ask(check_deferral), kUnknown, "no sense");
}

TEST_F(InterruptChecks, InterruptsOnWorkersProcessors) {
  EXPECT_FALSE(ask(check_interrupts));
  file("/sys/class/net/lan/device/msi_irqs/38", "msix\n");
  file("/sys/class/net/lan/device/msi_irqs/39", "msix\n");
  file("/sys/class/net/lan/device/msi_irqs/nonsense", "msix\n");
  file("/sys/devices/system/cpu/online", "0-3\n");
  expect(ask(check_interrupts), kOk, "not pinned");
  wishes_.cpus = {2, 3};
  expect(ask(check_interrupts), kUnknown, "does not tell here");
  file("/proc/irq/38/smp_affinity_list", "0\n");
  file("/proc/irq/39/smp_affinity_list", "1\n");
  expect(ask(check_interrupts), kOk, "2, all beside the workers");
  file("/proc/irq/39/smp_affinity_list", "0-3\n");
  expect(ask(check_interrupts), kSlow, "1 of 2",
         "type: for i in 39; do echo 0,1 > /proc/irq/$i/smp_affinity_list; done");
  file("/sys/devices/system/cpu/online", "2-3\n");
  expect(ask(check_interrupts), kSlow, "1 of 2", "leave a processor");
  file("/proc/irq/39/smp_affinity_list", "3-1\n");
  expect(ask(check_interrupts), kUnknown, "no sense");
}

TEST_F(InterruptChecks, TheNodeOfANic) {
  EXPECT_FALSE(ask(check_port_node));
  file("/sys/devices/system/node/online", "0-1\n");
  file("/sys/devices/system/node/node0/cpulist", "0-1\n");
  file("/sys/devices/system/node/node1/cpulist", "2-3\n");
  expect(ask(check_port_node), kOk, "no node");
  file("/sys/class/net/lan/device/numa_node", "1\n");
  expect(ask(check_port_node), kOk, "near node 1");
  wishes_.cpus = {2, 3};
  expect(ask(check_port_node), kOk, "as all workers are");
  wishes_.cpus = {1, 2};
  expect(ask(check_port_node), kSlow, "processors 1 are not", "processors of node 1: 2-3");
  file("/sys/class/net/lan/device/numa_node", "-1\n");
  expect(ask(check_port_node), kOk, "no node");
}

TEST_F(InterruptChecks, Irqbalance) {
  file("/proc/12/comm", "bash\n");
  expect(ask(check_irqbalance), kOk, "does not run");
  file("/proc/13/comm", "irqbalance\n");
  expect(ask(check_irqbalance), kOk, "not pinned");
  wishes_.cpus = {1, 2};
  expect(ask(check_irqbalance), kSlow, "moves interrupts", "type: systemctl disable --now irqbalance");
}

}  // namespace
}  // namespace ringplane::doctor
