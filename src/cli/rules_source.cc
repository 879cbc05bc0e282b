#include "cli/rules_source.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "control/config.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"

namespace ringplane::cli {

void add_rules_options(CLI::App& command, RulesSource& source) {
  command.add_option("-c,--config", source.config_path, "configuration file; its rules and ports are used");
  command.add_option("-f,--file", source.rules_path, "rules file (pf.conf) alone");
  command.add_option("-D", source.macros, "NAME=VALUE: overrides a macro of the rules (may be given several times)");
}

bool LoadedRules::ok() const noexcept {
  return std::ranges::none_of(diagnostics,
                              [](const auto& each) { return each.severity == firewall::Severity::kError; });
}

std::optional<LoadedRules> load_rules(const RulesSource& source) {
  if (source.config_path.empty() == source.rules_path.empty()) {
    std::fprintf(stderr, "ringplane: give either -c ringplane.toml or -f pf.conf\n");
    return std::nullopt;
  }
  LoadedRules loaded;
  firewall::Environment environment;
  std::string rules_path = source.rules_path;
  if (!source.config_path.empty()) {
    control::ConfigResult config = control::read_config(source.config_path);
    environment = control::environment_of(config.config);
    rules_path = config.config.rules_path;
    loaded.tests = std::move(config.config.tests);
    loaded.diagnostics = std::move(config.diagnostics);
  }
  for (const std::string& macro : source.macros) {
    const auto equals = macro.find('=');
    environment.macros.emplace_back(macro.substr(0, equals),
                                    equals == std::string::npos ? "" : macro.substr(equals + 1));
  }
  if (!rules_path.empty()) {
    loaded.parsed = firewall::parse_file(rules_path, environment);
    loaded.diagnostics.insert(loaded.diagnostics.end(), loaded.parsed.diagnostics.begin(),
                              loaded.parsed.diagnostics.end());
  }
  return loaded;
}

void print_diagnostics(const std::vector<firewall::Diagnostic>& diagnostics) {
  for (const auto& diagnostic : diagnostics) std::fprintf(stderr, "%s\n", firewall::render(diagnostic).c_str());
}

}  // namespace ringplane::cli
