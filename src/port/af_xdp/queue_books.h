// QueueBooks: what a queue has given to the kernel and what it has counted, so that whoever drives the socket next can
// go on: after the process of this one has died at any instruction, settle() says which frames the kernel holds. They
// lie in memory that outlives the process. Owner thread; the counters may be read by any.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include <linux/if_xdp.h>

#include "base/mapped_memory.h"
#include "frame/arena.h"
#include "port/af_xdp/held_frames.h"
#include "port/af_xdp/kernel_ring.h"
#include "port/af_xdp/xdp_socket.h"
#include "port/port.h"

namespace ringplane::port {

class QueueBooks {
 public:
  /// Of the memory, for one queue.
  [[nodiscard]] static std::uint64_t bytes_for(const frame::Arena& arena) noexcept {
    return base::MappedMemory::bytes_for<Page>(1) + base::MappedMemory::bytes_for<std::uint64_t>(words_for(arena));
  }
  /// The next ones of `memory`, as they are there; zeros are books in which nothing is written.
  QueueBooks(base::MappedMemory& memory, const frame::Arena& arena) noexcept
      : page_(memory.take<Page>(1).data()), held_(arena, memory.take<std::uint64_t>(words_for(arena))) {}

  [[nodiscard]] QueueCounters& counters() noexcept { return page_->counters; }
  [[nodiscard]] HeldFrames& held() noexcept { return held_; }
  [[nodiscard]] const HeldFrames& held() const noexcept { return held_; }

  /// Before frames of the next `count` slots of a ring are noted in held(): if nothing more is heard of this, they were
  /// never submitted.
  template <class Slot>
  void announce(const ProducerRing<Slot>& ring, std::uint32_t count) noexcept {
    Intent& intent = intent_of(ring);
    intent.first = ring.submitted();
    std::atomic_ref(intent.count).store(count, std::memory_order_release);
  }

  /// Brings held() up to what the rings of the socket say. Before the first use of a socket that may have been driven.
  void settle(XdpSocket& socket) noexcept {
    withdraw(socket.fill, [](std::uint64_t slot) noexcept { return slot; });
    withdraw(socket.tx, [](const xdp_desc& slot) noexcept { return slot.addr; });
    // What was read from a ring but not released is read again.
    const std::uint32_t received = socket.rx.ready(~0U);
    for (std::uint32_t i = 0; i < received; ++i) held_.add(socket.rx.slot(i).addr);
    const std::uint32_t completed = socket.completion.ready(~0U);
    for (std::uint32_t i = 0; i < completed; ++i) held_.add(socket.completion.slot(i));
  }

 private:
  struct Intent {
    std::uint32_t first = 0;  ///< index of the ring's first slot that is being filled
    std::uint32_t count = 0;
  };
  struct Page {
    QueueCounters counters;
    Intent fill;
    Intent transmit;
  };
  [[nodiscard]] static std::uint64_t words_for(const frame::Arena& arena) noexcept {
    return (arena.frame_count() + 63ULL) / 64;
  }
  [[nodiscard]] Intent& intent_of(const ProducerRing<std::uint64_t>&) noexcept { return page_->fill; }
  [[nodiscard]] Intent& intent_of(const ProducerRing<xdp_desc>&) noexcept { return page_->transmit; }

  template <class Slot, class AddressOf>
  void withdraw(ProducerRing<Slot>& ring, AddressOf&& address_of) noexcept {
    Intent& intent = intent_of(ring);
    if (intent.first != ring.submitted()) return;  // they were submitted after all
    for (std::uint32_t i = 0; i < std::min(intent.count, ring.slots()); ++i) held_.remove(address_of(ring.slot(i)));
    intent.count = 0;
  }

  Page* page_;
  HeldFrames held_;
};

}  // namespace ringplane::port
