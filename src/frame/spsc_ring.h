// SpscRing: fixed circular array of slots with one producer thread and one consumer thread (Lamport 1983, with cached
// opposite indices so that an index cache line crosses cores only when a side runs out). Full: push takes fewer.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace ringplane::frame {

template <class Slot>
class SpscRing {
  static_assert(std::is_trivially_copyable_v<Slot>);

 public:
  /// Room for at least `slots` entries (rounded up to a power of two).
  explicit SpscRing(std::uint32_t slots)
      : mask_(std::bit_ceil(slots) - 1), slots_(std::make_unique<Slot[]>(std::size_t{mask_} + 1)) {}

  [[nodiscard]] std::uint32_t capacity() const noexcept { return mask_ + 1; }

  /// Producer only. Copies the first n of `from` into the ring; returns n.
  [[nodiscard]] std::uint32_t push(std::span<const Slot> from) noexcept {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (capacity() - (tail - cached_head_) < from.size()) cached_head_ = head_.load(std::memory_order_acquire);
    const std::uint32_t space = capacity() - (tail - cached_head_);
    const std::uint32_t count = from.size() < space ? static_cast<std::uint32_t>(from.size()) : space;
    for (std::uint32_t i = 0; i < count; ++i) slots_[(tail + i) & mask_] = from[i];
    tail_.store(tail + count, std::memory_order_release);
    return count;
  }
  [[nodiscard]] bool push(const Slot& slot) noexcept { return push(std::span<const Slot>(&slot, 1)) == 1; }

  /// Consumer only. Moves up to into.size() entries out; returns how many.
  [[nodiscard]] std::uint32_t pop(std::span<Slot> into) noexcept {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    if (cached_tail_ - head < into.size()) cached_tail_ = tail_.load(std::memory_order_acquire);
    const std::uint32_t ready = cached_tail_ - head;
    const std::uint32_t count = into.size() < ready ? static_cast<std::uint32_t>(into.size()) : ready;
    for (std::uint32_t i = 0; i < count; ++i) into[i] = slots_[(head + i) & mask_];
    head_.store(head + count, std::memory_order_release);
    return count;
  }
  [[nodiscard]] bool pop(Slot& slot) noexcept { return pop(std::span<Slot>(&slot, 1)) == 1; }

  /// Either side; a moment old for the other one.
  [[nodiscard]] std::uint32_t size() const noexcept {
    return tail_.load(std::memory_order_acquire) - head_.load(std::memory_order_acquire);
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

 private:
  static constexpr std::size_t kCacheLine = 64;
  const std::uint32_t mask_;
  const std::unique_ptr<Slot[]> slots_;
  alignas(kCacheLine) std::atomic<std::uint32_t> tail_{0};
  std::uint32_t cached_head_ = 0;
  alignas(kCacheLine) std::atomic<std::uint32_t> head_{0};
  std::uint32_t cached_tail_ = 0;
};

}  // namespace ringplane::frame
