// What every measurement prints beside its own figures: on which machine and with which build it was taken, and how far
// its repetitions lie apart. Figures are compared within one run only, so each report carries its reference with it.
#pragma once

#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace ringplane::bench {

/// Processor, kernel, pages, compiler and flags. Reads /proc and /sys; what cannot be read is left out.
[[nodiscard]] nlohmann::ordered_json machine_facts();

/// Of the repetitions of one figure; all zero if there were none.
struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};
[[nodiscard]] Spread spread_of(std::vector<double> values);
/// To three decimals.
[[nodiscard]] double rounded(double value);
/// {"median": .., "low": .., "high": ..}, rounded.
[[nodiscard]] nlohmann::ordered_json json_of(const Spread& spread);

}  // namespace ringplane::bench
