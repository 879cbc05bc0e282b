// Arena: the memory of all frames, taken once at start. Huge pages when some are reserved, else transparent huge
// pages, else plain pages; `pages()` says which it got. All workers and ports of one process share one arena, so a
// frame moves between ports as a descriptor and its bytes stay where the NIC put them.
#pragma once

#include <cstdint>
#include <span>

#include "base/mapped_memory.h"
#include "base/result.h"
#include "frame/frame.h"

namespace ringplane::frame {

struct ArenaOptions {
  std::uint32_t frame_count = 16384;
  std::uint32_t frame_bytes = 2048;  ///< 2048 or 4096 (what AF_XDP's aligned mode takes)
  bool huge_pages = true;            ///< try reserved huge pages first
  int memory_file = -1;              ///< the memory to use (base/memory_file.h), else the arena takes its own

  [[nodiscard]] std::uint64_t bytes() const noexcept { return std::uint64_t{frame_count} * frame_bytes; }
};

class Arena {
 public:
  /// Maps and touches the memory. Fails with a sentence when there is too little.
  [[nodiscard]] static base::Result<Arena> create(const ArenaOptions& options);
  [[nodiscard]] std::uint8_t* base() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return std::uint64_t{frame_count_} * frame_bytes_; }
  [[nodiscard]] std::uint32_t frame_count() const noexcept { return frame_count_; }
  [[nodiscard]] std::uint32_t frame_bytes() const noexcept { return frame_bytes_; }
  [[nodiscard]] base::PageKind pages() const noexcept { return memory_.pages(); }

  /// The packet's bytes.
  [[nodiscard]] std::span<std::uint8_t> data(const Frame& frame) const noexcept {
    return {base_ + frame.address, frame.length};
  }
  /// Address of the first byte of the buffer that holds `address`.
  [[nodiscard]] std::uint64_t buffer_start(std::uint64_t address) const noexcept {
    return address & ~(std::uint64_t{frame_bytes_} - 1);
  }
  /// Bytes that the packet at `frame.address` may grow to.
  [[nodiscard]] std::uint32_t room(const Frame& frame) const noexcept {
    return static_cast<std::uint32_t>(buffer_start(frame.address) + frame_bytes_ - frame.address);
  }

 private:
  Arena(base::MappedMemory memory, const ArenaOptions& options) noexcept;

  base::MappedMemory memory_;
  std::uint8_t* base_;
  std::uint32_t frame_count_;
  std::uint32_t frame_bytes_;
};

/// Bytes kept free in front of a received packet (what XDP reserves too), for headers that grow.
inline constexpr std::uint32_t kHeadroomBytes = 256;

}  // namespace ringplane::frame
