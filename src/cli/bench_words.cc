#include "cli/bench_words.h"

#include <cstdio>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "base/result.h"
#include "bench/rig.h"
#include "cli/commands.h"
#include "firewall/parser.h"
#include "firewall/policy.h"

namespace ringplane::cli {

void add_bench_rules(CLI::App& command, std::string& rules) {
  command.add_option("--rules", rules, "a pf.conf; default: rules that let all TCP in and keep state");
}

base::Result<std::shared_ptr<const firewall::Policy>> bench_policy(const std::string& rules) {
  if (rules.empty())
    return bench::policy_of("built in", "block all\npass in quick on lan proto tcp all keep state\npass out all\n");
  firewall::DiskFiles files;
  auto text = files.read(rules);
  if (!text) return base::fail("cannot read " + rules + ": " + text.error());
  return bench::policy_of(rules, *text);
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
