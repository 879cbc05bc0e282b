#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/rules_source.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/rule_tests.h"
#include "firewall/ruleset.h"

namespace ringplane::cli {
namespace {

nlohmann::ordered_json to_json(const firewall::Diagnostic& diagnostic) {
  return {{"file", diagnostic.file},
          {"line", diagnostic.line},
          {"column", diagnostic.column},
          {"severity", diagnostic.severity == firewall::Severity::kError ? "error" : "warning"},
          {"message", diagnostic.sentence}};
}

void print_rules(const firewall::Ruleset& ruleset) {
  for (const std::string& option : ruleset.options.printed) std::printf("%s\n", option.c_str());
  for (const firewall::Table& table : ruleset.tables) {
    if (table.is_named) std::printf("%s\n", firewall::text_of(table).c_str());
  }
  for (const firewall::Rule& rule : ruleset.rules) std::printf("%s\n", firewall::text_of(ruleset, rule).c_str());
}

int check(const RulesSource& source, bool json, bool verbose) {
  const auto loaded = load_rules(source);
  if (!loaded) return kExitUsage;
  const firewall::Ruleset& ruleset = loaded->parsed.ruleset;
  firewall::TestReport tests;
  firewall::DiskFiles disk;
  for (const std::string& path : loaded->ok() ? loaded->tests : std::vector<std::string>()) {
    firewall::run_test_file(ruleset, path, disk, tests);
  }
  const std::vector<std::string> failures = firewall::errors_of(tests);
  const bool fine = loaded->ok() && failures.empty();
  if (json) {
    nlohmann::ordered_json report{{"ok", fine}, {"rules", ruleset.rules.size()}, {"tables", ruleset.tables.size()}};
    report["diagnostics"] = nlohmann::ordered_json::array();
    for (const auto& diagnostic : loaded->diagnostics) report["diagnostics"].push_back(to_json(diagnostic));
    report["tests"] = tests.run;
    report["test_failures"] = failures;
    std::printf("%s\n", report.dump(2).c_str());
  } else {
    print_diagnostics(loaded->diagnostics);
    if (loaded->ok() && verbose) print_rules(ruleset);
    for (const std::string& failure : failures) std::fprintf(stderr, "%s\n", failure.c_str());
    const std::string held = tests.run == 0 ? "" : ", " + std::to_string(tests.run) + " tests hold";
    if (fine) std::printf("fine: %zu rules, %zu tables%s\n", ruleset.rules.size(), ruleset.tables.size(), held.c_str());
  }
  return fine ? kExitFine : kExitBadConfiguration;
}

}  // namespace

void add_check(CLI::App& app, Command& chosen) {
  struct Options {
    RulesSource source;
    bool json = false;
    bool verbose = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("check", "parses configuration and rules, prints every error, changes nothing");
  add_rules_options(*command, options->source);
  command->add_flag("--json", options->json, "the result as JSON");
  command->add_flag("-v,--verbose", options->verbose, "also print options, tables and rules as they were understood");
  command->callback(
      [&chosen, options] { chosen = [options] { return check(options->source, options->json, options->verbose); }; });
}

}  // namespace ringplane::cli
