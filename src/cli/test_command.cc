#include <cstdio>
#include <fstream>
#include <ios>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/rules_source.h"
#include "firewall/explain.h"
#include "firewall/ruleset.h"

namespace ringplane::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Failure {
  const firewall::PacketLine* line;
  std::string why;
};

std::optional<firewall::TestFile> read_tests(const std::string& path, const firewall::Ruleset& ruleset) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file) {
    std::fprintf(stderr, "ringplane: cannot read the tests %s\n", path.c_str());
    return std::nullopt;
  }
  return firewall::parse_test_file({.name = path, .text = text.str()}, ruleset);
}

int test(const RulesSource& source, const std::string& path, bool json) {
  const auto loaded = load_rules(source);
  if (!loaded) return kExitUsage;
  print_diagnostics(loaded->diagnostics);
  if (!loaded->ok()) return kExitBadConfiguration;
  const firewall::Ruleset& ruleset = loaded->parsed.ruleset;
  const auto tests = read_tests(path, ruleset);
  if (!tests) return kExitUsage;
  print_diagnostics(tests->diagnostics);
  if (!tests->diagnostics.empty()) return kExitBadConfiguration;
  std::vector<Failure> failures;
  for (const firewall::PacketLine& line : tests->lines) {
    std::string why;
    if (!firewall::expectation_holds(ruleset, line, firewall::explain(ruleset, line), &why))
      failures.push_back({&line, why});
  }
  if (json) {
    Json report{{"tests", tests->lines.size()}, {"failed", failures.size()}, {"failures", Json::array()}};
    for (const Failure& failure : failures) {
      report["failures"].push_back(
          {{"file", path}, {"line", failure.line->line}, {"packet", failure.line->text}, {"why", failure.why}});
    }
    std::printf("%s\n", report.dump(2).c_str());
  } else {
    for (const Failure& failure : failures) {
      std::printf("%s:%u: %s\n  %s\n", path.c_str(), failure.line->line, failure.why.c_str(),
                  failure.line->text.c_str());
    }
    std::printf("%zu of %zu tests hold\n", tests->lines.size() - failures.size(), tests->lines.size());
  }
  if (tests->lines.empty()) {
    std::fprintf(stderr, "ringplane: %s holds no test\n", path.c_str());
    return kExitFailed;
  }
  return failures.empty() ? kExitFine : kExitFailed;
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
