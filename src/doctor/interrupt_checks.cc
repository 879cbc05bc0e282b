// When and where a NIC interrupts. AF_XDP without busy polling is driven by interrupts: the kernel's part of receiving
// runs on the processor that they go to.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/core.h>

#include "base/numa.h"
#include "doctor/checks.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"
#include "doctor/machine.h"
#include "doctor/wishes.h"

namespace ringplane::doctor {
namespace {

constexpr std::uint32_t kLongWaitUs = 100;
constexpr std::uint32_t kGoodWaitUs = 20;

std::vector<std::uint32_t> decimal_names(const std::vector<std::string>& names) {
  std::vector<std::uint32_t> found;
  for (const std::string& name : names) {
    std::uint32_t value = 0;
    const auto end = name.data() + name.size();
    const auto read_to = std::from_chars(name.data(), end, value);
    if (read_to.ec == std::errc() && read_to.ptr == end) found.push_back(value);
  }
  return found;
}

bool has(const std::vector<std::uint32_t>& list, std::uint32_t number) {
  return std::ranges::find(list, number) != list.end();
}

/// Message-signalled interrupts of the device or, as with virtio, of the one above it.
std::vector<std::uint32_t> interrupts_of(const Port& port) {
  std::vector<std::uint32_t> list = decimal_names(port.machine.names(port.file("device/msi_irqs")));
  if (list.empty()) list = decimal_names(port.machine.names(port.file("device/../msi_irqs")));
  return list;
}

}  // namespace

Answer check_coalescing(const Port& port) {
  const auto said = port.kernel.coalescing(port.wish.interface);
  if (!said && said.error() == EOPNOTSUPP) return std::nullopt;
  if (!said) return not_told(said.error());
  const std::string command = type(fmt::format("ethtool -C {}{} rx-usecs {}", port.interface(),
                                               said->is_adaptive ? " adaptive-rx off" : "", kGoodWaitUs));
  if (said->is_adaptive) return ok("adaptive");
  if (said->rx_us > kLongWaitUs)
    return slow(fmt::format("packets wait up to {} us for an interrupt", said->rx_us), command);
  if (said->rx_us == 0 && said->rx_frames <= 1) {
    if (port.facts != nullptr && port.facts->is_virtual) return ok("by the hypervisor");
    return slow("one interrupt for each packet", command);
  }
  return ok(fmt::format("up to {} us", said->rx_us));
}

Answer check_deferral(const Port& port) {
  const auto timeout_ns = port.machine.number(port.file("gro_flush_timeout"));
  const auto deferred = port.machine.number(port.file("napi_defer_hard_irqs"));
  if (!timeout_ns) return not_told(timeout_ns.error());
  if (!deferred && deferred.error() != ENOENT) return not_told(deferred.error());  // Linux 5.8 has it
  if (*timeout_ns / 1000 <= kLongWaitUs || deferred.value_or(0) == 0) return ok("interrupts are not put off");
  return slow(fmt::format("interrupts are put off for up to {} us, {} times", *timeout_ns / 1000, *deferred),
              type(fmt::format("echo 0 > {}", word(port.file("napi_defer_hard_irqs")))));
}

Answer check_interrupts(const Port& port) {
  const std::vector<std::uint32_t>& cpus = port.wishes.cpus;
  const std::vector<std::uint32_t> interrupts = interrupts_of(port);
  if (interrupts.empty()) return std::nullopt;  // no hardware
  if (cpus.empty()) return ok(fmt::format("{}; the workers are not pinned", interrupts.size()));
  std::vector<std::uint32_t> on_workers;
  for (const std::uint32_t interrupt : interrupts) {
    const auto goes_to = port.machine.numbers(fmt::format("/proc/irq/{}/smp_affinity_list", interrupt));
    if (!goes_to) return not_told(goes_to.error());
    if (std::ranges::any_of(*goes_to, [&](std::uint32_t cpu) { return has(cpus, cpu); }))
      on_workers.push_back(interrupt);
  }
  if (on_workers.empty()) return ok(fmt::format("{}, all beside the workers", interrupts.size()));
  std::vector<std::uint32_t> others =
      port.machine.numbers("/sys/devices/system/cpu/online").value_or(std::vector<std::uint32_t>{});
  std::erase_if(others, [&](std::uint32_t cpu) { return has(cpus, cpu); });
  const std::string finding =
      fmt::format("{} of {} may interrupt a worker's processor", on_workers.size(), interrupts.size());
  if (others.empty()) return slow(finding, "leave a processor without a worker");
  std::string numbers;
  for (const std::uint32_t interrupt : on_workers) numbers += fmt::format(" {}", interrupt);
  return slow(finding, type(fmt::format("for i in{}; do echo {} > /proc/irq/$i/smp_affinity_list; done", numbers,
                                        list_text(others))));
}

Answer check_port_node(const Port& port) {
  const base::NumaNodes nodes = base::NumaNodes::read(port.machine.root() + "/sys/devices/system/node");
  if (nodes.count() == 1) return std::nullopt;
  const int node = base::read_node(port.machine.root() + port.file("device/numa_node"));
  if (node == base::kAnyNode) return ok("near no node");
  if (port.wishes.cpus.empty()) return ok(fmt::format("near node {}", node));
  std::vector<std::uint32_t> far;
  for (const std::uint32_t cpu : port.wishes.cpus) {
    if (nodes.node_of_cpu(cpu) != node) far.push_back(cpu);
  }
  if (far.empty()) return ok(fmt::format("near node {}, as all workers are", node));
  const auto near = port.machine.read(fmt::format("/sys/devices/system/node/node{}/cpulist", node));
  return slow(fmt::format("near node {}, the workers on processors {} are not", node, list_text(far)),
              fmt::format("set workers.cpus to processors of node {}: {}", node, near.value_or("?")));
}

Answer check_irqbalance(const Machine& machine, const Wishes& wishes) {
  if (!machine.has_process("comm", "irqbalance")) return ok("does not run");
  if (wishes.cpus.empty()) return ok("runs; the workers are not pinned");
  return slow("runs, and moves interrupts onto the workers' processors", type("systemctl disable --now irqbalance"));
}

}  // namespace ringplane::doctor
