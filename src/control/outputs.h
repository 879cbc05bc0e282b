// Outputs: all that the data process tells the world by itself: EVE lines and flow records. Takes the records out of
// the workers' rings and puts them into descriptors that the control process has opened (outlets.h) and may replace.
// Main thread of the data process.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/holdings.h"
#include "base/result.h"
#include "control/config.h"
#include "control/data_plane.h"
#include "control/estate.h"
#include "report/eve_writer.h"
#include "report/flow_exporter.h"
#include "report/recent_lines.h"

namespace ringplane::control {

class Outputs {
 public:
  /// With the descriptors "log" and "ipfix" of the estate, as far as they are there.
  [[nodiscard]] static base::Result<Outputs> create(const Config& config, const Estate& estate);
  /// From now on into those of `fresh`; what it does not hold stays.
  [[nodiscard]] base::Result<void> change_to(const base::Holdings& fresh);
  /// Takes what waits; true: more waits already than one turn takes.
  bool drain(DataPlane& plane);
  /// After the workers' end: flows that live are reported as ended.
  void finish(DataPlane& plane);
  [[nodiscard]] nlohmann::ordered_json show() const;
  /// The last lines, wherever they went (recent_lines.h).
  [[nodiscard]] base::Result<nlohmann::ordered_json> recent(const nlohmann::json& asked) const;

 private:
  Outputs() = default;
  [[nodiscard]] bool wants_flows() const noexcept { return log_flows_ || exporter_; }
  void write(std::string line);
  void put(const worker::FlowRecord& record, const DataPlane& plane, const report::FlowTimes& times);
  void flush(const report::FlowTimes& times);

  report::LogConfig log_;
  report::EveWriter writer_;
  report::RecentLines recent_;
  bool log_flows_ = false;
  std::optional<report::FlowExporter> exporter_;  ///< none: there is no collector
};

}  // namespace ringplane::control
