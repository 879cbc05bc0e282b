// The doctor as a whole: lines, order, and machines on which nothing is as it should be.
#include "doctor/doctor.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <linux/netlink.h>

#include "doctor/finding.h"
#include "doctor/kernel.h"
#include "doctor/machine.h"
#include "doctor/netlink.h"
#include "doctor/running_kernel.h"
#include "doctor/test_machine.h"

namespace ringplane::doctor {
namespace {

using enum Level;
using Doctor = MadeUpMachine;

TEST(FindingText, IsOneLineOfFourColumns) {
  EXPECT_EQ(text_of({"lan", "driver", ok("ixgbe, AF_XDP zero-copy")}),
            "ok      lan driver          ixgbe, AF_XDP zero-copy\n");
}

TEST(FindingText, PutsACommandOnALineOfItsOwnAndNeverBreaksIt) {
  const std::string command = type("for i in " + std::string(100, '1') + "; do echo; done");
  EXPECT_EQ(text_of({"lan", "gro", slow("on", command)}),
            "slow    lan gro             on\n          " + command + "\n");
}

TEST(FindingText, FitsIntoEightyColumns) {
  std::string sentence;
  for (int i = 0; i < 60; ++i) sentence += "word" + std::string(static_cast<std::size_t>(i % 7), 'x') + " ";
  sentence.pop_back();
  for (const std::string subject : {"lan", "a-bridge-of-two", "a-very-long-name-of-a-bridge-of-two"}) {
    std::istringstream lines(text_of({subject, "promiscuous", unknown(sentence, sentence)}));
    std::string words;
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), 80U) << line;
      std::istringstream each(line);
      for (std::string one; each >> one;) words += one + " ";
    }
    EXPECT_EQ(words, "unknown " + subject + " promiscuous " + sentence + " " + sentence + " ");
  }
}

TEST(FindingText, QuotesWhatAShellWouldTakeForSomethingElse) {
  EXPECT_EQ(word("eth0.5@if3"), "eth0.5@if3");
  EXPECT_EQ(word("a;reboot"), "'a;reboot'");
  EXPECT_EQ(word("it's"), "'it'\\''s'");
  EXPECT_EQ(word("-x"), "'-x'");
  EXPECT_EQ(word(""), "''");
}

TEST(NumberLists, AreWrittenAsTheKernelDoes) {
  EXPECT_EQ(list_text({}), "");
  EXPECT_EQ(list_text({3, 1, 2, 8, 8}), "1-3,8");
  EXPECT_EQ(list_text({5, 6}), "5,6");
}

TEST_F(Doctor, TellsOfPortsThenBridgesThenTheMachine) {
  kernel_.nics["wan"].link->index = 4;
  wishes_.ports.push_back({.name = "wan", .interface = "wan"});
  wishes_.bridges = {{0, 1}};
  std::vector<std::string> subjects;
  for (const Finding& finding : examine(machine(), wishes_)) {
    if (subjects.empty() || subjects.back() != finding.subject) subjects.push_back(finding.subject);
  }
  EXPECT_EQ(subjects, (std::vector<std::string>{"lan", "wan", "lan-wan", "kernel", "memory", "cpu"}));
}

TEST_F(Doctor, SaysWhatToDoAboutEverythingThatIsNotFine) {
  for (const Finding& finding : examine(machine(), wishes_)) {
    EXPECT_FALSE(finding.said.finding.empty());
    const bool has_advice = !finding.said.advice.empty();
    EXPECT_TRUE(has_advice ? finding.said.level != kOk : finding.said.level == kOk || finding.said.level == kUnknown)
        << finding.what;
  }
}

TEST_F(Doctor, OfDpdkPortsLooksAtTheDeviceOnly) {
  wishes_.ports = {{.name = "lan", .interface = "net_memif0", .is_dpdk = true}};
  for (const Finding& finding : examine(machine(), wishes_)) {
    EXPECT_TRUE(finding.subject != "lan" || finding.what == "driver") << finding.what;
  }
}

