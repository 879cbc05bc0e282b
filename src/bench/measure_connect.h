// Connections that begin and end: how fast a table fills, and how fast connections come and go in one that stays full.
#pragma once

#include <cstdint>
#include <memory>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "firewall/policy.h"

namespace ringplane::bench {

struct ConnectOptions {
  std::uint64_t flows = 1'000'000;
  std::uint32_t repetitions = 5;
  double seconds = 1.0;  ///< measured time of each repetition of the churn
  std::uint64_t seed = 1;
  bool flow_records = false;  ///< each flow that ends is reported, as for log.flows and [ipfix]
};

/// Fills a new table from 0 to `flows` by handshakes, each repetition anew; then lets the oldest connections end by FIN
/// and expire while as many new ones begin, under a clock of its own that runs so that a closed flow's timeout passes
/// while an eighth of the table is replaced. Fails if a packet was lost or a live connection was forgotten.
[[nodiscard]] base::Result<nlohmann::ordered_json> measure_connect(const ConnectOptions& options,
                                                                   std::shared_ptr<const firewall::Policy> policy);

}  // namespace ringplane::bench
