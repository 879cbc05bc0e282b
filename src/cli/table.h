// A list of flat JSON objects as an aligned table for a terminal.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace ringplane::cli {

/// Columns in the order of the first object's keys, headed by them; numbers to the right. "" for an empty list.
[[nodiscard]] std::string table_of(const nlohmann::ordered_json& list);

}  // namespace ringplane::cli
