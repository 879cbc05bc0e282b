#include "bench/report.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/utsname.h>

namespace ringplane::bench {
namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The value of the first "name : value" line of /proc/cpuinfo with this name.
std::string cpu_info(const std::string& name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(name)) continue;
    return colon + 2 < line.size() ? line.substr(colon + 2) : "";
  }
  return "";
}

}  // namespace

double rounded(double value) {
  return std::round(value * 1000) / 1000;
}

nlohmann::ordered_json machine_facts() {
  utsname system{};
  uname(&system);
  nlohmann::ordered_json facts;
  facts["processor"] = cpu_info("model name");
  facts["processors"] = sysconf(_SC_NPROCESSORS_ONLN);
  facts["kernel"] = std::string(system.sysname) + " " + system.release;
  facts["transparent_huge_pages"] = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  facts["huge_pages_reserved"] = first_line("/proc/sys/vm/nr_hugepages");
  facts["compiler"] = __VERSION__;
  facts["flags"] = RINGPLANE_BUILD_FLAGS;
#ifdef NDEBUG
  facts["assertions"] = false;
#else
  facts["assertions"] = true;
#endif
  return facts;
}

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .low = values.front(), .high = values.back()};
}

nlohmann::ordered_json json_of(const Spread& spread) {
  return {{"median", rounded(spread.median)}, {"low", rounded(spread.low)}, {"high", rounded(spread.high)}};
}

}  // namespace ringplane::bench
