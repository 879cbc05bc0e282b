#include <memory>
#include <string>
#include <utility>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "bench/measure_firewall.h"
#include "cli/bench_commands.h"
#include "cli/bench_words.h"
#include "cli/commands.h"

namespace ringplane::cli {
namespace {

struct FirewallWords {
  bench::FirewallOptions options;
  std::string rules;
};

int run_bench_firewall(const FirewallWords& words) {
  auto policy = bench_policy(words.rules);
  if (!policy) return print_failure(policy.error());
  return print_report(bench::measure_firewall(words.options, std::move(*policy)));
}

}  // namespace

void add_bench_firewall(CLI::App& bench, Command& chosen) {
  auto words = std::make_shared<FirewallWords>();
  CLI::App* command = bench.add_subcommand(
      "firewall", "packets of established connections through the whole pipeline, over rings in memory");
  add_bench_count(*command, "--flows", words->options.flows, "live connections, such as 10k, 1M, 10M (default 1M)");
  add_bench_rules(*command, words->rules);
  command->add_option("--workers", words->options.workers, "workers, each on a processor of its own (default 1)")
      ->check(CLI::Range(1U, 32U));
  add_bench_runs(*command, words->options.repetitions, words->options.seconds, words->options.seed);
  command->callback([&chosen, words] { chosen = [words] { return run_bench_firewall(*words); }; });
}

}  // namespace ringplane::cli
