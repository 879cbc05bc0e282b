// For tests: a machine that is made up. Files lie in a folder of its own, and the kernel answers what the test says;
// what the test does not mention is absent, as on a kernel that does not know it.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <expected>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "doctor/checks.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"
#include "doctor/machine.h"
#include "doctor/wishes.h"

namespace ringplane::doctor {

struct MadeUpNic {
  Asked<Link> link = Link{.index = 3, .mtu = 1500, .is_up = true, .has_carrier = true};
  Asked<LinkDetails> details = LinkDetails{};
  Asked<std::string> driver = std::string("ixgbe");
  Asked<Channels> channels = Channels{.combined = 2, .most_combined = 63};
  Asked<RingSizes> rings = std::unexpected(EOPNOTSUPP);
  Asked<Spreading> spreading = std::unexpected(EOPNOTSUPP);
  std::map<std::uint32_t, Asked<std::uint64_t>> fields{};
  Asked<std::vector<Offload>> offloads = std::vector<Offload>{};
  Asked<Coalescing> coalescing = std::unexpected(EOPNOTSUPP);
  Asked<FlowControl> pause = std::unexpected(EOPNOTSUPP);
  Asked<std::uint64_t> xdp = std::unexpected(ENOENT);
};

class MadeUpKernel final : public Kernel {
 public:
  std::map<std::string, MadeUpNic> nics;
  Rights may{};
  std::uint64_t locked = 8U << 20U;
  int landlock = 0;

  [[nodiscard]] std::vector<std::string> interfaces() const override {
    std::vector<std::string> names;
    for (const auto& [name, nic] : nics) names.push_back(name);
    return names;
  }
  [[nodiscard]] Asked<Link> link(const std::string& name) const override {
    return nics.contains(name) ? nics.at(name).link : std::unexpected(ENODEV);
  }
  [[nodiscard]] Asked<LinkDetails> details(std::uint32_t index) const override {
    for (const auto& [name, nic] : nics) {
      if (nic.link && nic.link->index == index) return nic.details;
    }
    return std::unexpected(ENODEV);
  }
  [[nodiscard]] Asked<std::string> driver(const std::string& name) const override { return nics.at(name).driver; }
  [[nodiscard]] Asked<Channels> channels(const std::string& name) const override { return nics.at(name).channels; }
  [[nodiscard]] Asked<RingSizes> ring_sizes(const std::string& name) const override { return nics.at(name).rings; }
  [[nodiscard]] Asked<Spreading> spreading(const std::string& name) const override { return nics.at(name).spreading; }
  [[nodiscard]] Asked<std::uint64_t> hashed_fields(const std::string& name, std::uint32_t kind) const override {
    const auto& fields = nics.at(name).fields;
    return fields.contains(kind) ? fields.at(kind) : std::unexpected(EOPNOTSUPP);
  }
  [[nodiscard]] Asked<std::vector<Offload>> offloads(const std::string& name) const override {
    return nics.at(name).offloads;
  }
  [[nodiscard]] Asked<Coalescing> coalescing(const std::string& name) const override {
    return nics.at(name).coalescing;
  }
  [[nodiscard]] Asked<FlowControl> flow_control(const std::string& name) const override { return nics.at(name).pause; }
  [[nodiscard]] Asked<std::uint64_t> xdp_features(std::uint32_t index) const override {
    for (const auto& [name, nic] : nics) {
      if (nic.link && nic.link->index == index) return nic.xdp;
    }
    return std::unexpected(ENODEV);
  }
  [[nodiscard]] Rights rights() const override { return may; }
  [[nodiscard]] std::uint64_t locked_memory_limit() const override { return locked; }
  [[nodiscard]] int landlock_version() const override { return landlock; }
};

/// One NIC, "lan", and two workers that are not pinned. A test changes what it is about.
class MadeUpMachine : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/ringplane-doctor-XXXXXX";
    root_ = mkdtemp(pattern.data());
    kernel_.nics["lan"] = {};
    wishes_.ports = {{.name = "lan", .interface = "lan"}};
    wishes_.workers = 2;
    wishes_.largest_mtu = 1770;
    wishes_.larger_frames = 4096;
    file("/proc/sys/kernel/osrelease", "6.1.0-49-amd64\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void file(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path, std::ios::binary) << text;
  }
  /// A folder where a file should be: reading it fails, with something else than "there is none".
  void unreadable(const std::string& path) const {
    std::filesystem::remove_all(root_ + path);
    std::filesystem::create_directories(root_ + path);
  }
  void remove(const std::string& path) const { std::filesystem::remove_all(root_ + path); }

  MadeUpNic& nic() { return kernel_.nics["lan"]; }
  [[nodiscard]] Machine machine() const { return {root_, kernel_}; }
  [[nodiscard]] Answer ask(PortCheck check) const {
    const Machine all = machine();
    return check(Port(all, wishes_, wishes_.ports.front()));
  }
  [[nodiscard]] Answer ask(MachineCheck check) const { return check(machine(), wishes_); }

  MadeUpKernel kernel_;
  Wishes wishes_;

 private:
  std::string root_;
};

/// Level, and what finding and advice have to have in them; no advice: none may be given.
inline void expect(const Answer& answer, Level level, std::string_view finding, std::string_view advice = "") {
  ASSERT_TRUE(answer.has_value()) << "says nothing";
  EXPECT_EQ(name_of(answer->level), name_of(level)) << answer->finding << " | " << answer->advice;
  EXPECT_NE(answer->finding.find(finding), std::string::npos) << answer->finding;
  if (advice.empty()) {
    EXPECT_EQ(answer->advice, "");
  } else {
    EXPECT_NE(answer->advice.find(advice), std::string::npos) << answer->advice;
  }
}

}  // namespace ringplane::doctor
