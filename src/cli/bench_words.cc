#include "cli/bench_words.h"

#include <cstdint>
#include <cstdio>
#include <expected>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "base/count_text.h"
#include "base/result.h"
#include "bench/rig.h"
#include "bench/rule_source.h"
#include "cli/commands.h"
#include "firewall/policy.h"

namespace ringplane::cli {

void add_bench_count(CLI::App& command, const std::string& name, std::uint64_t& count, const std::string& help) {
  command
      .add_option_function<std::string>(
          name, [&count](const std::string& text) { count = *base::parse_count(text); }, help)
      ->check(CLI::Validator(base::check_count, "COUNT"));
}

void add_bench_runs(CLI::App& command, std::uint32_t& repetitions, double& seconds, std::uint64_t& seed) {
  command.add_option("--repeat", repetitions, "repetitions, of which the median counts (default 5)")
      ->check(CLI::Range(1U, 1000U));
  command.add_option("--seconds", seconds, "measured time of each repetition")->check(CLI::Range(0.001, 3600.0));
  command.add_option("--seed", seed, "of everything that is drawn");
}

void add_bench_rules(CLI::App& command, std::string& rules) {
  command.add_option("--rules", rules,
                     "a pf.conf, a ClassBench file (plain or .xz), the name of a shared set such as acl1_100k, or "
                     "synth:N[:SEED]");
}

base::Result<std::shared_ptr<const firewall::Policy>> bench_policy(const std::string& rules) {
  if (rules.empty())
    return bench::policy_of("built in", "block all\npass in quick on lan proto tcp all keep state\npass out all\n");
  const auto source = bench::find_rules(rules);
  if (!source) return std::unexpected(source.error());
  return bench::policy_of(source->name, source->pf_conf);
}

int print_report(const base::Result<nlohmann::ordered_json>& report) {
  if (!report) return print_failure(report.error());
  std::printf("%s\n", report->dump(2).c_str());
  return kExitFine;
}

int print_failure(const base::Error& error) {
  const bool configuration = error.kind == base::ErrorKind::kBadConfiguration;
  std::fprintf(stderr, "%s%s\n", configuration ? "" : "ringplane: ", error.message.c_str());
  return configuration ? kExitBadConfiguration : kExitFailed;
}

}  // namespace ringplane::cli
