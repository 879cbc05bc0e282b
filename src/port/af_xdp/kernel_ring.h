// KernelRing: our end of one ring that the kernel shares with us by mmap (RX, TX, fill, completion). We are its only
// producer or only consumer; the kernel is the other side, so indices are read with acquire and published with release
// (Documentation/networking/af_xdp.rst). Indices run freely and are masked on use. They live in the mapping, so a ring
// that another process has driven goes on where that one stopped. One thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <linux/if_xdp.h>

namespace ringplane::port {

/// Where the parts of a ring lie in its mapping; owned by XdpSocket.
struct KernelRingMap {
  std::uint8_t* base = nullptr;
  std::size_t bytes = 0;
  xdp_ring_offset offset{};
  std::uint32_t slots = 0;

  [[nodiscard]] std::uint32_t& word(std::uint64_t at) const noexcept {
    return *reinterpret_cast<std::uint32_t*>(base + at);
  }
};

template <class Slot>
class ProducerRing {
 public:
  ProducerRing() noexcept = default;
  explicit ProducerRing(const KernelRingMap& map) noexcept
      : producer_(&map.word(map.offset.producer)),
        consumer_(&map.word(map.offset.consumer)),
        flags_(&map.word(map.offset.flags)),
        slot_(reinterpret_cast<Slot*>(map.base + map.offset.desc)),
        mask_(map.slots - 1),
        next_(std::atomic_ref(*producer_).load(std::memory_order_acquire)),
        seen_consumer_(std::atomic_ref(*consumer_).load(std::memory_order_acquire)) {}

  /// Slots that may be written now; looks at the kernel's index only if fewer than `wanted` are known to be free.
  [[nodiscard]] std::uint32_t space(std::uint32_t wanted) noexcept {
    if (known_space() < wanted) seen_consumer_ = std::atomic_ref(*consumer_).load(std::memory_order_acquire);
    return known_space();
  }
  /// The i-th of the free slots.
  [[nodiscard]] Slot& slot(std::uint32_t i) noexcept { return slot_[(next_ + i) & mask_]; }
  /// Hands the first `count` free slots, written before, to the kernel.
  void submit(std::uint32_t count) noexcept {
    next_ += count;
    std::atomic_ref(*producer_).store(next_, std::memory_order_release);
  }
  [[nodiscard]] std::uint32_t slots() const noexcept { return mask_ + 1; }
  /// Slots that were ever handed to the kernel, modulo 2^32: the index of the next one.
  [[nodiscard]] std::uint32_t submitted() const noexcept { return next_; }
  /// Slots that the kernel has not taken yet.
  [[nodiscard]] std::uint32_t pending() noexcept {
    seen_consumer_ = std::atomic_ref(*consumer_).load(std::memory_order_acquire);
    return next_ - seen_consumer_;
  }
  /// The kernel sleeps and wants a system call to go on (XDP_USE_NEED_WAKEUP).
  [[nodiscard]] bool needs_wakeup() const noexcept {
    return (std::atomic_ref(*flags_).load(std::memory_order_relaxed) & XDP_RING_NEED_WAKEUP) != 0;
  }

 private:
  [[nodiscard]] std::uint32_t known_space() const noexcept { return mask_ + 1 - (next_ - seen_consumer_); }

  std::uint32_t* producer_ = nullptr;
  std::uint32_t* consumer_ = nullptr;
  std::uint32_t* flags_ = nullptr;
  Slot* slot_ = nullptr;
  std::uint32_t mask_ = 0;
  std::uint32_t next_ = 0;
  std::uint32_t seen_consumer_ = 0;
};

template <class Slot>
class ConsumerRing {
 public:
  ConsumerRing() noexcept = default;
  explicit ConsumerRing(const KernelRingMap& map) noexcept
      : producer_(&map.word(map.offset.producer)),
        consumer_(&map.word(map.offset.consumer)),
        slot_(reinterpret_cast<const Slot*>(map.base + map.offset.desc)),
        mask_(map.slots - 1),
        next_(std::atomic_ref(*consumer_).load(std::memory_order_acquire)),
        seen_producer_(next_) {}

  /// Slots that may be read now; looks at the kernel's index only if fewer than `wanted` are known to be filled.
  [[nodiscard]] std::uint32_t ready(std::uint32_t wanted) noexcept {
    if (seen_producer_ - next_ < wanted) seen_producer_ = std::atomic_ref(*producer_).load(std::memory_order_acquire);
    return seen_producer_ - next_;
  }
  /// Slots that were ever given back to the kernel, modulo 2^32: the index of the next one.
  [[nodiscard]] std::uint32_t released() const noexcept { return next_; }
  /// The i-th of the filled slots.
  [[nodiscard]] const Slot& slot(std::uint32_t i) const noexcept { return slot_[(next_ + i) & mask_]; }
  /// Gives the first `count` filled slots back to the kernel.
  void release(std::uint32_t count) noexcept {
    next_ += count;
    std::atomic_ref(*consumer_).store(next_, std::memory_order_release);
  }

 private:
  std::uint32_t* producer_ = nullptr;
  std::uint32_t* consumer_ = nullptr;
  const Slot* slot_ = nullptr;
  std::uint32_t mask_ = 0;
  std::uint32_t next_ = 0;
  std::uint32_t seen_producer_ = 0;
};

}  // namespace ringplane::port
