#include "control/reservations.h"

#include <signal.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "base/holdings.h"
#include "base/result.h"
#include "control/config.h"

namespace ringplane::control {
namespace {

using ::testing::HasSubstr;

class ReservationsTest : public ::testing::Test {
 protected:
  ReservationsTest() {
    std::string name = ::testing::TempDir() + "ringplane-reserve-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] Config instance(const std::string& name, const std::string& interface,
                                const std::vector<std::uint32_t>& cpus) const {
    Config config;
    config.path = name + ".toml";
    config.control.socket = name + ".sock";
    config.control.state = folder_ + "/" + name;
    config.workers.cpus = cpus;
    config.ports.push_back({.name = "lan", .interface = interface, .addresses = {}, .groups = {}, .kernel = {}});
    return config;
  }
  [[nodiscard]] base::Result<std::vector<std::string>> take(const Config& config, base::Holdings& holdings) const {
    return reserve(exclusives_of(config, folder_), config, holdings);
  }

  std::string folder_;
};

TEST_F(ReservationsTest, NamesTheHolderOfAllThatIsTaken) {
  base::Holdings first;
  base::Holdings second;
  ASSERT_TRUE(take(instance("a", "lo", {0, 1}), first));
  const auto refused = take(instance("b", "lo", {1, 2}), second);
  ASSERT_FALSE(refused);
  const std::string holder = "ringplane, pid " + std::to_string(getpid()) + " (a.toml, control socket a.sock)";
  EXPECT_THAT(refused.error().message, HasSubstr("interface lo (port lan) is taken by " + holder));
  EXPECT_THAT(refused.error().message, HasSubstr("processor 1 (workers.cpus) is taken by " + holder));
  EXPECT_EQ(refused.error().kind, base::ErrorKind::kFailed) << "it may be free at the next try";
  EXPECT_TRUE(second.all().empty()) << "all or nothing";
  base::Holdings third;
  EXPECT_TRUE(take(instance("c", "absent", {2}), third)) << "what was refused is not kept";
}

TEST_F(ReservationsTest, TwoInstancesNeedTwoFolders) {
  base::Holdings first;
  base::Holdings second;
  ASSERT_TRUE(take(instance("a", "lo", {}), first));
  EXPECT_THAT(take(instance("a", "absent", {}), second).error().message,
              HasSubstr("(control.state) is taken by ringplane"));
}

TEST_F(ReservationsTest, EndsWithTheLastProcessThatHoldsIt) {
  base::Holdings held;
  ASSERT_TRUE(take(instance("a", "lo", {3}), held));
  const pid_t child = fork();  // has all descriptors, as a data process has
  if (child == 0) {
    pause();
    _exit(0);
  }
  held = base::Holdings();
  base::Holdings other;
  EXPECT_FALSE(take(instance("b", "lo", {3}), other));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(take(instance("b", "lo", {3}), other)) << "a killed process leaves a file, but no lock";
}

TEST_F(ReservationsTest, AStopLeavesNoFile) {
  base::Holdings held;
  ASSERT_TRUE(take(instance("a", "lo", {3}), held));
  remove_reservations(held);
  held = base::Holdings();
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder_)) {
    EXPECT_NE(file.path().extension(), ".lock");
  }
}

TEST_F(ReservationsTest, WhereNothingCanBeWrittenNothingIsRefused) {
  std::ofstream(folder_ + "/file") << "";
  base::Holdings held;
  const Config config = instance("a", "lo", {3});
  const auto taken = reserve(exclusives_of(config, folder_ + "/file"), config, held);
  ASSERT_TRUE(taken);
  ASSERT_EQ(taken->size(), 2U) << "but told: the interface and the processor";
  EXPECT_THAT(taken->front(), HasSubstr("whether another instance uses it is not known"));
}

TEST_F(ReservationsTest, MemoryThatIsNotThereIsTold) {
  const std::string path = folder_ + "/meminfo";
  std::ofstream(path) << "MemTotal: 9000000 kB\nMemAvailable: 102400 kB\nHugePages_Free: 10\nHugepagesize: 2048 kB\n";
  EXPECT_TRUE(check_memory(100U << 20U, false, "frames", path));
  EXPECT_TRUE(check_memory(120U << 20U, true, "frames", path));
  EXPECT_THAT(check_memory(120U << 20U, false, "frames 120 MiB", path).error().message,
              HasSubstr("120 MiB of memory are wanted (frames 120 MiB), and 100 MiB are free: lower memory.frames"));
}

}  // namespace
}  // namespace ringplane::control
