#include <memory>
#include <string>
#include <utility>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "bench/measure_latency.h"
#include "cli/bench_commands.h"
#include "cli/bench_words.h"
#include "cli/commands.h"

namespace ringplane::cli {

void add_bench_latency(CLI::App& bench, Command& chosen) {
  struct Words {
    bench::LatencyOptions options;
    std::string rules;
  };
  auto words = std::make_shared<Words>();
  CLI::App* command =
      bench.add_subcommand("latency", "how long packets take through the pipeline, at a share of the highest rate");
  add_bench_count(*command, "--flows", words->options.flows, "connections that are open (default 1M)");
  command->add_option("--share", words->options.share, "of the highest rate (default 0.5)")
      ->check(CLI::Range(0.01, 0.99));
  add_bench_rules(*command, words->rules);
  add_bench_runs(*command, words->options.repetitions, words->options.seconds, words->options.seed);
  command->callback([&chosen, words] {
    chosen = [words] {
      auto policy = bench_policy(words->rules);
      if (!policy) return print_failure(policy.error());
      return print_report(bench::measure_latency(words->options, std::move(*policy)));
    };
  });
}

}  // namespace ringplane::cli
