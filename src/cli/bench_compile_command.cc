#include <cstdio>

#include <CLI/App.hpp>

#include "cli/bench_commands.h"
#include "cli/commands.h"

namespace ringplane::cli {

void add_bench_compile(CLI::App& bench, Command& chosen) {
  CLI::App* command = bench.add_subcommand("compile", "to be written");
  command->callback([&chosen] { chosen = [] { return kExitFailed; }; });
}

}  // namespace ringplane::cli
