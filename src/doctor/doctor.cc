#include "doctor/doctor.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "doctor/checks.h"
#include "doctor/finding.h"
#include "doctor/machine.h"
#include "doctor/wishes.h"

namespace ringplane::doctor {
namespace {

// The table of contents. What a name means to users: docs/reference/doctor.md.

struct PortEntry {
  const char* what;
  PortCheck check;
};
/// The first one says whether there is anything to look at.
constexpr PortEntry kPortChecks[] = {
    {"link", check_link},
    {"driver", check_driver},
    {"xdp", check_xdp_program},
    {"mtu", check_mtu},
    {"queues", check_queues},
    {"rss", check_symmetry},
    {"rss table", check_table},
    {"rss tcp", check_tcp_fields},
    {"rss udp", check_udp_fields},
    {"gro", check_gro},
    {"lro", check_lro},
    {"hw gro", check_hardware_gro},
    {"vlan tags", check_vlan_tags},
    {"rx checksum", check_rx_checksum},
    {"other end", check_other_end},
    {"rings", check_rings},
    {"coalescing", check_coalescing},
    {"pause", check_flow_control},
    {"promiscuous", check_promiscuous},
    {"irq deferral", check_deferral},
    {"interrupts", check_interrupts},
    {"numa", check_port_node},
};
constexpr PortEntry kDpdkPortChecks[] = {{"driver", check_pci_driver}};

struct MachineEntry {
  const char* subject;
  const char* what;
  MachineCheck check;
};
constexpr MachineEntry kMachineChecks[] = {
    {"kernel", "version", check_version},
    {"kernel", "af_xdp", check_af_xdp},
    {"kernel", "rights", check_rights},
    {"kernel", "bpf jit", check_jit},
    {"kernel", "jit blinding", check_jit_hardening},
    {"kernel", "users' bpf", check_unprivileged_bpf},
    {"kernel", "landlock", check_landlock},
    {"kernel", "seccomp", check_seccomp},
    {"memory", "free", check_free_memory},
    {"memory", "huge pages", check_huge_pages},
    {"memory", "1 GiB pages", check_gigantic_pages},
    {"memory", "thp", check_transparent_pages},
    {"memory", "locked", check_locked_memory},
    {"memory", "balancing", check_numa_balancing},
    {"cpu", "workers", check_pinning},
    {"cpu", "isolation", check_isolation},
    {"cpu", "ticks", check_ticks},
    {"cpu", "siblings", check_siblings},
    {"cpu", "frequency", check_governor},
    {"cpu", "idle states", check_idle_states},
    {"cpu", "irqbalance", check_irqbalance},
    {"cpu", "clock", check_clock},
    {"cpu", "machine", check_steal},
    {"cpu", "mitigations", check_mitigations},
};

template <std::size_t kCount>
void look_at(const Port& port, const PortEntry (&entries)[kCount], std::vector<Finding>& findings) {
  for (const PortEntry& entry : entries) {
    if (Answer answer = entry.check(port)) findings.push_back({port.wish.name, entry.what, std::move(*answer)});
    if (!port.wish.is_dpdk && !port.link) return;
  }
}

}  // namespace

std::vector<Finding> examine(const Machine& machine, const Wishes& wishes) {
  std::vector<Finding> findings;
  std::vector<Port> ports;
  ports.reserve(wishes.ports.size());
  for (const PortWish& wish : wishes.ports) {
    const Port& port = ports.emplace_back(machine, wishes, wish);
    if (wish.is_dpdk) {
      look_at(port, kDpdkPortChecks, findings);
    } else {
      look_at(port, kPortChecks, findings);
    }
  }
  for (const auto& [first, second] : wishes.bridges) {
    const Port& one = ports.at(first);
    const Port& other = ports.at(second);
    if (Answer answer = check_same_mtu(one, other)) {
      findings.push_back({one.wish.name + "-" + other.wish.name, "mtu", std::move(*answer)});
    }
  }
  for (const MachineEntry& entry : kMachineChecks) {
    if (Answer answer = entry.check(machine, wishes)) {
      findings.push_back({entry.subject, entry.what, std::move(*answer)});
    }
  }
  return findings;
}

std::vector<std::string> possible_ports(const Machine& machine) {
  std::vector<std::string> found;
  for (const std::string& interface : machine.kernel().interfaces()) {
    const auto link = machine.kernel().link(interface);
    if (!link || !link->is_ethernet) continue;
    const bool is_veth = machine.kernel().driver(interface).value_or("") == "veth";
    if (is_veth || machine.exists("/sys/class/net/" + interface + "/device")) found.push_back(interface);
  }
  return found;
}

}  // namespace ringplane::doctor
