// Rules and flows as pages of an answer (show.h): searched, ordered, cut. An order by a rate is by what they move now
// (rates.h). Data process, its main thread.
#pragma once

#include <cstdint>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "control/data_plane.h"
#include "control/rates.h"
#include "control/show.h"

namespace ringplane::control {

[[nodiscard]] base::Result<nlohmann::ordered_json> show_rules(const DataPlane& plane, const Question& question,
                                                              RuleRates& rates, std::uint64_t now_ns);
[[nodiscard]] base::Result<nlohmann::ordered_json> show_flows(DataPlane& plane, const Question& question,
                                                              FlowRates& rates, std::uint64_t now_ns);

}  // namespace ringplane::control
