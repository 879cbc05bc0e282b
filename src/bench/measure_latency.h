// How long a packet is inside: from the slot of the receive ring to being taken from the transmit ring, a worker on one
// processor, whoever sends and takes on another.
#pragma once

#include <cstdint>
#include <memory>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "firewall/policy.h"

namespace ringplane::bench {

struct LatencyOptions {
  std::uint64_t flows = 10'000;
  double share = 0.5;  ///< of the highest rate that went through just before
  std::uint32_t repetitions = 5;
  double seconds = 1.0;
  std::uint64_t seed = 1;
};

/// Needs two processors. A processor counts as stolen when a loop that only reads the clock, or one turn of the worker,
/// takes longer than any work in it can; packets inside then are left out of the figures, counted, and in the second
/// set of figures, which leaves out nothing.
[[nodiscard]] base::Result<nlohmann::ordered_json> measure_latency(const LatencyOptions& options,
                                                                   std::shared_ptr<const firewall::Policy> policy);

}  // namespace ringplane::bench
