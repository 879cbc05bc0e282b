// The control process behind `ringplane run`: takes everything that needs rights, starts the data process on it, and
// waits for signals, questions and the data process's death, after which it starts another. One that finds a data
// process running comes to that. SIGTERM and SIGINT stop both cleanly, SIGHUP reads the rules again. Runs in the
// calling thread.
#pragma once

#include <string>

namespace ringplane::control {

/// Returns the exit code: 0 after a clean stop, 1 failed, 78 bad configuration. Errors go to standard error.
[[nodiscard]] int run_daemon(const std::string& config_path);

}  // namespace ringplane::control
