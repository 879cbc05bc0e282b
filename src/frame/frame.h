// Frame and Burst: descriptors, not bytes. A Frame names one buffer of an Arena and the bytes of it that are a packet.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <span>

#include "base/ids.h"

namespace ringplane::frame {

/// One buffer with its bytes as the NIC sees them (no FCS). Exactly one owner at a time: a NIC ring, a worker, or a
/// pool; copying the descriptor does not copy ownership.
struct Frame {
  std::uint64_t address = 0;  ///< of the first packet byte, from the start of the arena
  std::uint32_t length = 0;   ///< bytes of the packet
  base::PortId port = {};     ///< where it was received
  std::uint8_t marks = 0;     ///< what the NIC found out about it: kBadChecksum
  std::uint8_t reserved[2]{};
};
static_assert(sizeof(Frame) == 16);
/// Frame::marks: the NIC has found the TCP or UDP checksum to be wrong.
inline constexpr std::uint8_t kBadChecksum = 1;

/// Frames that are handled together: at most 64, so that a set of them is one 64-bit word.
class Burst {
 public:
  static constexpr std::uint32_t kCapacity = 64;

  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t space() const noexcept { return kCapacity - size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  /// space() > 0.
  void push(const Frame& frame) noexcept {
    assert(size_ < kCapacity);
    frames_[size_++] = frame;
  }
  /// Slots behind the last frame, to be filled from the first on; then grow() by how many were filled.
  [[nodiscard]] std::span<Frame> room() noexcept { return {frames_.data() + size_, space()}; }
  void grow(std::uint32_t count) noexcept {
    assert(count <= space());
    size_ += count;
  }
  void clear() noexcept { size_ = 0; }
  [[nodiscard]] Frame& operator[](std::uint32_t index) noexcept { return frames_[index]; }
  [[nodiscard]] const Frame& operator[](std::uint32_t index) const noexcept { return frames_[index]; }
  [[nodiscard]] std::span<Frame> frames() noexcept { return {frames_.data(), size_}; }
  [[nodiscard]] std::span<const Frame> frames() const noexcept { return {frames_.data(), size_}; }

 private:
  std::uint32_t size_ = 0;
  std::array<Frame, kCapacity> frames_;
};

}  // namespace ringplane::frame
