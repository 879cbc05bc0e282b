// What the sub-commands of `bench` share: how rules are named, how a report or a failure is printed.
#pragma once

#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "firewall/policy.h"

namespace ringplane::cli {

/// Adds --rules.
void add_bench_rules(CLI::App& command, std::string& rules);
/// The rules that --rules names; "": one rule that lets all TCP in and keeps state.
[[nodiscard]] base::Result<std::shared_ptr<const firewall::Policy>> bench_policy(const std::string& rules);

/// The JSON document on standard output, or the failure on standard error; the exit code.
int print_report(const base::Result<nlohmann::ordered_json>& report);
int print_failure(const base::Error& error);

}  // namespace ringplane::cli
