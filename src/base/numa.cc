#include "base/numa.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <linux/mempolicy.h>
#include <sys/syscall.h>

namespace ringplane::base {
namespace {

constexpr std::size_t kSamples = 256;

std::string read_line(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return "";
  std::array<char, 4096> line{};
  const bool any = std::fgets(line.data(), line.size(), file) != nullptr;
  std::fclose(file);
  return any ? std::string(line.data(), std::strcspn(line.data(), "\n")) : "";
}

bool is_node(int node) noexcept {
  return node >= 0 && node < NodeMask::kMostNodes;
}

}  // namespace

std::vector<std::uint32_t> numbers_of(std::string_view list) {
  constexpr std::uint32_t kMost = 1U << 16;
  std::vector<std::uint32_t> numbers;
  const char* at = list.data();
  const char* end = at + list.size();
  while (at != end) {
    std::uint32_t first = 0;
    auto read = std::from_chars(at, end, first);
    if (read.ec != std::errc()) return {};
    std::uint32_t last = first;
    if (read.ptr != end && *read.ptr == '-') {
      read = std::from_chars(read.ptr + 1, end, last);
      if (read.ec != std::errc()) return {};
    }
    if (last < first || last >= kMost) return {};
    for (std::uint32_t number = first; number <= last; ++number) numbers.push_back(number);
    at = read.ptr;
    if (at != end && *at++ != ',') return {};
  }
  return numbers;
}

NumaNodes NumaNodes::read(const std::string& folder) {
  NumaNodes found;
  for (const std::uint32_t number : numbers_of(read_line(folder + "/online"))) {
    if (!is_node(static_cast<int>(number))) continue;
    found.nodes_.push_back({.number = static_cast<int>(number),
                            .cpus = numbers_of(read_line(folder + "/node" + std::to_string(number) + "/cpulist"))});
  }
  return found;
}

int NumaNodes::node_of_cpu(std::uint32_t cpu) const noexcept {
  const auto node = std::ranges::find_if(
      nodes_, [cpu](const Node& each) { return std::ranges::find(each.cpus, cpu) != each.cpus.end(); });
  return node == nodes_.end() ? kAnyNode : node->number;
}

int read_node(const std::string& path) {
  const std::string line = read_line(path);
  int node = kAnyNode;
  const auto read = std::from_chars(line.data(), line.data() + line.size(), node);
  return read.ec == std::errc() && is_node(node) ? node : kAnyNode;
}

std::string nodes_of(std::span<const std::byte> memory) {
  const auto page_bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t pages = memory.size() / page_bytes;
  const std::size_t count = std::min(pages, kSamples);
  std::array<const void*, kSamples> addresses{};
  std::array<int, kSamples> nodes{};
  for (std::size_t i = 0; i < count; ++i) addresses[i] = memory.data() + i * pages / count * page_bytes;
  if (count == 0 || syscall(SYS_move_pages, 0, count, addresses.data(), nullptr, nodes.data(), 0) != 0) return "";
  const std::set<int> distinct(nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(count));
  std::string text;
  for (const int node : distinct) {
    if (node >= 0) text += (text.empty() ? "" : "+") + std::to_string(node);  // below 0: not touched
  }
  return text;
}

PreferNode::PreferNode(int node) noexcept : node_(node) {
  if (node == kAnyNode) return;
  const bool done =
      is_node(node) &&
      syscall(SYS_get_mempolicy, &mode_before_, nodes_before_.words(), NodeMask::kBits, nullptr, 0UL) == 0 &&
      syscall(SYS_set_mempolicy, MPOL_PREFERRED, NodeMask(node).words(), NodeMask::kBits) == 0;
  if (!done) error_ = is_node(node) ? errno : EINVAL;
}

PreferNode::~PreferNode() {
  if (node_ == kAnyNode || error_ != 0) return;
  syscall(SYS_set_mempolicy, mode_before_, nodes_before_.words(), NodeMask::kBits);
}

std::string PreferNode::refusal() const {
  if (error_ == 0) return "";
  return "the kernel does not take memory from NUMA node " + std::to_string(node_) + " (" + std::strerror(error_) + ")";
}

}  // namespace ringplane::base
