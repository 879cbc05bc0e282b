// Memory: frames and flow tables are taken at the start, in pages of 2 MiB if there are any.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "base/mapped_memory.h"
#include "base/numa.h"
#include "doctor/checks.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"
#include "doctor/machine.h"
#include "doctor/wishes.h"

namespace ringplane::doctor {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
constexpr const char* kTransparent = "/sys/kernel/mm/transparent_hugepage/enabled";

std::uint64_t pages_of(std::uint64_t bytes) {
  return (bytes + base::kHugePageBytes - 1) / base::kHugePageBytes;
}

std::string page_folder(int node) {
  const std::string pages = "hugepages/hugepages-2048kB/";
  if (node == base::kAnyNode) return "/sys/kernel/mm/" + pages;
  return fmt::format("/sys/devices/system/node/node{}/{}", node, pages);
}

struct Pages {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

Asked<Pages> pages_at(const Machine& machine, int node) {
  const auto total = machine.number(page_folder(node) + "nr_hugepages");
  if (!total) return std::unexpected(total.error());
  const auto free = machine.number(page_folder(node) + "free_hugepages");
  if (!free) return std::unexpected(free.error());
  return Pages{.total = *total, .free = *free};
}

std::uint64_t total_bytes(const Wishes& wishes) {
  std::uint64_t bytes = 0;
  for (const MemoryWish& wish : wishes.memory) bytes += wish.bytes;
  return bytes;
}

}  // namespace

Answer check_huge_pages(const Machine& machine, const Wishes& wishes) {
  const auto whole = pages_at(machine, base::kAnyNode);
  if (!whole && whole.error() == ENOENT) return slow("this kernel has none of 2 MiB", "use one with CONFIG_HUGETLBFS");
  if (!whole) return not_told(whole.error());
  if (wishes.memory.empty()) return ok(fmt::format("{} of 2 MiB, {} free", whole->total, whole->free));
  if (!wishes.huge_pages) return slow("memory.huge_pages = false: every packet may miss the TLB", "set it to true");
  std::map<int, std::uint64_t> wanted;  // by node
  for (const MemoryWish& wish : wishes.memory) wanted[wish.node] += pages_of(wish.bytes);
  std::string commands;
  std::string missing;
  for (const auto& [node, pages] : wanted) {
    const auto there = pages_at(machine, node);
    if (!there) return not_told(there.error());
    if (there->free >= pages) continue;
    missing += fmt::format("{}{} of {} MiB wanted{} are free", missing.empty() ? "" : "; ", there->free * 2, pages * 2,
                           node == base::kAnyNode ? "" : fmt::format(" on node {}", node));
    commands += fmt::format("{}echo {} > {}nr_hugepages", commands.empty() ? "" : "; ",
                            there->total - std::min(there->total, there->free) + pages, page_folder(node));
  }
  if (missing.empty()) return ok(fmt::format("{} MiB of {} are free", whole->free * 2, whole->total * 2));
  if (machine.ringplane_runs()) return ok(missing + "; ringplane runs and has taken its part");
  return slow(missing, type(commands));
}

Answer check_gigantic_pages(const Machine& machine, const Wishes&) {
  const auto pages = machine.number("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages");
  if (!pages || *pages == 0) return std::nullopt;
  return slow(fmt::format("{} are reserved, and ringplane takes those of 2 MiB", *pages),
              type("echo 0 > /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"));
}

Answer check_transparent_pages(const Machine& machine, const Wishes& wishes) {
  if (!wishes.huge_pages) return std::nullopt;
  const auto said = machine.read(kTransparent);
  if (!said && said.error() == ENOENT) {
    return slow("this kernel has no transparent huge pages", "reserve huge pages instead, or use another kernel");
  }
  if (!said) return not_told(said.error());
  for (const char* fine : {"[always]", "[madvise]"}) {
    if (said->find(fine) != std::string::npos) return ok(std::string(fine).substr(1, std::string(fine).size() - 2));
  }
  if (said->find("[never]") == std::string::npos) return not_told(EBADMSG);
  return slow("never: tables that find no reserved page miss the TLB",
              type(fmt::format("echo madvise > {}", kTransparent)));
}

Answer check_free_memory(const Machine& machine, const Wishes& wishes) {
  const auto available_kib = machine.meminfo("MemAvailable");
  if (!available_kib) return not_told(EBADMSG);
  std::uint64_t free = *available_kib / 1024 * kMiB;
  if (wishes.memory.empty()) return ok(fmt::format("{} MiB", free / kMiB));
  if (const auto pages = pages_at(machine, base::kAnyNode); wishes.huge_pages && pages) {
    free += pages->free * base::kHugePageBytes;
  }
  const std::uint64_t wanted = total_bytes(wishes);
  const std::string finding = fmt::format("{} MiB wanted, {} MiB free", (wanted + kMiB - 1) / kMiB, free / kMiB);
  if (wanted <= free) return ok(finding);
  if (machine.ringplane_runs()) return ok(finding + "; ringplane runs and has taken its part");
  return broken(finding, "lower memory.frames or flows.limit (or `set limit states`), or free some");
}

Answer check_locked_memory(const Machine& machine, const Wishes& wishes) {
  const Rights rights = machine.kernel().rights();
  if (rights.ipc_lock || rights.raise_limits) return ok("no limit");
  const std::uint64_t limit = machine.kernel().locked_memory_limit();
  if (limit == UINT64_MAX) return ok("no limit");
  if (limit >= wishes.frames_bytes && wishes.frames_bytes != 0) return ok(fmt::format("{} MiB", limit / kMiB));
  const std::string finding =
      fmt::format("{} MiB may be locked, frames take {} MiB", limit / kMiB, wishes.frames_bytes / kMiB);
  // Who may not run ringplane asks for somebody else, whose limit is another one.
  if (!rights.net_admin) {
    return unknown(finding + "; root and ringplane.service have no such limit",
                   "who else runs it needs: ulimit -l unlimited, or CAP_IPC_LOCK");
  }
  return broken(finding, type("ulimit -l unlimited"));
}

Answer check_numa_balancing(const Machine& machine, const Wishes&) {
  const base::NumaNodes nodes = base::NumaNodes::read(machine.root() + "/sys/devices/system/node");
  if (nodes.count() == 1) return std::nullopt;
  const auto said = machine.number("/proc/sys/kernel/numa_balancing");
  if (!said && said.error() == ENOENT) return std::nullopt;
  if (!said) return not_told(said.error());
  if (*said == 0) return ok("pages stay on their node");
  return slow("the kernel takes pages away from workers to see who uses them",
              type("sysctl -w kernel.numa_balancing=0"));
}

}  // namespace ringplane::doctor
