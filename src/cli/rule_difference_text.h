// What `apply`, `rollback` and `history N` have in common: a difference between rules for a terminal.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace ringplane::cli {

/// A line for each change, as the API tells it ("difference" in docs/reference/apply.md), counts last; ends in a
/// newline. "+" added, "-" removed, "~" changed (with what it was below it), ">" moved.
[[nodiscard]] std::string difference_text(const nlohmann::ordered_json& difference);
/// "12 tests hold", and the warnings on standard error.
void print_tests_and_warnings(const nlohmann::ordered_json& answer);

}  // namespace ringplane::cli
