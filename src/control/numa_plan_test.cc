#include "control/numa_plan.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/numa.h"
#include "control/config.h"

namespace ringplane::control {
namespace {

using Nodes = std::vector<int>;

/// A machine with two nodes of four processors, and NICs near them.
class TwoNodes : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/ringplane-sysfs-XXXXXX";
    root_ = mkdtemp(pattern.data());
    file("devices/system/node/online", "0-1\n");
    file("devices/system/node/node0/cpulist", "0-3\n");
    file("devices/system/node/node1/cpulist", "4-7\n");
    file("class/net/eth0/device/numa_node", "1\n");
    file("class/net/eth1/device/numa_node", "1\n");
    file("class/net/eth2/device/numa_node", "0\n");
    file("class/net/eth3/device/numa_node", "-1\n");
    file("bus/pci/devices/0000:81:00.0/numa_node", "1\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void file(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  [[nodiscard]] Nodes nodes(const std::vector<std::string>& interfaces, std::vector<std::uint32_t> cpus,
                            std::uint32_t workers = 2) const {
    Config config;
    for (const std::string& interface : interfaces) {
      config.ports.emplace_back();
      config.ports.back().interface = interface;
    }
    config.workers.count = workers;
    config.workers.cpus = std::move(cpus);
    return nodes_of_workers(config, root_.string());
  }

  std::filesystem::path root_;
};

TEST_F(TwoNodes, AWorkerGoesByTheProcessorItIsPinnedTo) {
  EXPECT_EQ(nodes({"eth0", "eth1"}, {3, 4}), (Nodes{0, 1}));
  EXPECT_EQ(nodes({"eth0", "eth1"}, {4, 5}), (Nodes{1, 1}));
  EXPECT_EQ(nodes({"eth0", "eth1"}, {0, 9}), (Nodes{0, base::kAnyNode})) << "no node has processor 9";
}

TEST_F(TwoNodes, WithoutPinningItGoesByTheNicsIfTheyAreTogether) {
  EXPECT_EQ(nodes({"eth0", "eth1"}, {}), (Nodes{1, 1}));
  EXPECT_EQ(nodes({"eth0", "dpdk:0000:81:00.0,max_burst=32"}, {}, 1), (Nodes{1}));
  EXPECT_EQ(nodes({"eth0", "eth3"}, {}, 1), (Nodes{1})) << "eth3 is near none";
  EXPECT_EQ(nodes({"eth0", "eth2"}, {}, 1), (Nodes{base::kAnyNode}));
  EXPECT_EQ(nodes({"veth0", "dpdk:net_memif0,role=client"}, {}, 1), (Nodes{base::kAnyNode}));
}

TEST_F(TwoNodes, WithOneNodeThereIsNothingToChoose) {
  file("devices/system/node/online", "0\n");
  EXPECT_EQ(nodes({"eth0", "eth1"}, {3, 2}), Nodes{});
}

}  // namespace
}  // namespace ringplane::control
