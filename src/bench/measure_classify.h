// Classification alone: headers against rules, many at a time, as the worker asks for the first packets of flows.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace ringplane::bench {

struct ClassifyOptions {
  std::string rules;  ///< see rule_source.h, likewise
  std::string trace = "u";
  std::uint32_t changes = 0;  ///< rules that are replaced by themselves, one after the other, before it is measured
  std::uint32_t repetitions = 5;
  double seconds = 0.5;  ///< of each repetition at least
};

/// Looks all headers up and compares each answer with the trace's own; `mismatches` in the report is how many differ.
[[nodiscard]] base::Result<nlohmann::ordered_json> measure_classify(const ClassifyOptions& options);

}  // namespace ringplane::bench
