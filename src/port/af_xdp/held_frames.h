// HeldFrames: which frames of the arena the kernel holds for one queue. The kernel keeps addresses in rings and, in
// zero-copy mode, inside its driver, where nobody can look; so the queue keeps its own books, one bit for each frame,
// and closing returns exactly what is written there. The bits lie where the caller says. Owner thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "frame/arena.h"

namespace ringplane::port {

class HeldFrames {
 public:
  /// `bits`: one for each frame of the arena, rounded up to whole words.
  HeldFrames(const frame::Arena& arena, std::span<std::uint64_t> bits) noexcept
      : bits_(bits), frame_shift_(std::countr_zero(arena.frame_bytes())) {}

  void add(std::uint64_t address) noexcept { word(address) |= bit(address); }
  void remove(std::uint64_t address) noexcept { word(address) &= ~bit(address); }
  [[nodiscard]] std::uint32_t count() const noexcept {
    std::uint32_t count = 0;
    for (const std::uint64_t word : bits_) count += static_cast<std::uint32_t>(std::popcount(word));
    return count;
  }
  [[nodiscard]] bool contains(std::uint64_t address) const noexcept {
    const std::uint64_t frame = address >> frame_shift_;
    return frame / 64 < bits_.size() && (bits_[frame / 64] & bit(address)) != 0;
  }

  /// Calls give(address) for each frame held, and holds none afterwards.
  template <class Give>
  void drain(Give give) noexcept {
    for (std::size_t i = 0; i < bits_.size(); ++i) {
      for (; bits_[i] != 0; bits_[i] &= bits_[i] - 1) {
        const std::uint64_t frame = i * 64 + static_cast<std::uint64_t>(std::countr_zero(bits_[i]));
        give(frame << frame_shift_);
      }
    }
  }

 private:
  [[nodiscard]] std::uint64_t& word(std::uint64_t address) noexcept { return bits_[(address >> frame_shift_) / 64]; }
  [[nodiscard]] std::uint64_t bit(std::uint64_t address) const noexcept {
    return std::uint64_t{1} << ((address >> frame_shift_) % 64);
  }

  std::span<std::uint64_t> bits_;
  int frame_shift_;
};

}  // namespace ringplane::port
