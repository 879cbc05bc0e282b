#include "port/af_xdp/af_xdp_queue.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <span>
#include <utility>

#include <linux/if_xdp.h>
#include <sys/socket.h>

#include "base/ids.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/af_xdp/queue_books.h"
#include "port/af_xdp/xdp_socket.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

constexpr std::uint32_t kEthernetHeaderBytes = 14;
/// A socket fills at most this part of the pool, so that a worker with several queues has frames left to work with.
constexpr std::uint32_t kPoolShare = 4;
constexpr std::uint32_t kFlushesBetweenRetries = 64;
/// In copy mode the kernel sends at most so many frames in one call (TX_BATCH_SIZE in net/xdp/xsk.c).
constexpr std::uint32_t kFramesPerCall = 32;
constexpr std::uint32_t kSpareCalls = 8;

}  // namespace

AfXdpQueue::AfXdpQueue(XdpSocket socket, QueueBooks books, const frame::Arena& arena, frame::FramePool& pool,
                       base::PortId id, const RingSlots& slots, const std::atomic<bool>& gone)
    // Twice: flush() lets a ring's worth of foreign frames wait, and close() may bring another.
    : Queue(2 * slots.tx, &books.counters()),
      socket_(std::move(socket)),
      books_(books),
      arena_(arena),
      pool_(pool),
      id_(id),
      tx_slots_(std::min(slots.tx, slots.completion)),
      fill_target_(std::min({slots.fill, slots.rx, std::max(frame::Burst::kCapacity, pool.total() / kPoolShare)})),
      in_fill_(socket_.fill.submitted() - socket_.rx.released()),
      in_transmit_(socket_.tx.submitted() - socket_.completion.released()),
      port_gone_(gone) {
  refill();
}

std::uint32_t AfXdpQueue::receive(frame::Burst& burst) noexcept {
  if (!socket_.is_open()) return 0;
  const std::uint32_t count = std::min(socket_.rx.ready(burst.space()), burst.space());
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const xdp_desc& slot = socket_.rx.slot(i);
    burst.push({.address = slot.addr, .length = slot.len, .port = id_, .marks = 0, .reserved = {}});
    books_.held().remove(slot.addr);
    bytes += slot.len;
  }
  if (count == 0) return 0;
  socket_.rx.release(count);
  in_fill_ -= count;
  counters_.rx_packets.add(count);
  counters_.rx_bytes.add(bytes);
  return count;
}

std::uint32_t AfXdpQueue::transmit(std::span<const frame::Frame> frames) noexcept {
  std::uint32_t count = 0;
  if (alive()) {
    const auto wanted = static_cast<std::uint32_t>(frames.size());
    // The kernel drops a packet that finds no completion slot, so no more are under way than there are slots.
    const std::uint32_t space = std::min({socket_.tx.space(wanted), tx_slots_ - in_transmit_, wanted});
    std::uint64_t bytes = 0;
    for (; count < space; ++count) {
      const frame::Frame& frame = frames[count];
      if (frame.length < kEthernetHeaderBytes || frame.length > arena_.room(frame)) break;
      socket_.tx.slot(count) = {.addr = frame.address, .len = frame.length, .options = 0};
      bytes += frame.length;
    }
    books_.announce(socket_.tx, count);
    for (const frame::Frame& frame : frames.first(count)) books_.held().add(frame.address);
    socket_.tx.submit(count);
    in_transmit_ += count;
    counters_.tx_packets.add(count);
    counters_.tx_bytes.add(bytes);
  }
  counters_.tx_ring_full.add(frames.size() - count);
  return count;
}

void AfXdpQueue::flush() noexcept {
  if (!alive()) return;
  if (in_transmit_ > 0) {
    send();
    reap();
  }
  refill();
}

void AfXdpQueue::send() noexcept {
  if (flushes_to_retry_ > 0) {
    --flushes_to_retry_;
    return;
  }
  std::uint32_t pending = socket_.tx.pending();
  // In copy mode a call also ends at each packet that the device drops (no carrier), so calls are bounded: the rest
  // leaves with the next flush.
  std::uint32_t calls = pending / kFramesPerCall + kSpareCalls;
  while (pending > 0 && calls-- > 0 && socket_.tx.needs_wakeup()) {
    if (sendto(socket_.fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0) note(errno);
    if (socket_.zero_copy()) return;  // the driver goes on by itself
    const std::uint32_t left = socket_.tx.pending();
    if (left == pending) return;  // no progress: the link is down or the device is full; the next flush tries again
    pending = left;
  }
}

void AfXdpQueue::reap() noexcept {
  // Half of the foreign slots stay free for what close() brings back.
  const std::uint32_t space = foreign_space() > tx_slots_ ? foreign_space() - tx_slots_ : 0;
  const std::uint32_t count = std::min({socket_.completion.ready(in_transmit_), in_transmit_, space});
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t address = socket_.completion.slot(i);
    books_.held().remove(address);
    give_back(pool_, address);
  }
  if (count == 0) return;
  socket_.completion.release(count);
  in_transmit_ -= count;
}

void AfXdpQueue::refill() noexcept {
  // In bursts: a fill ring's index crosses to the kernel's core each time it is published.
  const std::uint32_t missing = fill_target_ - std::min(in_fill_, fill_target_);
  if (missing >= std::min(frame::Burst::kCapacity, fill_target_ / 2)) {
    const std::uint32_t wanted = std::min(missing, socket_.fill.space(missing));
    std::uint32_t count = 0;
    for (; count < wanted; ++count) {
      const std::uint64_t address = pool_.take();
      if (address == frame::FramePool::kNone) {
        counters_.rx_no_frame.add(1);
        break;
      }
      socket_.fill.slot(count) = arena_.buffer_start(address);
    }
    if (count > 0) {
      books_.announce(socket_.fill, count);
      for (std::uint32_t i = 0; i < count; ++i) books_.held().add(socket_.fill.slot(i));
      socket_.fill.submit(count);
      in_fill_ += count;
    }
  }
  if (socket_.fill.needs_wakeup()) wake_receiver();
}

void AfXdpQueue::wake_receiver() noexcept {
  if (recvfrom(socket_.fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr) < 0) note(errno);
}

void AfXdpQueue::note(int error) noexcept {
  switch (error) {
    case EAGAIN:
    case EBUSY:
    case ENOBUFS:
    case EINTR: return;  // the kernel has had enough for now
    case ENETDOWN: flushes_to_retry_ = kFlushesBetweenRetries; return;
    default: gone_ = true;  // ENXIO: the socket was unbound, because the device has been removed
  }
}

void AfXdpQueue::close() noexcept {
  if (!socket_.is_open()) return;
  socket_.close();
  books_.held().drain([this](std::uint64_t address) { give_back(pool_, address); });
  in_fill_ = 0;
  in_transmit_ = 0;
}

}  // namespace ringplane::port
