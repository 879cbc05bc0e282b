// The machine: memory, processors, kernel.
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "doctor/checks.h"
#include "doctor/finding.h"
#include "doctor/test_machine.h"

namespace ringplane::doctor {
namespace {

using enum Level;
using MemoryChecks = MadeUpMachine;
using CpuChecks = MadeUpMachine;
using KernelChecks = MadeUpMachine;

const std::string kDataProcess("ringplane\0data-process\0", 23);
constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20U;

TEST_F(MemoryChecks, HugePages) {
  const std::string folder = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
  expect(ask(check_huge_pages), kSlow, "none of 2 MiB", "CONFIG_HUGETLBFS");
  file(folder + "nr_hugepages", "0\n");
  file(folder + "free_hugepages", "0\n");
  expect(ask(check_huge_pages), kOk, "0 of 2 MiB, 0 free");
  wishes_.memory = {{.bytes = 32 * kMebibyte}, {.bytes = 3 * kMebibyte}};
  expect(ask(check_huge_pages), kSlow, "0 of 36 MiB wanted are free", "type: echo 18 > " + folder + "nr_hugepages");
  file(folder + "nr_hugepages", "10\n");
  file(folder + "free_hugepages", "6\n");  // four are somebody's, who keeps them
  expect(ask(check_huge_pages), kSlow, "12 of 36 MiB", "type: echo 22 > ");
  file("/proc/8/cmdline", kDataProcess);
  expect(ask(check_huge_pages), kOk, "has taken its part");
  remove("/proc/8");
  file(folder + "nr_hugepages", "20\n");
  expect(ask(check_huge_pages), kSlow, "12 of 36 MiB", "type: echo 32 > ");  // enough, had nobody else taken any
  file(folder + "free_hugepages", "18\n");
  expect(ask(check_huge_pages), kOk, "36 MiB of 40 are free");
  wishes_.huge_pages = false;
  expect(ask(check_huge_pages), kSlow, "memory.huge_pages = false", "true");
  file(folder + "nr_hugepages", "-5\n");
  expect(ask(check_huge_pages), kUnknown, "no sense");
}

TEST_F(MemoryChecks, HugePagesByNode) {
  const std::string all = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
  file(all + "nr_hugepages", "8\n");
  file(all + "free_hugepages", "8\n");
  for (const std::string node : {"0", "1"}) {
    const std::string folder = "/sys/devices/system/node/node" + node + "/hugepages/hugepages-2048kB/";
    file(folder + "nr_hugepages", node == "0" ? "8\n" : "0\n");
    file(folder + "free_hugepages", node == "0" ? "8\n" : "0\n");
  }
  wishes_.memory = {{.bytes = 8 * kMebibyte, .node = 0}, {.bytes = 8 * kMebibyte, .node = 1}};
  expect(ask(check_huge_pages), kSlow, "0 of 8 MiB wanted on node 1",
         "type: echo 4 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages");
}

TEST_F(MemoryChecks, PagesOfAGibibyteLieIdle) {
  EXPECT_FALSE(ask(check_gigantic_pages));
  file("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "2\n");
  expect(ask(check_gigantic_pages), kSlow, "2 are reserved", "type: echo 0 > ");
  file("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "\n\n");
  EXPECT_FALSE(ask(check_gigantic_pages));
}

TEST_F(MemoryChecks, TransparentPages) {
  const std::string path = "/sys/kernel/mm/transparent_hugepage/enabled";
  expect(ask(check_transparent_pages), kSlow, "no transparent", "reserve");
  file(path, "always [madvise] never\n");
  expect(ask(check_transparent_pages), kOk, "madvise");
  file(path, "[always] madvise never\n");
  expect(ask(check_transparent_pages), kOk, "always");
  file(path, "always madvise [never]\n");
  expect(ask(check_transparent_pages), kSlow, "never", "type: echo madvise > " + path);
  file(path, "perhaps\n");
  expect(ask(check_transparent_pages), kUnknown, "no sense");
  unreadable(path);
  expect(ask(check_transparent_pages), kUnknown, "could not be looked at");
  wishes_.huge_pages = false;
  EXPECT_FALSE(ask(check_transparent_pages));
}

TEST_F(MemoryChecks, FreeMemory) {
  expect(ask(check_free_memory), kUnknown, "no sense");
  file("/proc/meminfo", "MemTotal:       2048000 kB\nMemAvailable:   1048576 kB\n");
  expect(ask(check_free_memory), kOk, "1024 MiB");
  wishes_.memory = {{.bytes = 1024 * kMebibyte}};
  expect(ask(check_free_memory), kOk, "1024 MiB wanted, 1024 MiB free");
  wishes_.memory.push_back({.bytes = 1});
  expect(ask(check_free_memory), kBroken, "1025 MiB wanted", "lower memory.frames");
  file("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "1\n");
  file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "1\n");
  expect(ask(check_free_memory), kOk, "1026 MiB free");
  wishes_.memory.push_back({.bytes = 5 * kMebibyte});
  expect(ask(check_free_memory), kBroken, "1030 MiB wanted", "lower memory.frames");
  file("/proc/8/cmdline", kDataProcess);
  expect(ask(check_free_memory), kOk, "has taken its part");
  file("/proc/meminfo", "MemAvailable: lots\n");
  expect(ask(check_free_memory), kUnknown, "no sense");
}

TEST_F(MemoryChecks, LockedMemory) {
  wishes_.frames_bytes = 32 * kMebibyte;
  expect(ask(check_locked_memory), kUnknown, "8 MiB may be locked", "ulimit -l");
  kernel_.may.net_admin = true;
  expect(ask(check_locked_memory), kBroken, "frames take 32 MiB", "type: ulimit -l unlimited");
  kernel_.locked = 64 * kMebibyte;
  expect(ask(check_locked_memory), kOk, "64 MiB");
  kernel_.locked = UINT64_MAX;
  expect(ask(check_locked_memory), kOk, "no limit");
  kernel_.locked = 0;
  kernel_.may.ipc_lock = true;
  expect(ask(check_locked_memory), kOk, "no limit");
}

TEST_F(MemoryChecks, NumaBalancing) {
  EXPECT_FALSE(ask(check_numa_balancing));
  file("/sys/devices/system/node/online", "0-1\n");
  file("/sys/devices/system/node/node0/cpulist", "0\n");
  file("/sys/devices/system/node/node1/cpulist", "1\n");
  EXPECT_FALSE(ask(check_numa_balancing));
  file("/proc/sys/kernel/numa_balancing", "0\n");
  expect(ask(check_numa_balancing), kOk, "stay");
  file("/proc/sys/kernel/numa_balancing", "1\n");
  expect(ask(check_numa_balancing), kSlow, "takes pages away", "type: sysctl -w kernel.numa_balancing=0");
  file("/proc/sys/kernel/numa_balancing", "yes\n");
  expect(ask(check_numa_balancing), kUnknown, "no sense");
}

TEST_F(CpuChecks, Pinning) {
  expect(ask(check_pinning), kUnknown, "does not tell here");
  file("/sys/devices/system/cpu/online", "0-3\n");
  expect(ask(check_pinning), kSlow, "not pinned", "workers.cpus = [2, 3]");
  wishes_.cpus = {2, 3};
  expect(ask(check_pinning), kOk, "2, on processors 2,3");
  wishes_.cpus = {3, 4};
  expect(ask(check_pinning), kBroken, "names 4, and there are 0-3", "workers.cpus");
  wishes_.cpus = {};
  wishes_.workers = 5;
  expect(ask(check_pinning), kSlow, "5 workers on 4", "workers.count = 4");
  file("/sys/devices/system/cpu/online", "0-99999999999\n");
  expect(ask(check_pinning), kUnknown, "no sense");
  wishes_.workers = 0;
  EXPECT_FALSE(ask(check_pinning));
}

TEST_F(CpuChecks, Isolation) {
  const std::string path = "/sys/devices/system/cpu/isolated";
  EXPECT_FALSE(ask(check_isolation));
  wishes_.cpus = {2, 3};
  expect(ask(check_isolation), kUnknown, "does not tell here");
  file(path, "\n");
  expect(ask(check_isolation), kSlow, "processors 2,3", "isolcpus=2,3 nohz_full=2,3 rcu_nocbs=2,3");
  file(path, "2\n");
  expect(ask(check_isolation), kSlow, "processors 3 of", "isolcpus=2,3");
  file("/sys/fs/cgroup/cpuset.cpus.isolated", "3\n");
  expect(ask(check_isolation), kOk, "nothing else runs");
  file(path, "two\n");
  expect(ask(check_isolation), kUnknown, "no sense");
}

TEST_F(CpuChecks, Ticks) {
  const std::string path = "/sys/devices/system/cpu/nohz_full";
  EXPECT_FALSE(ask(check_ticks));
  wishes_.cpus = {1};
  expect(ask(check_ticks), kUnknown, "CONFIG_NO_HZ_FULL");
  file(path, "  (null)\n");
  expect(ask(check_ticks), kUnknown, "no sense");
  file(path, "(null)\n");
  expect(ask(check_ticks), kSlow, "processors 1 of", "nohz_full=1");
  file(path, "1-3\n");
  expect(ask(check_ticks), kOk, "none while a worker runs alone");
}

TEST_F(CpuChecks, Siblings) {
  const auto siblings = [&](int cpu, const char* list) {
    file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", list);
  };
  EXPECT_FALSE(ask(check_siblings));
  wishes_.cpus = {0, 1};
  expect(ask(check_siblings), kUnknown, "does not tell here");
  siblings(0, "0\n");
  siblings(1, "1\n");
  expect(ask(check_siblings), kOk, "a core for itself");
  siblings(0, "0,4\n");
  expect(ask(check_siblings), kSlow, "processors 4 share", "type: echo 0 > /sys/devices/system/cpu/cpu4/online");
  file("/sys/devices/system/cpu/isolated", "4\n");
  expect(ask(check_siblings), kOk, "a core for itself");
  siblings(1, "0-1\n");
  expect(ask(check_siblings), kSlow, "processors 0 and 1 are two threads", "different cores");
  siblings(0, "a\n");
  expect(ask(check_siblings), kUnknown, "no sense");
}

TEST_F(CpuChecks, Governor) {
  file("/sys/devices/system/cpu/online", "0-1\n");
  expect(ask(check_governor), kOk, "not in the hands");
  for (const std::string cpu : {"0", "1"})
    file("/sys/devices/system/cpu/cpu" + cpu + "/cpufreq/scaling_governor", "performance\n");
  expect(ask(check_governor), kOk, "performance");
  file("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n");
  expect(ask(check_governor), kSlow, "powersave on processors 1", "type: cpupower -c 1 frequency-set -g performance");
  wishes_.cpus = {0};
  expect(ask(check_governor), kOk, "performance");
  unreadable("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  expect(ask(check_governor), kUnknown, "could not be looked at");
}

TEST_F(CpuChecks, IdleStates) {
  const std::string folder = "/sys/devices/system/cpu/cpu0/cpuidle/";
  file("/sys/devices/system/cpu/online", "0\n");
  expect(ask(check_idle_states), kOk, "none");
  file(folder + "state0/latency", "0\n");
  file(folder + "state1/latency", "2\n");
  file(folder + "state1/name", "C1\n");
  expect(ask(check_idle_states), kOk, "C1, 2 us");
  file(folder + "state2/latency", "133\n");
  file(folder + "state2/name", "C6\n");
  expect(ask(check_idle_states), kSlow, "C6: a sleeping worker's processor takes 133 us",
         "type: cpupower -c 0 idle-set -D 10");
  file(folder + "state2/disable", "1\n");
  expect(ask(check_idle_states), kOk, "C1");
  file(folder + "state2/disable", "0\n");
  file(folder + "state3/latency", "deep\n");
  expect(ask(check_idle_states), kSlow, "C6", "idle-set");
  file("/dev/cpu_dma_latency", std::string("\x0a\0\0\0", 4));  // as tuned holds it
  expect(ask(check_idle_states), kOk, "limited to 10 us");
  file("/dev/cpu_dma_latency", std::string("\xff\xff\xff\xff", 4));
  expect(ask(check_idle_states), kSlow, "C6", "idle-set");
  wishes_.never_sleeps = true;
  expect(ask(check_idle_states), kOk, "never sleep");
}

TEST_F(CpuChecks, Clock) {
  const std::string folder = "/sys/devices/system/clocksource/clocksource0/";
  expect(ask(check_clock), kUnknown, "does not tell here");
  for (const std::string clock : {"tsc", "kvm-clock", "arch_sys_counter"}) {
    file(folder + "current_clocksource", clock + "\n");
    expect(ask(check_clock), kOk, clock);
  }
  file(folder + "current_clocksource", "hpet\n");
  file(folder + "available_clocksource", "tsc-early hpet acpi_pm \n");
  expect(ask(check_clock), kSlow, "hpet", "tsc=reliable");
  file(folder + "available_clocksource", "hpet tsc acpi_pm \n");
  expect(ask(check_clock), kSlow, "hpet", "type: echo tsc > " + folder + "current_clocksource");
}

TEST_F(CpuChecks, AVirtualMachineAndWhatItsHostTakes) {
  expect(ask(check_steal), kUnknown, "does not tell here");
  file("/proc/cpuinfo", "flags\t\t: fpu vme\n");
  expect(ask(check_steal), kOk, "no virtual one");
  file("/proc/cpuinfo", "flags\t\t: fpu hypervisor vme\n");
  expect(ask(check_steal), kUnknown, "does not tell here");
  file("/proc/stat", "cpu  100 0 100 700 0 0 100 0 0 0\ncpu0 100\n");
  expect(ask(check_steal), kOk, "0.0 %");
  file("/proc/stat", "cpu  100 0 100 700 0 0 0 100 0 0\ncpu0 100\n");
  expect(ask(check_steal), kSlow, "10.0 %", "processors of its own");
  for (const char* nonsense : {"", "\n", "cpu", "cpu  1 2 3\n", "cpu  a b c d e f g h\n", "cpu  -1 2 3 4 5 6 7 8\n"}) {
    file("/proc/stat", nonsense);
    expect(ask(check_steal), kUnknown, "no sense");
  }
}

TEST_F(CpuChecks, Mitigations) {
  expect(ask(check_mitigations), kUnknown, "does not tell here");
  file("/sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected\n");
  file("/sys/devices/system/cpu/vulnerabilities/spectre_v2", "Mitigation: IBRS\n");
  expect(ask(check_mitigations), kOk, "1 of 2");
}

TEST_F(KernelChecks, Version) {
  expect(ask(check_version), kOk, "6.1");
  file("/proc/sys/kernel/osrelease", "5.10.0-8-amd64\n");
  expect(ask(check_version), kOk, "5.10; from 6.1 on");
  file("/proc/sys/kernel/osrelease", "5.9.16\n");
  expect(ask(check_version), kBroken, "5.9", "linux-image");
  wishes_.ports.front().is_dpdk = true;
  expect(ask(check_version), kOk, "5.9");
  for (const char* nonsense : {"", "x", "6", "6.", "6.x", "99999999999.1", ".1"}) {
    file("/proc/sys/kernel/osrelease", nonsense);
    expect(ask(check_version), kUnknown, "no sense");
  }
  remove("/proc/sys/kernel/osrelease");
  expect(ask(check_version), kUnknown, "no sense");
}

TEST_F(KernelChecks, AfXdp) {
  expect(ask(check_af_xdp), kUnknown, "does not tell here");
  file("/proc/net/protocols", "protocol  size sockets\nTCP  2368\n");
  expect(ask(check_af_xdp), kBroken, "has none", "CONFIG_XDP_SOCKETS");
  file("/proc/net/protocols", "protocol  size sockets\nXDP       1088      0\nTCP  2368\n");
  expect(ask(check_af_xdp), kOk, "there");
  wishes_.ports.front().is_dpdk = true;
  EXPECT_FALSE(ask(check_af_xdp));
}

TEST_F(KernelChecks, Jit) {
  const std::string path = "/proc/sys/net/core/bpf_jit_enable";
  expect(ask(check_jit), kUnknown, "does not tell here");
  file(path, "1\n");
  expect(ask(check_jit), kOk, "on");
  file(path, "0\n");
  expect(ask(check_jit), kSlow, "interpreted", "type: sysctl -w net.core.bpf_jit_enable=1");
  file(path, "2\n");
  expect(ask(check_jit), kSlow, "log", "type: sysctl");
  file(path, "1 1\n");
  expect(ask(check_jit), kUnknown, "no sense");
}

TEST_F(KernelChecks, JitHardening) {
  const std::string path = "/proc/sys/net/core/bpf_jit_harden";
  EXPECT_FALSE(ask(check_jit_hardening));
  file(path, "0\n");
  expect(ask(check_jit_hardening), kOk, "off");
  file(path, "1\n");
  expect(ask(check_jit_hardening), kOk, "ordinary users");
  file(path, "2\n");
  expect(ask(check_jit_hardening), kSlow, "root", "type: sysctl -w net.core.bpf_jit_harden=1");
  unreadable(path);
  expect(ask(check_jit_hardening), kUnknown, "could not be looked at");
}

TEST_F(KernelChecks, UnprivilegedBpf) {
  EXPECT_FALSE(ask(check_unprivileged_bpf));
  file("/proc/sys/kernel/unprivileged_bpf_disabled", "0\n");
  expect(ask(check_unprivileged_bpf), kOk, "allowed");
  file("/proc/sys/kernel/unprivileged_bpf_disabled", "2\n");
  expect(ask(check_unprivileged_bpf), kOk, "not allowed");
  file("/proc/sys/kernel/unprivileged_bpf_disabled", "?\n");
  expect(ask(check_unprivileged_bpf), kUnknown, "no sense");
}

TEST_F(KernelChecks, WhatTheDataProcessIsConfinedBy) {
  expect(ask(check_landlock), kSlow, "could still open files", "landlock");
  kernel_.landlock = 4;
  expect(ask(check_landlock), kOk, "version 4");
  expect(ask(check_seccomp), kBroken, "no system call filters", "CONFIG_SECCOMP_FILTER");
  file("/proc/sys/kernel/seccomp/actions_avail", "kill_process allow\n");
  expect(ask(check_seccomp), kBroken, "cannot refuse", "newer");
  file("/proc/sys/kernel/seccomp/actions_avail", "kill_process kill_thread trap errno allow\n");
  expect(ask(check_seccomp), kOk, "there");
  unreadable("/proc/sys/kernel/seccomp/actions_avail");
  expect(ask(check_seccomp), kUnknown, "could not be looked at");
}

TEST_F(KernelChecks, Rights) {
  expect(ask(check_rights), kUnknown, "may not run", "CAP_NET_ADMIN");
  kernel_.may = {.net_admin = true, .net_raw = true, .bpf = true, .perfmon = true};
  expect(ask(check_rights), kOk, "may run");
}

}  // namespace
}  // namespace ringplane::doctor
