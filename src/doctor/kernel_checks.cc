// The kernel: what ringplane needs of it, and what makes its own part slower.
#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>

#include <fmt/core.h>

#include "doctor/checks.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"
#include "doctor/machine.h"
#include "doctor/wishes.h"

namespace ringplane::doctor {
namespace {

/// Sockets of several interfaces share the memory of the frames (commits a1132430c2c5 and b5aea28dca13), and so does
/// redirect.bpf.c's BPF link (5.9).
constexpr KernelVersion kNeeded{5, 10};
/// MADV_COLLAPSE: transparent huge pages for files of memory (commit 7d8faaf15545).
constexpr KernelVersion kCollapse{6, 1};

bool needs_af_xdp(const Wishes& wishes) {
  return wishes.ports.empty() || std::ranges::any_of(wishes.ports, [](const PortWish& port) { return !port.is_dpdk; });
}

}  // namespace

Answer check_version(const Machine& machine, const Wishes& wishes) {
  const auto version = machine.version();
  if (!version) return not_told(EBADMSG);
  const std::string text = text_of(*version);
  if (*version < kNeeded && needs_af_xdp(wishes)) {
    return broken(text + ": AF_XDP ports cannot share frames before 5.10", "type: apt install linux-image-amd64");
  }
  if (*version < kCollapse && wishes.huge_pages) {
    return ok(text + "; from 6.1 on frames get transparent huge pages too");
  }
  return ok(text);
}

Answer check_af_xdp(const Machine& machine, const Wishes& wishes) {
  if (!needs_af_xdp(wishes)) return std::nullopt;
  const auto protocols = machine.read("/proc/net/protocols");
  if (!protocols) return not_told(protocols.error());
  if (("\n" + *protocols).find("\nXDP ") != std::string::npos) return ok("there");
  return broken("this kernel has none", "use one with CONFIG_XDP_SOCKETS, as Debian's are");
}

Answer check_jit(const Machine& machine, const Wishes& wishes) {
  if (!needs_af_xdp(wishes)) return std::nullopt;
  const auto said = machine.number("/proc/sys/net/core/bpf_jit_enable");
  if (!said) return not_told(said.error());
  if (*said == 1) return ok("on");
  return slow(
      *said == 0 ? "off: the XDP program is interpreted, for each packet" : "on, and writes into the kernel's log",
      type("sysctl -w net.core.bpf_jit_enable=1"));
}

Answer check_jit_hardening(const Machine& machine, const Wishes& wishes) {
  if (!needs_af_xdp(wishes)) return std::nullopt;
  const auto said = machine.number("/proc/sys/net/core/bpf_jit_harden");
  if (!said && said.error() == ENOENT) return std::nullopt;
  if (!said) return not_told(said.error());
  if (*said < 2) return ok(*said == 0 ? "off" : "for ordinary users only");
  return slow("also for programs of root: the XDP program is larger", type("sysctl -w net.core.bpf_jit_harden=1"));
}

Answer check_unprivileged_bpf(const Machine& machine, const Wishes&) {
  const auto said = machine.number("/proc/sys/kernel/unprivileged_bpf_disabled");
  if (!said && said.error() == ENOENT) return std::nullopt;
  if (!said) return not_told(said.error());
  return ok(*said == 0 ? "allowed; ringplane does not need it" : "not allowed; ringplane does not need it");
}

Answer check_landlock(const Machine& machine, const Wishes&) {
  if (const int version = machine.kernel().landlock_version(); version > 0)
    return ok(fmt::format("version {}", version));
  return slow("none: the data process could still open files, if somebody took it over",
              "boot with lsm=landlock,... (5.13 or later, CONFIG_SECURITY_LANDLOCK)");
}

Answer check_seccomp(const Machine& machine, const Wishes&) {
  const auto actions = machine.read("/proc/sys/kernel/seccomp/actions_avail");
  if (!actions && actions.error() == ENOENT) {
    return broken("this kernel has no system call filters", "use one with CONFIG_SECCOMP_FILTER, as Debian's are");
  }
  if (!actions) return not_told(actions.error());
  if (actions->find("errno") == std::string::npos)
    return broken("it cannot refuse a system call", "use a newer kernel");
  return ok("there");
}

Answer check_rights(const Machine& machine, const Wishes&) {
  const Rights rights = machine.kernel().rights();
  if (rights.net_admin && rights.net_raw && rights.bpf && rights.perfmon) return ok("this user may run ringplane");
  return unknown("this user may not run ringplane; root and ringplane.service may",
                 "who else runs it needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON");
}

}  // namespace ringplane::doctor
