#include <memory>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "bench/measure_reload.h"
#include "cli/bench_commands.h"
#include "cli/bench_words.h"
#include "cli/commands.h"

namespace ringplane::cli {

void add_bench_reload(CLI::App& bench, Command& chosen) {
  auto options = std::make_shared<bench::ReloadOptions>();
  CLI::App* command = bench.add_subcommand("reload", "all rules replaced while packets go by");
  add_bench_rules(*command, options->rules);
  command->get_option("--rules")->required();
  add_bench_count(*command, "--flows", options->flows, "live connections (default 1M)");
  command->add_option("--repeat", options->repetitions, "reloads, of which the median counts (default 5)")
      ->check(CLI::Range(1U, 1000U));
  command->add_option("--seed", options->seed, "of the connections");
  command->callback(
      [&chosen, options] { chosen = [options] { return print_report(bench::measure_reload(*options)); }; });
}

}  // namespace ringplane::cli
