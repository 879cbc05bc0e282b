// Processors: whether workers have theirs for themselves, at full speed.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "doctor/checks.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"
#include "doctor/machine.h"
#include "doctor/wishes.h"

namespace ringplane::doctor {
namespace {

using Cpus = std::vector<std::uint32_t>;

constexpr const char* kCpus = "/sys/devices/system/cpu/";
constexpr const char* kClocks = "/sys/devices/system/clocksource/clocksource0/";
/// A worker that sleeps is woken by a packet: waking the processor up should not take longer than a burst.
constexpr std::uint64_t kDeepUs = 10;

std::string cpu_file(std::uint32_t cpu, std::string_view name) {
  return fmt::format("{}cpu{}/{}", kCpus, cpu, name);
}

/// Those of `wanted` that are not in `list`.
Cpus missing_in(const Cpus& list, const Cpus& wanted) {
  Cpus missing;
  for (const std::uint32_t cpu : wanted) {
    if (std::ranges::find(list, cpu) == list.end()) missing.push_back(cpu);
  }
  return missing;
}

/// By isolcpus= or by a partition of control groups.
Asked<Cpus> isolated(const Machine& machine) {
  auto list = machine.numbers(fmt::format("{}isolated", kCpus));
  const Cpus more = machine.numbers("/sys/fs/cgroup/cpuset.cpus.isolated").value_or(Cpus{});
  if (list) list->insert(list->end(), more.begin(), more.end());
  return list;
}

std::string boot_advice(const std::string& cpus) {
  return fmt::format(
      "boot with isolcpus={0} nohz_full={0} rcu_nocbs={0} (GRUB_CMDLINE_LINUX in /etc/default/grub, then "
      "update-grub)",
      cpus);
}

}  // namespace

std::vector<std::uint32_t> cpus_of_interest(const Machine& machine, const Wishes& wishes) {
  if (!wishes.cpus.empty()) return wishes.cpus;
  return machine.numbers(fmt::format("{}online", kCpus)).value_or(Cpus{});
}

Answer check_pinning(const Machine& machine, const Wishes& wishes) {
  if (wishes.workers == 0) return std::nullopt;
  const auto online = machine.numbers(fmt::format("{}online", kCpus));
  if (!online) return not_told(online.error());
  if (const Cpus absent = missing_in(*online, wishes.cpus); !absent.empty()) {
    return broken(fmt::format("workers.cpus names {}, and there are {}", list_text(absent), list_text(*online)),
                  "name others in workers.cpus");
  }
  if (wishes.workers > online->size()) {
    return slow(fmt::format("{} workers on {} processor(s)", wishes.workers, online->size()),
                fmt::format("set workers.count = {}", online->size()));
  }
  if (!wishes.cpus.empty()) return ok(fmt::format("{}, on processors {}", wishes.workers, list_text(wishes.cpus)));
  std::string cpus;
  for (std::size_t i = online->size() - wishes.workers; i < online->size(); ++i) {
    cpus += fmt::format("{}{}", cpus.empty() ? "" : ", ", (*online)[i]);
  }
  return slow("not pinned: a worker that moves leaves its caches behind", fmt::format("set workers.cpus = [{}]", cpus));
}

Answer check_isolation(const Machine& machine, const Wishes& wishes) {
  if (wishes.cpus.empty()) return std::nullopt;
  const auto list = isolated(machine);
  if (!list) return not_told(list.error());
  const Cpus shared = missing_in(*list, wishes.cpus);
  if (shared.empty()) return ok(fmt::format("nothing else runs on processors {}", list_text(wishes.cpus)));
  return slow(fmt::format("other programs may run on processors {} of workers", list_text(shared)),
              boot_advice(list_text(wishes.cpus)));
}

Answer check_ticks(const Machine& machine, const Wishes& wishes) {
  if (wishes.cpus.empty()) return std::nullopt;
  const std::string path = fmt::format("{}nohz_full", kCpus);
  auto list = machine.numbers(path);
  if (!list && machine.read(path).value_or("") == "(null)") list = Cpus{};  // what Linux says of an empty list
  if (!list && list.error() == ENOENT) return unknown("this kernel cannot leave ticks out (CONFIG_NO_HZ_FULL)");
  if (!list) return not_told(list.error());
  const Cpus ticking = missing_in(*list, wishes.cpus);
  if (ticking.empty()) return ok("none while a worker runs alone");
  return slow(fmt::format("the kernel's clock interrupts processors {} of workers", list_text(ticking)),
              boot_advice(list_text(wishes.cpus)));
}

Answer check_siblings(const Machine& machine, const Wishes& wishes) {
  if (wishes.cpus.empty()) return std::nullopt;
  const Cpus alone = isolated(machine).value_or(Cpus{});
  std::set<std::uint32_t> busy;
  for (const std::uint32_t cpu : wishes.cpus) {
    const auto siblings = machine.numbers(cpu_file(cpu, "topology/thread_siblings_list"));
    if (!siblings) return not_told(siblings.error());
    for (const std::uint32_t sibling : *siblings) {
      if (sibling == cpu) continue;
      if (std::ranges::find(wishes.cpus, sibling) != wishes.cpus.end()) {
        return slow(fmt::format("processors {} and {} are two threads of one core, with a worker each",
                                std::min(cpu, sibling), std::max(cpu, sibling)),
                    "name processors of different cores in workers.cpus");
      }
      if (std::ranges::find(alone, sibling) == alone.end()) busy.insert(sibling);
    }
  }
  if (busy.empty()) return ok("each worker has a core for itself");
  std::string commands;
  for (const std::uint32_t cpu : busy) {
    commands += fmt::format("{}echo 0 > {}", commands.empty() ? "" : "; ", cpu_file(cpu, "online"));
  }
  return slow(fmt::format("processors {} share a worker's core", list_text(Cpus(busy.begin(), busy.end()))),
              type(commands));
}

Answer check_governor(const Machine& machine, const Wishes& wishes) {
  const Cpus cpus = cpus_of_interest(machine, wishes);
  Cpus slowed;
  std::string governor;
  std::size_t told = 0;
  for (const std::uint32_t cpu : cpus) {
    const auto said = machine.read(cpu_file(cpu, "cpufreq/scaling_governor"));
    if (!said && said.error() == ENOENT) continue;
    if (!said) return not_told(said.error());
    ++told;
    if (*said == "performance") continue;
    slowed.push_back(cpu);
    governor = *said;
  }
  if (told == 0) return ok("not in the hands of this kernel");
  if (slowed.empty()) return ok("performance");
  std::string commands;
  const std::string list = list_text(slowed);
  return slow(fmt::format("governor {} on processors {}: they are slow when a burst begins", governor, list),
              type(fmt::format("cpupower -c {} frequency-set -g performance", list)));
}

Answer check_idle_states(const Machine& machine, const Wishes& wishes) {
  if (wishes.never_sleeps) return ok("the workers never sleep");
  // Somebody may have asked for a limit, as tuned does; only root may look.
  if (const auto bytes = machine.read("/dev/cpu_dma_latency"); bytes && bytes->size() == sizeof(std::int32_t)) {
    std::int32_t limit_us = 0;
    std::memcpy(&limit_us, bytes->data(), sizeof limit_us);
    if (limit_us >= 0 && static_cast<std::uint64_t>(limit_us) <= kDeepUs)
      return ok(fmt::format("limited to {} us", limit_us));
  }
  const Cpus cpus = cpus_of_interest(machine, wishes);
  std::uint64_t deepest_us = 0;
  std::string name;
  for (const std::uint32_t cpu : cpus) {
    for (const std::string& state : machine.names(cpu_file(cpu, "cpuidle"))) {
      const std::string folder = cpu_file(cpu, "cpuidle/" + state);
      const auto latency = machine.number(folder + "/latency");
      if (!latency || machine.number(folder + "/disable").value_or(0) != 0 || *latency <= deepest_us) continue;
      deepest_us = *latency;
      name = machine.read(folder + "/name").value_or(state).substr(0, 16);
    }
  }
  if (deepest_us <= kDeepUs)
    return ok(deepest_us == 0 ? "none" : fmt::format("{}, {} us to wake up", name, deepest_us));
  return slow(fmt::format("{}: a sleeping worker's processor takes {} us to wake up", name, deepest_us),
              type(fmt::format("cpupower -c {} idle-set -D {}", list_text(cpus), kDeepUs)));
}

Answer check_clock(const Machine& machine, const Wishes&) {
  const auto current = machine.read(fmt::format("{}current_clocksource", kClocks));
  if (!current) return not_told(current.error());
  // Those that the kernel's vDSO reads without a system call.
  constexpr std::array<std::string_view, 5> kFast = {"tsc", "kvm-clock", "arch_sys_counter",
                                                     "hyperv_clocksource_tsc_page", "riscv_clocksource"};
  const std::string name = current->substr(0, 32);
  if (std::ranges::find(kFast, name) != kFast.end()) return ok(name);
  const std::string finding = name + ": each look at the clock is a system call";
  const std::string available = " " + machine.read(fmt::format("{}available_clocksource", kClocks)).value_or("") + " ";
  if (available.find(" tsc ") != std::string::npos) {
    return slow(finding, type(fmt::format("echo tsc > {}current_clocksource", kClocks)));
  }
  return slow(finding, "boot with tsc=reliable if the machine's processors agree on the time");
}

Answer check_steal(const Machine& machine, const Wishes&) {
  const auto about = machine.read("/proc/cpuinfo");
  if (!about) return not_told(about.error());
  if (about->find(" hypervisor") == std::string::npos) return ok("no virtual one, as far as it says");
  const auto stat = machine.read("/proc/stat");
  if (!stat) return not_told(stat.error());
  // "cpu" user nice system idle iowait irq softirq steal (proc(5)), in ticks since the start.
  std::string_view line = std::string_view(*stat).substr(0, stat->find('\n'));
  std::array<std::uint64_t, 8> ticks{};
  line.remove_prefix(std::min<std::size_t>(line.size(), 4));
  std::uint64_t sum = 0;
  for (std::uint64_t& each : ticks) {
    const auto value = leading_number(line);
    if (!value) return not_told(EBADMSG);
    each = *value;
    sum += each;
    line.remove_prefix(line.find_first_not_of(' '));
    line.remove_prefix(std::min(line.find(' '), line.size()));
  }
  const double share = sum == 0 ? 0 : 100.0 * static_cast<double>(ticks.back()) / static_cast<double>(sum);
  if (share < 1) return ok(fmt::format("a virtual one; the host took {:.1f} % of the time", share));
  return slow(fmt::format("a virtual one; the host took {:.1f} % of the time", share),
              "give the machine processors of its own");
}

Answer check_mitigations(const Machine& machine, const Wishes&) {
  const std::string folder = fmt::format("{}vulnerabilities", kCpus);
  const std::vector<std::string> all = machine.names(folder);
  if (all.empty()) return not_told(ENOENT);
  const auto count = std::ranges::count_if(all, [&](const std::string& name) {
    return machine.read(folder + "/" + name).value_or("").starts_with("Mitigation");
  });
  return ok(fmt::format("{} of {} processor faults; a worker makes few system calls", count, all.size()));
}

}  // namespace ringplane::doctor
