#include "control/rule_version.h"

#include <array>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <openssl/evp.h>

#include "base/result.h"
#include "control/config.h"
#include "control/rule_files.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/rule_tests.h"
#include "firewall/ruleset.h"

namespace ringplane::control {
namespace {

/// The rules that begin at `path`, without what is packed.
base::Result<RuleVersion> parse_rules(const Config& config, const std::string& path, firewall::TextFiles& files) {
  firewall::Environment environment = environment_of(config);
  environment.files = &files;
  firewall::ParseResult parsed = firewall::parse_file(path, environment);
  RuleVersion version;
  std::string errors;
  for (const firewall::Diagnostic& diagnostic : parsed.diagnostics) {
    if (diagnostic.severity == firewall::Severity::kError) {
      errors += (errors.empty() ? "" : "\n") + firewall::render(diagnostic);
    } else {
      version.warnings.push_back(firewall::render(diagnostic));
    }
  }
  if (!parsed.ok()) return base::fail(std::move(errors), base::ErrorKind::kBadConfiguration);
  version.ruleset = std::move(parsed.ruleset);
  return version;
}

}  // namespace

base::Result<RuleVersion> read_version(const Config& config) {
  RecordedFiles files;
  auto version = parse_rules(config, config.rules_path, files);
  if (!version) return version;
  firewall::TestReport report;
  firewall::DiskFiles disk;  // tests are no part of the rules, so they are not packed with them
  for (const std::string& path : config.tests) firewall::run_test_file(version->ruleset, path, disk, report);
  if (!report.ok()) {
    std::string errors = report.failures.empty()
                             ? std::string()
                             : fmt::format("{} of {} rule tests fail:", report.failures.size(), report.run);
    for (const std::string& error : firewall::errors_of(report)) errors += (errors.empty() ? "" : "\n") + error;
    return base::fail(std::move(errors), base::ErrorKind::kBadConfiguration);
  }
  version->tests = report.run;
  version->packed = files.pack(config.rules_path);
  return version;
}

base::Result<RuleVersion> unpack_version(const Config& config, std::string packed) {
  auto files = PackedFiles::unpack(packed);
  if (!files) return std::unexpected(std::move(files.error()));
  auto version = parse_rules(config, files->first(), *files);
  if (version) version->packed = std::move(packed);
  return version;
}

std::string digest_of(const std::string& packed) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int bytes = 0;
  EVP_Digest(packed.data(), packed.size(), digest.data(), &bytes, EVP_sha256(), nullptr);
  std::string text;
  for (unsigned int i = 0; i < bytes; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace ringplane::control
