// Sandbox: what makes the data process harmless. It works on descriptors that it was handed, so it needs no right: it
// gives up every capability and the chance to gain one, the whole file system (Landlock), and all system calls but
// those on an allow-list (seccomp). What is not allowed fails with EPERM, as a test can show in the process itself.
//
// Order: give_up_rights() before threads are started, since it is for the calling thread and those it makes; then
// allow_few_system_calls(), which is for all threads, before the first packet.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace ringplane::control {

/// Every capability of the thread, the bounding set, setuid programs (no_new_privs), the file system. Says what could
/// not be given up because the kernel does not know it, in a few words, or "".
[[nodiscard]] base::Result<std::string> give_up_rights();
/// From now on, in all threads: only what a running data plane needs. Fails with a sentence.
[[nodiscard]] base::Result<void> allow_few_system_calls();

/// What a process that was taken over by an intruder would try.
struct Attempt {
  std::string what;  ///< "open a file"
  bool refused = false;
  std::string how;  ///< "Operation not permitted"
};
/// Tries each in the calling process, for `ringplane show isolation`; one that is not refused is undone at once.
[[nodiscard]] std::vector<Attempt> try_to_break_out();

}  // namespace ringplane::control
