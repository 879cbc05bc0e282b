// The sub-commands of `ringplane`. Each adds itself to the program and, when chosen, runs and returns the exit code:
// 0 fine, 1 failed (a check failed, a packet is blocked), 2 usage, 78 bad configuration.
#pragma once

#include <functional>

#include <CLI/App.hpp>

namespace ringplane::cli {

inline constexpr int kExitFine = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitBadConfiguration = 78;

/// What to run after parsing; set by the sub-command that was chosen.
using Command = std::function<int()>;

void add_run(CLI::App& app, Command& chosen);
void add_check(CLI::App& app, Command& chosen);
void add_explain(CLI::App& app, Command& chosen);
void add_test(CLI::App& app, Command& chosen);
void add_replay(CLI::App& app, Command& chosen);
void add_show(CLI::App& app, Command& chosen);
void add_top(CLI::App& app, Command& chosen);
void add_trace(CLI::App& app, Command& chosen);
void add_capture(CLI::App& app, Command& chosen);
void add_table(CLI::App& app, Command& chosen);
void add_apply(CLI::App& app, Command& chosen);
void add_confirm(CLI::App& app, Command& chosen);
void add_rollback(CLI::App& app, Command& chosen);
void add_history(CLI::App& app, Command& chosen);
void add_upgrade(CLI::App& app, Command& chosen);
void add_reopen_log(CLI::App& app, Command& chosen);
void add_import(CLI::App& app, Command& chosen);
void add_doctor(CLI::App& app, Command& chosen);
void add_bench(CLI::App& app, Command& chosen);

/// The whole program: parses the words, runs the command, returns the exit code.
int run_program(int argc, const char* const* argv);

}  // namespace ringplane::cli
