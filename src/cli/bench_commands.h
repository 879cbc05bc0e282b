// The measurements of `ringplane bench`, one sub-command each; they print one JSON document and return the exit code.
#pragma once

#include <CLI/App.hpp>

#include "cli/commands.h"

namespace ringplane::cli {

void add_bench_firewall(CLI::App& bench, Command& chosen);
void add_bench_connect(CLI::App& bench, Command& chosen);
void add_bench_classify(CLI::App& bench, Command& chosen);
void add_bench_compile(CLI::App& bench, Command& chosen);
void add_bench_reload(CLI::App& bench, Command& chosen);
void add_bench_latency(CLI::App& bench, Command& chosen);
void add_bench_flood(CLI::App& bench, Command& chosen);

}  // namespace ringplane::cli
