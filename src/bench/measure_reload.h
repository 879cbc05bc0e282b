// All rules replaced while packets go by: what is lost, and how long no burst is handled.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace ringplane::bench {

struct ReloadOptions {
  std::string rules;  ///< see rule_source.h
  std::uint64_t flows = 1'000'000;
  std::uint32_t repetitions = 5;  ///< reloads
  std::uint64_t seed = 1;
};

/// The rules are compiled from text and posted by a second thread, as the control plane does. Each reload is watched
/// until every flow has been judged again.
[[nodiscard]] base::Result<nlohmann::ordered_json> measure_reload(const ReloadOptions& options);

}  // namespace ringplane::bench
