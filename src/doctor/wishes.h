// What ringplane is to do on this machine, as far as it matters here: the configuration, without its form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/numa.h"

namespace ringplane::doctor {

struct PortWish {
  std::string name{};       ///< for people
  std::string interface{};  ///< as the kernel calls it; of a DPDK port: the device, without its arguments
  bool is_dpdk = false;
  bool native_only = false;   ///< mode = "native"
  bool generic_only = false;  ///< mode = "generic"
  bool zero_copy = true;
  bool is_required = true;  ///< somebody named it: that it is down matters
};

/// A piece of memory that is taken at the start.
struct MemoryWish {
  std::uint64_t bytes = 0;
  int node = base::kAnyNode;
};

struct Wishes {
  std::vector<PortWish> ports{};
  std::vector<std::pair<std::size_t, std::size_t>> bridges{};  ///< indices into `ports`
  std::uint32_t workers = 0;                                   ///< 0: nobody said
  std::vector<std::uint32_t> cpus{};                           ///< of the workers; empty: not pinned
  bool never_sleeps = false;
  std::vector<MemoryWish> memory{};  ///< empty: nobody said
  bool huge_pages = true;
  std::uint64_t frames_bytes = 0;   ///< that the kernel pins
  std::uint32_t largest_mtu = 0;    ///< that a frame holds
  std::uint32_t larger_frames = 0;  ///< memory.frame_bytes for a larger MTU; 0: there are none
};

}  // namespace ringplane::doctor
