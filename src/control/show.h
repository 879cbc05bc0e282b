// The answers of `ringplane show`: the state of a running data plane as JSON. Control thread only.
// docs/reference/show.md describes every field.
#pragma once

#include <cstdint>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "control/data_plane.h"

namespace ringplane::control {

/// Most flows that one answer lists.
inline constexpr std::uint32_t kMaxListedFlows = 100'000;

/// `what`: ports, rules, flows, drops, workers or memory; anything else gives null. `limit` bounds the flows listed.
[[nodiscard]] nlohmann::ordered_json show(DataPlane& plane, std::string_view what, std::uint32_t limit);

}  // namespace ringplane::control
