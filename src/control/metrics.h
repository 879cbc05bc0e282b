// The counters and gauges of a running data plane in the text format of Prometheus 0.0.4. Names and meanings:
// docs/reference/metrics.md, which a test holds to this.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace ringplane::control {

/// `facts` is the answer to {"show": "metrics"}; null: no data process lives, which is a metric too.
[[nodiscard]] std::string metrics_text(const nlohmann::ordered_json& facts);

}  // namespace ringplane::control
