// Which NUMA node each worker's memory should come from: its share of the frames, its flow table, its other tables.
#pragma once

#include <string>
#include <vector>

#include "control/config.h"

namespace ringplane::control {

/// By worker. A pinned worker: the node of its processor. One that is not: the node that all NICs of the configuration
/// are near, as far as they are near one; else base::kAnyNode. Empty where there is one node, and nothing to choose.
/// `sysfs`: /sys, or what looks like it.
[[nodiscard]] std::vector<int> nodes_of_workers(const Config& config, const std::string& sysfs = "/sys");

}  // namespace ringplane::control
