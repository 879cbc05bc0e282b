// NUMA: nodes out of a tree as sysfs has it, and the real system calls on the node that every machine has.
#include "base/numa.h"

#include <sched.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/mapped_memory.h"
#include "base/memory_file.h"

namespace ringplane::base {
namespace {

/// A folder with files, gone with the object.
class Tree {
 public:
  Tree() {
    std::string pattern = ::testing::TempDir() + "/ringplane-numa-XXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~Tree() { std::filesystem::remove_all(root_); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  void file(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  [[nodiscard]] std::string path(const std::string& of = "") const { return (root_ / of).string(); }

 private:
  std::filesystem::path root_;
};

TEST(NumaNodes, AreReadFromSysfs) {
  const Tree tree;
  tree.file("online", "0,2-3\n");
  tree.file("node0/cpulist", "0-3,8\n");
  tree.file("node2/cpulist", "4-7,9-10\n");
  tree.file("node3/cpulist", "\n");  // memory alone
  const NumaNodes nodes = NumaNodes::read(tree.path());
  EXPECT_EQ(nodes.count(), 3U);
  for (const std::uint32_t cpu : {0U, 3U, 8U}) EXPECT_EQ(nodes.node_of_cpu(cpu), 0);
  for (const std::uint32_t cpu : {4U, 7U, 9U, 10U}) EXPECT_EQ(nodes.node_of_cpu(cpu), 2);
  EXPECT_EQ(nodes.node_of_cpu(11), kAnyNode);
}

TEST(NumaNodes, AreOneWhereTheKernelKnowsNone) {
  const Tree tree;
  EXPECT_EQ(NumaNodes::read(tree.path()).count(), 1U);
  EXPECT_EQ(NumaNodes::read(tree.path()).node_of_cpu(0), kAnyNode);
  tree.file("online", "0-nonsense");
  EXPECT_EQ(NumaNodes::read(tree.path()).count(), 1U);
  tree.file("online", "4000000000-4000000001");
  EXPECT_EQ(NumaNodes::read(tree.path()).count(), 1U);
}

TEST(NumaNodes, OfThisMachineHaveItsProcessors) {
  const NumaNodes nodes = NumaNodes::read();
  if (!std::filesystem::exists("/sys/devices/system/node/online")) GTEST_SKIP() << "a kernel without NUMA";
  EXPECT_NE(nodes.node_of_cpu(static_cast<std::uint32_t>(sched_getcpu())), kAnyNode);
}

TEST(NumaNodes, OfADeviceMayBeNone) {
  const Tree tree;
  tree.file("near", "1\n");
  tree.file("nowhere", "-1\n");
  tree.file("nonsense", "x\n");
  EXPECT_EQ(read_node(tree.path("near")), 1);
  for (const char* name : {"nowhere", "nonsense", "missing"}) EXPECT_EQ(read_node(tree.path(name)), kAnyNode);
}

/// Node of this machine that has memory and processors.
int some_node() {
  return NumaNodes::read().node_of_cpu(static_cast<std::uint32_t>(sched_getcpu()));
}

class Calls : public ::testing::Test {
 protected:
  void SetUp() override {
    if (some_node() == kAnyNode) GTEST_SKIP() << "a kernel without NUMA";
  }
};

TEST_F(Calls, PutPagesOfSharesOnTheirNodes) {
  constexpr std::uint64_t kShareBytes = 3 << 20;  // ends in the middle of a huge page
  const std::vector<int> nodes{some_node(), kAnyNode, some_node()};
  for (const bool huge : {false, true}) {
    const auto file = make_memory_file(3 * kShareBytes, huge, "the test", "ask for less", nodes, kShareBytes);
    ASSERT_TRUE(file) << file.error().message;
    struct stat about{};
    ASSERT_EQ(fstat(file->get(), &about), 0);
    EXPECT_GE(static_cast<std::uint64_t>(about.st_blocks) * 512, 3 * kShareBytes) << "all pages are taken";
    auto memory = MappedMemory::map_file(file->get(), 3 * kShareBytes, huge, "the test", "ask for less");
    ASSERT_TRUE(memory) << memory.error().message;
    const auto bytes = memory->take<std::byte>(3 * kShareBytes);
    EXPECT_EQ(nodes_of(bytes), std::to_string(some_node())) << "which on a machine with one node is where all are";
    EXPECT_EQ(nodes_of(memory->used()), nodes_of(bytes));
    EXPECT_EQ(bytes[kShareBytes], std::byte{0});
  }
}

TEST_F(Calls, TakeMemoryFromElsewhereWhereANodeIsNotThere) {
  const std::vector<int> nodes{1023, 1'000'000};
  const auto file = make_memory_file(8 << 20, false, "the test", "ask for less", nodes, 4 << 20);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(PreferNode(1023).refusal(), "the kernel does not take memory from NUMA node 1023 (Invalid argument)");
  EXPECT_EQ(PreferNode(1'000'000).refusal(),
            "the kernel does not take memory from NUMA node 1000000 (Invalid argument)");
  EXPECT_EQ(PreferNode(kAnyNode).refusal(), "");
  EXPECT_EQ(PreferNode(some_node()).refusal(), "");
}

TEST_F(Calls, TellNothingOfMemoryThatNobodyHasTouched) {
  const auto memory = MappedMemory::map(1 << 20, false, false, "the test", "ask for less");
  ASSERT_TRUE(memory);
  EXPECT_EQ(nodes_of({memory->data(), 1 << 20}), "");
}

/// The policy that this thread allocates by, out of numa_maps of a fresh mapping.
std::string policy_of_fresh_memory() {
  void* at = mmap(nullptr, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char address[32];
  std::snprintf(address, sizeof address, "%lx", reinterpret_cast<unsigned long>(at));
  std::string policy = "none";
  std::ifstream maps("/proc/thread-self/numa_maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.starts_with(address))
      policy = line.substr(line.find(' ') + 1).substr(0, line.find(' ', 20) - line.find(' ') - 1);
  }
  munmap(at, 1 << 16);
  return policy;
}

TEST_F(Calls, ThreadsPreferANodeForAWhile) {
  if (policy_of_fresh_memory() == "none") GTEST_SKIP() << "a kernel without numa_maps";
  const std::string before = policy_of_fresh_memory();
  {
    const PreferNode prefer(some_node());
    EXPECT_TRUE(policy_of_fresh_memory().starts_with("prefer")) << policy_of_fresh_memory();
    {
      const PreferNode nothing(kAnyNode);
      const PreferNode again(some_node());
    }
    EXPECT_TRUE(policy_of_fresh_memory().starts_with("prefer"));
  }
  EXPECT_EQ(policy_of_fresh_memory(), before);
  const PreferNode missing(1023);
  EXPECT_EQ(policy_of_fresh_memory(), before) << "a node that is not there is not asked for";
}

}  // namespace
}  // namespace ringplane::base
