// Tests for rules: a file of packet lines (explain.h), each with what it expects. `ringplane test` and `ringplane
// apply` run them by this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"

namespace ringplane::firewall {

struct FailedTest {
  std::string file;
  std::uint32_t line = 0;
  std::string packet;  ///< the line without its comment
  std::string why;     ///< a sentence
};

struct TestReport {
  std::size_t run = 0;
  std::vector<FailedTest> failures;
  std::vector<Diagnostic> diagnostics;  ///< of lines that are no tests
  std::vector<std::string> unread;      ///< a sentence for each file that cannot be read
  std::vector<std::string> empty;       ///< a sentence for each file without a test

  /// Every file was read and has tests, and all of them hold.
  [[nodiscard]] bool ok() const noexcept {
    return failures.empty() && diagnostics.empty() && unread.empty() && empty.empty();
  }
};

/// Runs the tests of the file at `path`, read through `files`, and adds what came out to `report`.
void run_test_file(const Ruleset& ruleset, const std::string& path, TextFiles& files, TestReport& report);

/// "pf.tests:3: expected block, but it is passed by ...", the packet below; no newline at the end.
[[nodiscard]] std::string render(const FailedTest& failure);
/// All that is not ok(), each as a person reads it.
[[nodiscard]] std::vector<std::string> errors_of(const TestReport& report);

}  // namespace ringplane::firewall
