// The estate: everything with rights or with a memory that a running data plane needs, taken by the control process
// before there is a data process, and kept by both. Nothing of it is lost when either dies (start_order.h lists it).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/holdings.h"
#include "base/ids.h"
#include "base/result.h"
#include "control/config.h"
#include "control/start_order.h"
#include "firewall/ruleset.h"
#include "port/port.h"
#include "worker/worker_counters.h"

namespace ringplane::control {

struct Estate {
  StartOrder order;
  base::Holdings holdings;
};

/// What lies in the memory file "counters": one for each worker.
struct KeptCounters {
  worker::WorkerCounters worker;
};

/// The flow and source limits by which memory is taken: those of the rules go before those of the configuration.
void settle_limits(Config& config, const firewall::Options& options);
[[nodiscard]] std::uint32_t share(std::uint32_t whole, std::uint32_t parts) noexcept;

/// Takes memory, opens the AF_XDP ports, the log and the socket at which control processes come in; all or nothing.
/// `rules` are the packed ones that say these `options`. Ports of DPDK are opened by the data process.
[[nodiscard]] base::Result<Estate> take_estate(const Config& config, const firewall::Options& options,
                                               base::FileDescriptor rules);

/// The holdings that tell which rules run and which come back (rulebook.h), in place of those of these names before.
void replace_rules(Estate& estate, base::Holdings rules);

/// Where control processes come to: beside the control socket.
[[nodiscard]] std::string listener_path(const Config& config);

/// Tells the XDP programs of all bridges what becomes of packets while no data process lives (false: one lives). Fails
/// with a sentence for each that cannot be told.
[[nodiscard]] std::vector<std::string> set_bypass(const Estate& estate, const Config& config, bool nobody_lives);

}  // namespace ringplane::control
