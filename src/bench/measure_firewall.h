// Packets of established connections through the whole pipeline: headers, flow lookup, conntrack with its window check,
// counters, forwarding, rings in and out; every packet of a connection chosen at random among all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "firewall/policy.h"

namespace ringplane::bench {

struct FirewallOptions {
  std::uint64_t flows = 1'000'000;  ///< live connections, over all workers
  std::uint32_t workers = 1;        ///< each pinned to a processor of its own, with its own generator and sink
  std::uint32_t repetitions = 5;
  double seconds = 1.0;  ///< measured time of each repetition
  std::uint64_t seed = 1;
};

/// Establishes all connections by their handshakes, then measures. Fails if a packet was lost, dropped or miscounted.
[[nodiscard]] base::Result<nlohmann::ordered_json> measure_firewall(const FirewallOptions& options,
                                                                    std::shared_ptr<const firewall::Policy> policy);

}  // namespace ringplane::bench
