// What people may ask a running data plane, and its answers as JSON: `ringplane show`, the API, the metrics. Data
// process, its main thread only. docs/reference/show.md describes every field.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "control/data_plane.h"
#include "control/rates.h"

namespace ringplane::control {

/// Most rules or flows that one answer lists, and how many if nobody says.
inline constexpr std::uint32_t kMaxListed = 100'000;
inline constexpr std::uint32_t kUsualLimit = 1'000;

struct Question {
  std::string what;  ///< ports, rules, flows, drops, workers, memory, status or metrics
  std::uint32_t limit = kUsualLimit;
  std::uint32_t offset = 0;
  std::string search;  ///< rules, flows: those whose line holds this
  std::string sort;    ///< rules, flows: "" as they are; else a counter or a rate, the largest first

  [[nodiscard]] static base::Result<Question> parse(const nlohmann::json& asked);
};

/// Lists of rules and flows are pages: {"total": all that the search finds, "rules": [...]}. An error for a question
/// that makes no sense. `rates` is what the questions before have seen.
[[nodiscard]] base::Result<nlohmann::ordered_json> show(DataPlane& plane, const Question& question, Rates& rates,
                                                        std::uint64_t now_ns);

}  // namespace ringplane::control
