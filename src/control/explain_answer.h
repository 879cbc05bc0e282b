// The account of `explain` (firewall/explain.h) as JSON. Any thread.
#pragma once

#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "firewall/explain.h"
#include "firewall/ruleset.h"

namespace ringplane::control {

[[nodiscard]] nlohmann::ordered_json to_json(const firewall::Ruleset& ruleset,
                                             const firewall::Explanation& explanation);

/// Of one line of words as firewall::parse_packet_line() takes it, with its "text" as a person reads it.
[[nodiscard]] base::Result<nlohmann::ordered_json> explain_packet(const firewall::Ruleset& ruleset,
                                                                  std::string_view packet);

}  // namespace ringplane::control
