#include "control/numa_plan.h"

#include <cstddef>
#include <string>
#include <vector>

#include "base/numa.h"
#include "control/config.h"

namespace ringplane::control {
namespace {

/// A device without hardware of its own (veth, memif) is near no node.
int node_of_port(const PortConfig& port, const std::string& sysfs) {
  if (!port.is_dpdk()) return base::read_node(sysfs + "/class/net/" + port.interface + "/device/numa_node");
  const std::string device = port.dpdk_device();
  return base::read_node(sysfs + "/bus/pci/devices/" + device.substr(0, device.find(',')) + "/numa_node");
}

int node_of_nics(const Config& config, const std::string& sysfs) {
  int common = base::kAnyNode;
  for (const PortConfig& port : config.ports) {
    const int node = node_of_port(port, sysfs);
    if (node == base::kAnyNode) continue;
    if (common != base::kAnyNode && common != node) return base::kAnyNode;
    common = node;
  }
  return common;
}

}  // namespace

std::vector<int> nodes_of_workers(const Config& config, const std::string& sysfs) {
  const base::NumaNodes nodes = base::NumaNodes::read(sysfs + "/devices/system/node");
  if (nodes.count() == 1) return {};
  std::vector<int> of_workers(config.workers.count, node_of_nics(config, sysfs));
  for (std::size_t i = 0; i < config.workers.cpus.size() && i < of_workers.size(); ++i) {
    of_workers[i] = nodes.node_of_cpu(config.workers.cpus[i]);
  }
  return of_workers;
}

}  // namespace ringplane::control
