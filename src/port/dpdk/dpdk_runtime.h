// DPDK's environment layer (EAL), brought up once in a process and contained: DPDK would take over the thread that
// starts it (affinity, name), set signal handlers, let its threads take our signals, and write to standard error and
// syslog. Here it starts on a thread of its own that then ends, every signal's disposition is put back as it was, its
// threads have all signals blocked, and its log goes to DpdkLog. It shares nothing with other DPDK processes and leaves
// no files. Control thread.
#pragma once

#include <csignal>

#include "base/result.h"

namespace ringplane::port {

/// Brings DPDK up if it is not; with `pci` it looks for PCI devices, which only the first call can decide. An error is
/// for good: DPDK cannot be started twice.
[[nodiscard]] base::Result<void> start_dpdk(bool pci);

/// While it lives, the calling thread has all signals blocked, and so have the threads that are started meanwhile.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace ringplane::port
