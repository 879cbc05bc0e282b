// A flood of SYNs from random sources into a full table, beside established connections: what these lose.
#pragma once

#include <cstdint>
#include <memory>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "firewall/policy.h"

namespace ringplane::bench {

struct FloodOptions {
  std::uint64_t flows = 1'000'000;  ///< established; they fill the table but for a 64th, which half-open ones fill
  double share = 0.5;               ///< of the packets that belong to established connections
  double load = 0.5;                ///< of what the worker can do of established packets: at which they are offered
  std::uint32_t repetitions = 5;
  double seconds = 1.0;
  std::uint64_t seed = 1;
};

/// First as fast as the worker goes: alternates stretches of established packets alone with the same stretch among
/// SYNs. Fails if an established connection lost a packet or its flow. Then at rates of their own (offered_load.h).
[[nodiscard]] base::Result<nlohmann::ordered_json> measure_flood(const FloodOptions& options,
                                                                 std::shared_ptr<const firewall::Policy> policy);

}  // namespace ringplane::bench
