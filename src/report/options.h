// What the configuration says of reports: defaults and units.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ringplane::report {

struct LogConfig {
  static constexpr std::string_view kSocketPrefix = "unix:";

  std::string file;                  ///< EVE lines; "": none; "-": standard output; "unix:PATH": a reader's socket
  std::uint32_t per_second = 1'000;  ///< records of packets, of each worker; more are counted as lost
  std::uint32_t rotate_bytes = 256U << 20U;  ///< from this length on a file is renamed and begun anew; 0: never
  std::uint32_t rotate_keep = 4;             ///< old files that are kept
  bool flows = false;                        ///< a line for each flow that has ended
};

/// Flows that have ended, to a collector.
struct IpfixConfig {
  std::string collector;                ///< "ADDRESS:PORT", by UDP; "": none
  std::uint32_t domain = 1;             ///< Observation Domain ID
  std::uint32_t template_seconds = 60;  ///< how often templates are sent again
};

}  // namespace ringplane::report
