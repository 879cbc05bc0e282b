#include <memory>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "bench/measure_classify.h"
#include "cli/bench_commands.h"
#include "cli/bench_words.h"
#include "cli/commands.h"

namespace ringplane::cli {

void add_bench_classify(CLI::App& bench, Command& chosen) {
  auto options = std::make_shared<bench::ClassifyOptions>();
  CLI::App* command =
      bench.add_subcommand("classify", "headers against rules, each answer compared with the right one");
  add_bench_rules(*command, options->rules);
  command->get_option("--rules")->required();
  command->add_option("--trace", options->trace, "u, p or x of the set, or a trace file (default u)");
  command->add_option("--changes", options->changes,
                      "replace so many rules by themselves first, without compiling all");
  command->add_option("--repeat", options->repetitions, "repetitions, of which the median counts (default 5)")
      ->check(CLI::Range(1U, 1000U));
  command->add_option("--seconds", options->seconds, "measured time of each repetition (default 0.5)")
      ->check(CLI::Range(0.001, 3600.0));
  command->callback([&chosen, options] {
    chosen = [options] {
      const auto report = bench::measure_classify(*options);
      const int code = print_report(report);
      return report && (*report)["mismatches"] != 0 ? kExitFailed : code;
    };
  });
}

}  // namespace ringplane::cli
