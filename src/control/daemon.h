// The daemon behind `ringplane run`: builds the data plane, then waits for signals, questions and log records.
// SIGTERM and SIGINT stop it cleanly, SIGHUP reads the rules again. Runs in the calling thread.
#pragma once

#include <string>

namespace ringplane::control {

/// Returns the exit code: 0 after a clean stop, 1 failed, 78 bad configuration. Errors go to standard error.
[[nodiscard]] int run_daemon(const std::string& config_path);

}  // namespace ringplane::control
