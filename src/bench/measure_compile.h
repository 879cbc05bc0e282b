// From text to what workers read: how long a rule set and a large table take to load, and to change.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace ringplane::bench {

struct CompileOptions {
  std::string rules;  ///< see rule_source.h
  std::uint64_t table_entries = 1'000'000;
  std::uint32_t repetitions = 5;
  std::uint64_t seed = 1;
};

/// The table is read from a temporary file that is gone when this returns.
[[nodiscard]] base::Result<nlohmann::ordered_json> measure_compile(const CompileOptions& options);

}  // namespace ringplane::bench
