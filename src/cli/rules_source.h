// Where a command gets its rules from: `-c ringplane.toml` (the rules it names, and its ports are all there are) or
// `-f pf.conf` alone (every interface it names is taken as a port).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/App.hpp>

#include "firewall/parser.h"

namespace ringplane::cli {

struct RulesSource {
  std::string config_path;
  std::string rules_path;
  std::vector<std::string> macros;  ///< "name=value"
};

/// Adds -c, -f and -D to a command.
void add_rules_options(CLI::App& command, RulesSource& source);

struct LoadedRules {
  firewall::ParseResult parsed;
  std::vector<std::string> tests;  ///< files that the configuration names
  /// Of the configuration file and the rules together.
  std::vector<firewall::Diagnostic> diagnostics;
  [[nodiscard]] bool ok() const noexcept;
};

/// Reads everything; never throws for bad input. Neither or both of -c and -f: std::nullopt, after telling the user.
[[nodiscard]] std::optional<LoadedRules> load_rules(const RulesSource& source);

/// All diagnostics on standard error.
void print_diagnostics(const std::vector<firewall::Diagnostic>& diagnostics);

}  // namespace ringplane::cli
