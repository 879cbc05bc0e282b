#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "bench/measure_firewall.h"
#include "cli/bench_commands.h"
#include "cli/bench_words.h"
#include "cli/commands.h"
#include "cli/count_text.h"

namespace ringplane::cli {
namespace {

struct FirewallWords {
  bench::FirewallOptions options;
  std::string flows = "1M";
  std::string rules;
};

int run_bench_firewall(const FirewallWords& words) {
  auto policy = bench_policy(words.rules);
  if (!policy) return print_failure(policy.error());
  bench::FirewallOptions options = words.options;
  options.flows = *parse_count(words.flows);
  return print_report(bench::measure_firewall(options, std::move(*policy)));
}

}  // namespace

void add_bench_firewall(CLI::App& bench, Command& chosen) {
  auto words = std::make_shared<FirewallWords>();
  CLI::App* command = bench.add_subcommand(
      "firewall", "packets of established connections through the whole pipeline, over rings in memory");
  command->add_option("--flows", words->flows, "live connections, such as 10k, 1M, 10M (default 1M)")
      ->check(CLI::Validator(check_count, "COUNT"));
  add_bench_rules(*command, words->rules);
  command->add_option("--workers", words->options.workers, "workers, each on a processor of its own (default 1)")
      ->check(CLI::Range(1U, 32U));
  command->add_option("--repeat", words->options.repetitions, "repetitions, of which the median counts (default 5)")
      ->check(CLI::Range(1U, 1000U));
  command->add_option("--seconds", words->options.seconds, "measured time of each repetition (default 1)")
      ->check(CLI::Range(0.001, 3600.0));
  command->add_option("--seed", words->options.seed, "of the connections and of their order");
  command->callback([&chosen, words] { chosen = [words] { return run_bench_firewall(*words); }; });
}

}  // namespace ringplane::cli
