// All checks, in the files where they are written. One check answers one question about one thing; it only looks.
// doctor.cc has them in the order in which they are told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "doctor/drivers.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"
#include "doctor/machine.h"
#include "doctor/wishes.h"

namespace ringplane::doctor {

/// A port with what several checks want to know of it.
struct Port {
  Port(const Machine& from, const Wishes& all, const PortWish& one);

  const Machine& machine;
  const Kernel& kernel;
  const Wishes& wishes;
  const PortWish& wish;
  Asked<Link> link;
  Asked<LinkDetails> details;
  std::string driver;        ///< "": it does not say
  const DriverFacts* facts;  ///< nullptr: not in the table
  Asked<std::uint64_t> xdp;  ///< bits of Kernel::xdp_features()
  Asked<Channels> channels;  ///< of a driver that has none: one
  Asked<std::vector<Offload>> offloads;

  /// For a command.
  [[nodiscard]] std::string interface() const { return word(wish.interface); }
  /// "/sys/class/net/eth0/" and `name`.
  [[nodiscard]] std::string file(std::string_view name) const;
  /// Workers that there are or, if nobody said, that would go with its queues.
  [[nodiscard]] std::uint32_t workers() const noexcept;
};

using PortCheck = Answer (*)(const Port& port);
using MachineCheck = Answer (*)(const Machine& machine, const Wishes& wishes);

// link_checks.cc
Answer check_link(const Port& port);
Answer check_driver(const Port& port);
Answer check_xdp_program(const Port& port);
Answer check_mtu(const Port& port);
Answer check_queues(const Port& port);
Answer check_rings(const Port& port);
Answer check_flow_control(const Port& port);
Answer check_promiscuous(const Port& port);
Answer check_pci_driver(const Port& port);
/// Both ports of a bridge.
Answer check_same_mtu(const Port& first, const Port& second);

// spreading_checks.cc
Answer check_symmetry(const Port& port);
Answer check_table(const Port& port);
Answer check_tcp_fields(const Port& port);
Answer check_udp_fields(const Port& port);

// offload_checks.cc
Answer check_gro(const Port& port);
Answer check_lro(const Port& port);
Answer check_hardware_gro(const Port& port);
Answer check_vlan_tags(const Port& port);
Answer check_rx_checksum(const Port& port);
Answer check_other_end(const Port& port);

// interrupt_checks.cc
Answer check_coalescing(const Port& port);
Answer check_deferral(const Port& port);
Answer check_interrupts(const Port& port);
Answer check_port_node(const Port& port);
Answer check_irqbalance(const Machine& machine, const Wishes& wishes);

// memory_checks.cc
Answer check_huge_pages(const Machine& machine, const Wishes& wishes);
Answer check_gigantic_pages(const Machine& machine, const Wishes& wishes);
Answer check_transparent_pages(const Machine& machine, const Wishes& wishes);
Answer check_free_memory(const Machine& machine, const Wishes& wishes);
Answer check_locked_memory(const Machine& machine, const Wishes& wishes);
Answer check_numa_balancing(const Machine& machine, const Wishes& wishes);

// cpu_checks.cc
Answer check_pinning(const Machine& machine, const Wishes& wishes);
Answer check_isolation(const Machine& machine, const Wishes& wishes);
Answer check_ticks(const Machine& machine, const Wishes& wishes);
Answer check_siblings(const Machine& machine, const Wishes& wishes);
Answer check_governor(const Machine& machine, const Wishes& wishes);
Answer check_idle_states(const Machine& machine, const Wishes& wishes);
Answer check_clock(const Machine& machine, const Wishes& wishes);
Answer check_steal(const Machine& machine, const Wishes& wishes);
Answer check_mitigations(const Machine& machine, const Wishes& wishes);

// kernel_checks.cc
Answer check_version(const Machine& machine, const Wishes& wishes);
Answer check_af_xdp(const Machine& machine, const Wishes& wishes);
Answer check_jit(const Machine& machine, const Wishes& wishes);
Answer check_jit_hardening(const Machine& machine, const Wishes& wishes);
Answer check_unprivileged_bpf(const Machine& machine, const Wishes& wishes);
Answer check_landlock(const Machine& machine, const Wishes& wishes);
Answer check_seccomp(const Machine& machine, const Wishes& wishes);
Answer check_rights(const Machine& machine, const Wishes& wishes);

/// The processors that matter: those of the workers or, not pinned, all that are switched on.
[[nodiscard]] std::vector<std::uint32_t> cpus_of_interest(const Machine& machine, const Wishes& wishes);

}  // namespace ringplane::doctor