/// Every file that any check reads, full of bytes that no kernel writes: no crash, and an answer of some kind.
TEST_F(Doctor, IsNotMisledByNonsense) {
  constexpr std::array<std::string_view, 26> kFiles = {
      "/sys/class/net/lan/speed",
      "/sys/class/net/lan/gro_flush_timeout",
      "/sys/class/net/lan/napi_defer_hard_irqs",
      "/sys/class/net/lan/device/numa_node",
      "/sys/class/net/lan/device/msi_irqs/38",
      "/proc/irq/38/smp_affinity_list",
      "/proc/meminfo",
      "/proc/cpuinfo",
      "/proc/stat",
      "/proc/net/protocols",
      "/proc/sys/kernel/osrelease",
      "/proc/sys/net/core/bpf_jit_enable",
      "/proc/sys/net/core/bpf_jit_harden",
      "/proc/sys/kernel/numa_balancing",
      "/proc/sys/kernel/seccomp/actions_avail",
      "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
      "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
      "/sys/kernel/mm/transparent_hugepage/enabled",
      "/sys/devices/system/node/online",
      "/sys/devices/system/cpu/online",
      "/sys/devices/system/cpu/isolated",
      "/sys/devices/system/cpu/nohz_full",
      "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
      "/sys/devices/system/cpu/cpu0/cpuidle/state0/latency",
      "/sys/devices/system/clocksource/clocksource0/current_clocksource",
      "/dev/cpu_dma_latency"};
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::array<std::string, 8> scraps = {"cpu  ", "0-", "4294967295", "18446744073709551616", "-1", ",", " ", "\n"};
  wishes_.cpus = {0, 1};
  wishes_.memory = {{.bytes = UINT64_MAX / 4}, {.bytes = 1, .node = 7}};
  for (int round = 0; round < 20; ++round) {
    for (const std::string_view path : kFiles) {
      std::string text;
      for (std::uint64_t i = random() % 12; i > 0; --i) {
        text += random() % 2 == 0 ? scraps[random() % scraps.size()] : std::string(1, static_cast<char>(random()));
      }
      file(std::string(path), text);
    }
    for (const Finding& finding : examine(machine(), wishes_)) EXPECT_FALSE(text_of(finding).empty());
  }
}

TEST_F(Doctor, ReadsOnlySoMuchOfAFileAndNeverWaitsForOne) {
  file("/proc/cpuinfo", std::string(std::size_t{6} << 20U, 'x'));
  EXPECT_LE(machine().read("/proc/cpuinfo")->size(), std::size_t{5} << 20U);
  remove("/proc/cpuinfo");
  ASSERT_EQ(mkfifo((machine().root() + "/proc/cpuinfo").c_str(), 0600), 0);
  EXPECT_EQ(machine().read("/proc/cpuinfo"), "");
}

TEST(NetlinkAttributes, AreFoundOnlyWhereTheyAreWhole) {
  const std::vector<std::uint8_t> two = {5, 0, 1, 0, 'a', 0, 0, 0, 6, 0, 2, 0, 'b', 'c'};
  ASSERT_EQ(attribute(two, 2).size(), 2U);
  EXPECT_EQ(attribute(two, 2)[1], 'c');
  EXPECT_EQ(attribute(two, 1)[0], 'a');
  EXPECT_TRUE(attribute(two, 3).empty());
  for (std::size_t length = 0; length < two.size(); ++length) {
    EXPECT_TRUE(attribute(std::span(two).first(length), 2).empty()) << length;
  }
  EXPECT_TRUE(attribute(std::vector<std::uint8_t>{0, 0, 1, 0, 0, 0, 0, 0}, 1).empty()) << "a length of zero";
  EXPECT_TRUE(attribute(std::vector<std::uint8_t>{255, 255, 1, 0}, 1).empty()) << "longer than the message";
}

TEST(TheKernelThatRuns, AnswersOfLoopback) {
  const RunningKernel running;
  const auto names = running.interfaces();
  if (names.empty()) GTEST_SKIP() << "no interface at all";
  const auto link = running.link("lo");
  ASSERT_TRUE(link);
  EXPECT_FALSE(link->is_ethernet);
  EXPECT_GT(link->index, 0U);
  const auto details = running.details(link->index);
  ASSERT_TRUE(details) << details.error();
  EXPECT_EQ(details->xdp_program, 0U);
  const auto offloads = running.offloads("lo");
  ASSERT_TRUE(offloads) << offloads.error();
  EXPECT_GT(offloads->size(), 10U);
  EXPECT_FALSE(running.ring_sizes("lo"));
  EXPECT_EQ(running.link("no-such-one").error(), ENODEV);
  EXPECT_EQ(running.link(std::string(64, 'x')).error(), ENODEV);
  EXPECT_EQ(running.driver("").error(), ENODEV);
  const Machine real("", running);
  EXPECT_TRUE(real.version());
  constexpr KernelVersion kTells{6, 3};
  EXPECT_TRUE(real.version() < kTells || running.xdp_features(link->index));
}

}  // namespace
}  // namespace ringplane::doctor
