// Two samples and the time between them as rates. A counter that has gone back belongs to a data process that has begun
// again: its rate is unknown until the next sample, never negative. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "top/sample.h"

namespace ringplane::top {

/// Amounts a second; none: not known (yet).
using PerSecond = std::optional<double>;

struct PortRates {
  PerSecond rx_packets, rx_bits, tx_packets, tx_bits, lost, no_frame;
};
struct ListRates {
  PerSecond packets, bits;
};
struct WorkerRates {
  PerSecond packets, handed_over, sleeps, new_flows;
  PerSecond load;  ///< share of the time in which it had something to do: 0..1
};

/// The newest sample and, beside each line of its parts, the rates.
struct Model {
  Sample now;
  std::vector<PortRates> ports;
  std::vector<ListRates> flows;
  std::vector<ListRates> rules;
  std::vector<PerSecond> drops;
  std::vector<WorkerRates> workers;
  // Of all together.
  PerSecond packets, bits, dropped, new_flows;
  std::uint64_t live_flows = 0, flows_limit = 0;
};

class History {
 public:
  /// What ask() said; of flows and rules alone it replaces these.
  void take(Sample sample);
  [[nodiscard]] const Model& model() const noexcept { return model_; }
  /// Two whole samples were taken, so rates are known.
  [[nodiscard]] bool has_rates() const noexcept { return before_.ports.at_ns != 0; }

 private:
  Sample before_;
  Model model_;
};

[[nodiscard]] Model compare(const Sample& before, Sample now);

}  // namespace ringplane::top
