#include <memory>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "bench/measure_compile.h"
#include "cli/bench_commands.h"
#include "cli/bench_words.h"
#include "cli/commands.h"

namespace ringplane::cli {

void add_bench_compile(CLI::App& bench, Command& chosen) {
  auto options = std::make_shared<bench::CompileOptions>();
  CLI::App* command =
      bench.add_subcommand("compile", "from pf.conf text to compiled rules, and a large table from its file");
  add_bench_rules(*command, options->rules);
  command->get_option("--rules")->required();
  add_bench_count(*command, "--table", options->table_entries, "entries of the table (default 1M)");
  command->add_option("--repeat", options->repetitions, "repetitions, of which the median counts (default 5)")
      ->check(CLI::Range(1U, 1000U));
  command->add_option("--seed", options->seed, "of the table's entries");
  command->callback(
      [&chosen, options] { chosen = [options] { return print_report(bench::measure_compile(*options)); }; });
}

}  // namespace ringplane::cli
