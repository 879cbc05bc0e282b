#include "control/reservations.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <net/if.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"
#include "control/config.h"

namespace ringplane::control {
namespace {

constexpr const char* kReserved = "reserved/";
/// So long the processes of an instance that was killed may need to be gone.
constexpr std::uint64_t kLockPatienceNs = 2 * base::kNanosPerSecond;
constexpr auto kLockPause = std::chrono::milliseconds(20);

std::string holder_text(const Config& config) {
  return nlohmann::json{{"pid", getpid()}, {"config", config.path}, {"socket", config.control.socket}}.dump(
             -1, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

void write_holder(int file, const Config& config) {
  const std::string text = holder_text(config);
  if (ftruncate(file, 0) != 0 || pwrite(file, text.data(), text.size(), 0) < 0) {
    spdlog::warn("cannot write down who holds a reservation: {}", std::strerror(errno));
  }
}

/// "ringplane, pid 12 (/etc/ringplane/a.toml, control socket /run/ringplane/a.sock)"
std::string holder_in(int file) {
  std::string text(4096, '\0');
  const ssize_t bytes = pread(file, text.data(), text.size(), 0);
  const auto said =
      nlohmann::json::parse(text.substr(0, bytes < 0 ? 0 : static_cast<std::size_t>(bytes)), nullptr, false);
  if (!said.is_object()) return "another process";
  return fmt::format("ringplane, pid {} ({}, control socket {})", said.value("pid", 0), said.value("config", "?"),
                     said.value("socket", "?"));
}

/// Whether the file at `path` is still the one that is open: a holder that stops removes its file.
bool is_same_file(int file, const std::string& path) {
  struct stat opened{};
  struct stat named{};
  return fstat(file, &opened) == 0 && stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

enum class LockState : std::uint8_t { kTaken, kHeldByOther, kImpossible };

struct Lock {
  LockState state = LockState::kImpossible;
  base::FileDescriptor file{};
  std::string why{};  ///< kHeldByOther: the holder; kImpossible: what the system says
};

Lock take_lock(const std::string& path) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const std::uint64_t begin_ns = base::monotonic_ns();
  while (true) {
    base::FileDescriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.valid()) return {.state = LockState::kImpossible, .why = std::strerror(errno)};
    if (flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      if (is_same_file(file.get(), path)) return {.state = LockState::kTaken, .file = std::move(file)};
      continue;
    }
    if (errno != EWOULDBLOCK) return {.state = LockState::kImpossible, .why = std::strerror(errno)};
    if (base::monotonic_ns() - begin_ns > kLockPatienceNs) {
      return {.state = LockState::kHeldByOther, .why = holder_in(file.get())};
    }
    std::this_thread::sleep_for(kLockPause);
  }
}

std::uint64_t network_namespace() {
  struct stat about{};
  return stat("/proc/thread-self/ns/net", &about) == 0 ? about.st_ino : 0;
}

bool is_pci_address(const std::string& device) {
  return !device.empty() && device.find(':') != std::string::npos &&
         device.find_first_not_of("0123456789abcdefABCDEF:.") == std::string::npos;
}

}  // namespace

std::vector<Exclusive> exclusives_of(const Config& config, const std::string& folder) {
  std::vector<Exclusive> list;
  for (const PortConfig& port : config.ports) {
    if (!port.is_dpdk()) {
      const unsigned int index = if_nametoindex(port.interface.c_str());
      if (index == 0) continue;  // which is told when it is opened
      list.push_back({.what = fmt::format("interface {} (port {})", port.interface, port.name),
                      .path = fmt::format("{}/interface-{}-{}.lock", folder, network_namespace(), index),
                      .remedy = "an interface belongs to one instance with all its queues"});
    } else if (const std::string device = port.dpdk_device().substr(0, port.dpdk_device().find(','));
               is_pci_address(device)) {
      list.push_back({.what = fmt::format("device {} (port {})", device, port.name),
                      .path = fmt::format("{}/device-{}.lock", folder, device),
                      .remedy = "a device belongs to one instance"});
    }
  }
  for (const std::uint32_t cpu : config.workers.cpus) {
    list.push_back({.what = fmt::format("processor {} (workers.cpus)", cpu),
                    .path = fmt::format("{}/cpu-{}.lock", folder, cpu),
                    .remedy = "name another one, or none to let workers share"});
  }
  if (std::error_code error;
      !config.control.state.empty() && (std::filesystem::create_directories(config.control.state, error), !error)) {
    list.push_back({.what = fmt::format("folder {} (control.state)", config.control.state),
                    .path = config.control.state + "/lock",
                    .remedy = "give each instance its own"});
  }
  return list;
}

base::Result<std::vector<std::string>> reserve(const std::vector<Exclusive>& wanted, const Config& config,
                                               base::Holdings& holdings) {
  std::string refusals;
  std::vector<std::string> warnings;
  std::vector<Lock> taken;
  for (const Exclusive& each : wanted) {
    Lock lock = take_lock(each.path);
    if (lock.state == LockState::kHeldByOther) {
      refusals +=
          fmt::format("{}{} is taken by {}: {}", refusals.empty() ? "" : "\n", each.what, lock.why, each.remedy);
    } else if (lock.state == LockState::kImpossible) {
      warnings.push_back(fmt::format(
          "{} cannot be reserved, since {} cannot be locked ({}): whether another instance uses it is not known",
          each.what, each.path, lock.why));
    }
    taken.push_back(std::move(lock));
  }
  if (!refusals.empty()) return base::fail(std::move(refusals));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (taken[i].state != LockState::kTaken) continue;
    write_holder(taken[i].file.get(), config);
    holdings.add(kReserved + wanted[i].path, std::move(taken[i].file));
  }
  return warnings;
}

void note_holder(const base::Holdings& holdings, const Config& config) {
  for (const auto& [name, file] : holdings.all()) {
    if (name.starts_with(kReserved)) write_holder(file.get(), config);
  }
}

void remove_reservations(const base::Holdings& holdings) {
  for (const auto& [name, file] : holdings.all()) {
    if (!name.starts_with(kReserved)) continue;
    if (const std::string path = name.substr(std::strlen(kReserved)); is_same_file(file.get(), path)) {
      unlink(path.c_str());
    }
  }
}

base::Result<void> check_memory(std::uint64_t wanted_bytes, bool huge_pages, const std::string& what,
                                const std::string& meminfo_path) {
  std::ifstream meminfo(meminfo_path);
  std::uint64_t available_kib = 0;
  std::uint64_t huge_free = 0;
  std::uint64_t huge_kib = 0;
  for (std::string line; std::getline(meminfo, line);) {
    const auto number = [&line](const char* key, std::uint64_t& into) {
      if (line.starts_with(key)) into = std::strtoull(line.c_str() + std::strlen(key), nullptr, 10);
    };
    number("MemAvailable:", available_kib);
    number("HugePages_Free:", huge_free);
    number("Hugepagesize:", huge_kib);
  }
  if (available_kib == 0) return {};  // a system that does not tell
  const std::uint64_t free_bytes = (available_kib + (huge_pages ? huge_free * huge_kib : 0)) * 1024;
  if (wanted_bytes <= free_bytes) return {};
  return base::fail(
      fmt::format("{} MiB of memory are wanted ({}), and {} MiB are free: lower memory.frames or "
                  "flows.limit (or `set limit states`), or free some",
                  (wanted_bytes + (1U << 20U) - 1) >> 20U, what, free_bytes >> 20U));
}

}  // namespace ringplane::control
