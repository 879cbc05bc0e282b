// What the sub-commands of `bench` share: how rules are named, how a report or a failure is printed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "firewall/policy.h"

namespace ringplane::cli {

/// Adds a count such as 10k or 1M.
void add_bench_count(CLI::App& command, const std::string& name, std::uint64_t& count, const std::string& help);
/// Adds --repeat, --seconds and --seed.
void add_bench_runs(CLI::App& command, std::uint32_t& repetitions, double& seconds, std::uint64_t& seed);
/// Adds --rules.
void add_bench_rules(CLI::App& command, std::string& rules);
/// The rules that --rules names; "": one rule that lets all TCP in and keeps state.
[[nodiscard]] base::Result<std::shared_ptr<const firewall::Policy>> bench_policy(const std::string& rules);

/// The JSON document on standard output, or the failure on standard error; the exit code.
int print_report(const base::Result<nlohmann::ordered_json>& report);
int print_failure(const base::Error& error);

}  // namespace ringplane::cli
