// RuleVersion: the rules as they were at one time: read, with all they include, tested, and packed so that they can be
// taken again later though the files have changed. Control process.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/config.h"
#include "firewall/ruleset.h"

namespace ringplane::control {

struct RuleVersion {
  firewall::Ruleset ruleset;
  std::string packed;  ///< rule_files.h
  std::size_t tests = 0;
  std::vector<std::string> warnings;
};

/// Reads what `config` names, each file once, and runs its tests. Fails with every error and every failing test, a line
/// or more each (kBadConfiguration).
[[nodiscard]] base::Result<RuleVersion> read_version(const Config& config);
/// What was packed, for the ports of `config`; its tests are not run again. Fails likewise.
[[nodiscard]] base::Result<RuleVersion> unpack_version(const Config& config, std::string packed);
/// SHA-256 of what was packed, in hexadecimal: equal rules have equal digests.
[[nodiscard]] std::string digest_of(const std::string& packed);

}  // namespace ringplane::control
