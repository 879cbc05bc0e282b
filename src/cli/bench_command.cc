#include <CLI/App.hpp>

#include "cli/bench_commands.h"
#include "cli/commands.h"

namespace ringplane::cli {

void add_bench(CLI::App& app, Command& chosen) {
  CLI::App* bench = app.add_subcommand("bench", "measures this build on this machine; prints one JSON document");
  bench->require_subcommand(1);
  add_bench_firewall(*bench, chosen);
  add_bench_connect(*bench, chosen);
  add_bench_classify(*bench, chosen);
  add_bench_compile(*bench, chosen);
  add_bench_reload(*bench, chosen);
  add_bench_latency(*bench, chosen);
  add_bench_flood(*bench, chosen);
}

}  // namespace ringplane::cli
