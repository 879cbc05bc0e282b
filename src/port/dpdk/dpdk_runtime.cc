#include "port/dpdk/dpdk_runtime.h"

#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "port/dpdk/dpdk_log.h"

namespace ringplane::port {
namespace {

/// What each signal does, to be put back: DPDK's drivers set handlers of their own.
class Dispositions {
 public:
  Dispositions() noexcept {
    for (std::size_t i = 1; i < actions_.size(); ++i)
      known_[i] = sigaction(static_cast<int>(i), nullptr, &actions_[i]) == 0;
  }
  void restore() const noexcept {
    for (std::size_t i = 1; i < actions_.size(); ++i) {
      struct sigaction now{};
      if (!known_[i] || sigaction(static_cast<int>(i), nullptr, &now) != 0) continue;
      if (now.sa_handler != actions_[i].sa_handler) sigaction(static_cast<int>(i), &actions_[i], nullptr);
    }
  }

 private:
  std::array<struct sigaction, 65> actions_{};  // 1 to 64
  std::array<bool, 65> known_{};
};

/// "0@(0,1)": one DPDK core that may run wherever we may, so that nothing is pinned and no other thread made.
std::string one_core_anywhere() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::string list;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) list += (list.empty() ? "" : ",") + std::to_string(cpu);
  }
  return "0@(" + list + ")";
}

std::vector<std::string> arguments(bool pci, const std::string& prefix) {
  // --no-huge: the frames are in the arena, on the pages that it got; what DPDK needs besides is small.
  std::vector<std::string> words{"ringplane",         "--no-huge",     "--no-shconf", "--no-telemetry", "--lcores",
                                 one_core_anywhere(), "--file-prefix", prefix,        "--iova-mode",    "va"};
  if (!pci) words.emplace_back("--no-pci");
  return words;
}

base::Result<void> bring_up(bool pci) {
  DpdkLog& log = DpdkLog::attach();
  const std::string prefix = "ringplane-" + std::to_string(getpid());
  std::vector<std::string> words = arguments(pci, prefix);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);

  const Dispositions dispositions;
  int result = -1;
  int error = 0;
  log.collect();
  {
    const SignalsBlocked blocked;
    std::thread starter([&] {
      pthread_setname_np(pthread_self(), "dpdk-start");
      result = rte_eal_init(static_cast<int>(words.size()), pointers.data());
      error = rte_errno;
    });
    starter.join();
  }
  dispositions.restore();
  // DPDK makes it even if it is to share nothing; it is empty.
  rmdir(("/var/run/dpdk/" + prefix).c_str());
  if (result >= 0) {
    log.tell_lines();
    return {};
  }
  const std::string lines = log.take_lines();
  return base::fail(std::string("DPDK does not start (") + (lines.empty() ? rte_strerror(error) : lines) +
                    "): free some memory, or run it as root if it is about permissions");
}

}  // namespace

base::Result<void> start_dpdk(bool pci) {
  static std::optional<base::Result<void>> outcome;
  static bool with_pci = false;
  if (!outcome) {
    outcome = bring_up(pci);
    with_pci = pci;
  }
  if (*outcome && pci && !with_pci) {
    return base::fail("DPDK was started without PCI devices in this process: name all DPDK ports in one configuration");
  }
  return *outcome;
}

}  // namespace ringplane::port
