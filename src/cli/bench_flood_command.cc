#include <memory>
#include <string>
#include <utility>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "bench/measure_flood.h"
#include "cli/bench_commands.h"
#include "cli/bench_words.h"
#include "cli/commands.h"

namespace ringplane::cli {

void add_bench_flood(CLI::App& bench, Command& chosen) {
  struct Words {
    bench::FloodOptions options;
    std::string rules;
  };
  auto words = std::make_shared<Words>();
  CLI::App* command =
      bench.add_subcommand("flood", "SYNs of random sources into a full table: what established connections lose");
  add_bench_count(*command, "--flows", words->options.flows, "connections that are established (default 1M)");
  command
      ->add_option("--share", words->options.share, "of the packets that are of established connections (default 0.5)")
      ->check(CLI::Range(0.01, 0.99));
  command
      ->add_option("--load", words->options.load,
                   "of what the worker can do of established packets: at which they are offered (default 0.5)")
      ->check(CLI::Range(0.01, 0.99));
  add_bench_rules(*command, words->rules);
  add_bench_runs(*command, words->options.repetitions, words->options.seconds, words->options.seed);
  command->callback([&chosen, words] {
    chosen = [words] {
      auto policy = bench_policy(words->rules);
      if (!policy) return print_failure(policy.error());
      return print_report(bench::measure_flood(words->options, std::move(*policy)));
    };
  });
}

}  // namespace ringplane::cli
