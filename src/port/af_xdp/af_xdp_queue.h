// AfXdpQueue: one AF_XDP socket as a Queue. The life of a frame: pool -> fill ring -> RX ring -> burst, and
// burst -> TX ring -> completion ring -> pool. Whatever is between two of these is written down in QueueBooks.
//
// System calls only where the kernel asks for one (need_wakeup): one sendto a flush with something to send (in copy
// mode as many as it takes: the kernel sends at most 32 frames for each), one recvfrom when it wants the fill ring. A
// link that is down keeps its queued frames and is tried again now and then; a removed device ends the queue. Worker
// thread; opened by the control thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "base/ids.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/af_xdp/queue_books.h"
#include "port/af_xdp/xdp_socket.h"
#include "port/port.h"

namespace ringplane::port {

class AfXdpQueue final : public Queue {
 public:
  /// `books` are settled with `socket`. `gone` is set by the port when the device has been removed; it, `arena` and the
  /// memory of the books outlive the queue.
  AfXdpQueue(XdpSocket socket, QueueBooks books, const frame::Arena& arena, frame::FramePool& pool, base::PortId id,
             const RingSlots& slots, const std::atomic<bool>& gone);
  ~AfXdpQueue() override { close(); }

  std::uint32_t receive(frame::Burst& burst) noexcept override;
  /// Stops at a frame that no Ethernet can carry: shorter than its header or beyond its buffer.
  std::uint32_t transmit(std::span<const frame::Frame> frames) noexcept override;
  void flush() noexcept override;
  [[nodiscard]] int poll_descriptor() const noexcept override { return socket_.fd(); }
  [[nodiscard]] bool alive() const noexcept override {
    return socket_.is_open() && !gone_ && !port_gone_.load(std::memory_order_relaxed);
  }
  void close() noexcept override;

 private:
  void send() noexcept;
  void reap() noexcept;
  void refill() noexcept;
  void wake_receiver() noexcept;
  void note(int error) noexcept;

  XdpSocket socket_;
  QueueBooks books_;
  const frame::Arena& arena_;
  frame::FramePool& pool_;
  const base::PortId id_;
  const std::uint32_t tx_slots_;
  const std::uint32_t fill_target_;     ///< frames that wait for packets at most
  std::uint32_t in_fill_;               ///< frames given to the fill ring and not yet received
  std::uint32_t in_transmit_;           ///< frames given to the TX ring and not yet completed
  std::uint32_t flushes_to_retry_ = 0;  ///< link down: flushes until the next attempt to send
  bool gone_ = false;
  const std::atomic<bool>& port_gone_;
};

}  // namespace ringplane::port
