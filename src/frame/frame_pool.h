// FramePool: one worker's free frames, a stack (the hottest frame first). Each pool is born with a contiguous range of
// the arena; a frame that ends its life at another worker is sent home through the mailbox, so pools never drain into
// each other, and at stop every pool holds exactly what it was born with.
// Owner thread only. Full cannot happen: the pool takes only its own range.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "frame/arena.h"
#include "frame/frame.h"

namespace ringplane::frame {

/// Buffers lie at multiples of 2048, so equal offsets in them would share few sets of a cache; by so many bytes further
/// back the packets of neighbours begin. At most kMostColourBytes.
[[nodiscard]] constexpr std::uint64_t colour_bytes(std::uint64_t start) noexcept {
  return ((start >> 11) & 3) * 64;
}
inline constexpr std::uint64_t kMostColourBytes = 192;

class FramePool {
 public:
  /// Owns frames [first, first + count) of `arena`, which outlives the pool.
  FramePool(const Arena& arena, std::uint32_t first, std::uint32_t count);
  /// Before the first frame is taken: those for which held(address) holds are somewhere else already.
  template <class Held>
  void leave_out(Held&& held) noexcept {
    const std::uint32_t all = std::exchange(free_count_, 0);
    for (std::uint32_t i = 0; i < all; ++i) {
      if (!held(free_[i])) free_[free_count_++] = free_[i];
    }
  }

  /// A buffer's start address + headroom, or kNone when there are none left.
  [[nodiscard]] std::uint64_t take() noexcept { return free_count_ == 0 ? kNone : coloured(free_[--free_count_]); }
  /// Takes up to `wanted` buffer addresses (with headroom) into `out`; returns how many.
  [[nodiscard]] std::uint32_t take(std::uint64_t* out, std::uint32_t wanted) noexcept;
  /// Gives back the buffer that holds `address`; it must be one of this pool's range.
  void give(std::uint64_t address) noexcept;
  [[nodiscard]] bool owns(std::uint64_t address) const noexcept { return address - range_start_ < range_bytes_; }

  [[nodiscard]] std::uint32_t free_count() const noexcept { return free_count_; }
  [[nodiscard]] std::uint32_t total() const noexcept { return total_; }
  /// Address of the first byte of its range.
  [[nodiscard]] std::uint64_t range_start() const noexcept { return range_start_; }

  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

 private:
  [[nodiscard]] static std::uint64_t coloured(std::uint64_t start) noexcept {
    return start + kHeadroomBytes + colour_bytes(start);
  }
  const Arena* arena_;
  std::unique_ptr<std::uint64_t[]> free_;
  std::uint64_t range_start_;
  std::uint64_t range_bytes_;
  std::uint32_t free_count_ = 0;
  std::uint32_t total_;
};

}  // namespace ringplane::frame
