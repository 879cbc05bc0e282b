#include <memory>
#include <string>
#include <utility>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "bench/measure_connect.h"
#include "cli/bench_commands.h"
#include "cli/bench_words.h"
#include "cli/commands.h"

namespace ringplane::cli {

void add_bench_connect(CLI::App& bench, Command& chosen) {
  struct Words {
    bench::ConnectOptions options;
    std::string rules;
  };
  auto words = std::make_shared<Words>();
  CLI::App* command =
      bench.add_subcommand("connect", "connections that begin and end: a table that fills, and churn in a full one");
  add_bench_count(*command, "--flows", words->options.flows, "connections that are open (default 1M)");
  command->add_flag("--flow-records", words->options.flow_records, "report each flow that ends, as for [ipfix]");
  add_bench_rules(*command, words->rules);
  add_bench_runs(*command, words->options.repetitions, words->options.seconds, words->options.seed);
  command->callback([&chosen, words] {
    chosen = [words] {
      auto policy = bench_policy(words->rules);
      if (!policy) return print_failure(policy.error());
      return print_report(bench::measure_connect(words->options, std::move(*policy)));
    };
  });
}

}  // namespace ringplane::cli
