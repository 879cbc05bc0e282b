#include "firewall/rule_tests.h"

#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "firewall/diagnostic.h"
#include "firewall/explain.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"

namespace ringplane::firewall {

void run_test_file(const Ruleset& ruleset, const std::string& path, TextFiles& files, TestReport& report) {
  auto text = files.read(path);
  if (!text) {
    report.unread.push_back(fmt::format("cannot read the tests {}: {}", path, text.error()));
    return;
  }
  TestFile tests = parse_test_file({.name = path, .text = std::move(*text)}, ruleset);
  if (tests.lines.empty() && tests.diagnostics.empty()) {
    report.empty.push_back(fmt::format("{} holds no test", path));
  }
  for (Diagnostic& diagnostic : tests.diagnostics) report.diagnostics.push_back(std::move(diagnostic));
  for (const PacketLine& line : tests.lines) {
    ++report.run;
    std::string why;
    if (!expectation_holds(ruleset, line, explain(ruleset, line), &why)) {
      report.failures.push_back({.file = path, .line = line.line, .packet = line.text, .why = std::move(why)});
    }
  }
}

std::string render(const FailedTest& failure) {
  return fmt::format("{}:{}: {}\n  {}", failure.file, failure.line, failure.why, failure.packet);
}

std::vector<std::string> errors_of(const TestReport& report) {
  std::vector<std::string> errors = report.unread;
  errors.insert(errors.end(), report.empty.begin(), report.empty.end());
  for (const Diagnostic& diagnostic : report.diagnostics) errors.push_back(render(diagnostic));
  for (const FailedTest& failure : report.failures) errors.push_back(render(failure));
  return errors;
}

}  // namespace ringplane::firewall
