// NUMA: memory near the processors that use it, by the kernel's own calls (set_mempolicy(2), move_pages(2)). A node is
// preferred, not demanded: where it has too little memory the pages come from another one, and nodes_of() tells. Not on
// the burst path. On a machine with one node nobody needs to call any of this.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ringplane::base {

inline constexpr int kAnyNode = -1;

/// "0-3,8", as sysfs writes processors and nodes, into its numbers; what is no such list gives none.
[[nodiscard]] std::vector<std::uint32_t> numbers_of(std::string_view list);

class NumaNodes {
 public:
  /// As `folder` says, which is /sys/devices/system/node or looks like it. Nothing there to read: one node.
  [[nodiscard]] static NumaNodes read(const std::string& folder = "/sys/devices/system/node");

  [[nodiscard]] std::size_t count() const noexcept { return nodes_.empty() ? 1 : nodes_.size(); }
  /// kAnyNode: no node has this processor.
  [[nodiscard]] int node_of_cpu(std::uint32_t cpu) const noexcept;

 private:
  struct Node {
    int number = 0;
    std::vector<std::uint32_t> cpus;
  };
  std::vector<Node> nodes_;
};

/// The number in a `numa_node` file of sysfs; kAnyNode if there is none, or the device is near no node.
[[nodiscard]] int read_node(const std::string& path);

/// The nodes that the touched pages of `memory` are on, by a sample: "0", "0+1"; "" if the kernel does not say.
[[nodiscard]] std::string nodes_of(std::span<const std::byte> memory);

/// Some NUMA nodes, a bit each, as the system calls take them.
class NodeMask {
 public:
  static constexpr int kMostNodes = 1024;  ///< the kernel's own limit
  /// What the calls want to know of the length: the kernel takes one bit off.
  static constexpr unsigned long kBits = kMostNodes + 1;

  NodeMask() = default;
  explicit NodeMask(int node) noexcept {
    words_[static_cast<std::size_t>(node) / kWordBits] = 1UL << (static_cast<std::size_t>(node) % kWordBits);
  }
  [[nodiscard]] unsigned long* words() noexcept { return words_.data(); }

 private:
  static constexpr std::size_t kWordBits = sizeof(unsigned long) * 8;
  std::array<unsigned long, kMostNodes / kWordBits + 1> words_{};
};

/// While it lives, memory that the calling thread touches first comes from `node`; then whatever was set before is
/// again. kAnyNode changes nothing.
class PreferNode {
 public:
  explicit PreferNode(int node) noexcept;
  PreferNode(const PreferNode&) = delete;
  PreferNode& operator=(const PreferNode&) = delete;
  ~PreferNode();
  /// Why the kernel does not do it, a sentence without a remedy; memory comes from anywhere then. "": it does.
  [[nodiscard]] std::string refusal() const;

 private:
  int node_;
  int error_ = 0;
  int mode_before_ = 0;
  NodeMask nodes_before_;
};

}  // namespace ringplane::base
