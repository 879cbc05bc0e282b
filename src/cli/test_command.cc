#include <cstdio>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/rules_source.h"
#include "firewall/parser.h"
#include "firewall/rule_tests.h"

namespace ringplane::cli {
namespace {

using Json = nlohmann::ordered_json;

int test(const RulesSource& source, const std::string& path, bool json) {
  const auto loaded = load_rules(source);
  if (!loaded) return kExitUsage;
  print_diagnostics(loaded->diagnostics);
  if (!loaded->ok()) return kExitBadConfiguration;
  firewall::DiskFiles disk;
  firewall::TestReport tests;
  firewall::run_test_file(loaded->parsed.ruleset, path, disk, tests);
  for (const auto* sentences : {&tests.unread, &tests.empty}) {
    for (const std::string& sentence : *sentences) std::fprintf(stderr, "ringplane: %s\n", sentence.c_str());
  }
  if (!tests.unread.empty()) return kExitUsage;
  print_diagnostics(tests.diagnostics);
  if (!tests.diagnostics.empty()) return kExitBadConfiguration;
  if (json) {
    Json report{{"tests", tests.run}, {"failed", tests.failures.size()}, {"failures", Json::array()}};
    for (const firewall::FailedTest& failure : tests.failures) {
      report["failures"].push_back(
          {{"file", failure.file}, {"line", failure.line}, {"packet", failure.packet}, {"why", failure.why}});
    }
    std::printf("%s\n", report.dump(2).c_str());
  } else {
    for (const firewall::FailedTest& failure : tests.failures) std::printf("%s\n", firewall::render(failure).c_str());
    std::printf("%zu of %zu tests hold\n", tests.run - tests.failures.size(), tests.run);
  }
  return tests.ok() ? kExitFine : kExitFailed;
}

}  // namespace

void add_test(CLI::App& app, Command& chosen) {
  struct Options {
    RulesSource source;
    std::string path;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("test", "unit tests for rules: a file of packets, each with what it expects");
  add_rules_options(*command, options->source);
  command->add_flag("--json", options->json, "the result as JSON");
  command->add_option("tests", options->path, "file of lines such as 'in on lan proto tcp ... expect block by \"ssh\"'")
      ->required();
  command->callback(
      [&chosen, options] { chosen = [options] { return test(options->source, options->path, options->json); }; });
}

}  // namespace ringplane::cli
