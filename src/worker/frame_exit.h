// FrameExit: every way a frame leaves a worker. Sent by one of its queues, handed over to the worker that owns its
// flow, or released to the pool it came from, here or at another worker. Nothing else in the worker gives frames away,
// so this is where "one owner, none lost, none doubled" is kept. Owner thread only.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/port.h"
#include "worker/mailbox.h"
#include "worker/worker_counters.h"

namespace ringplane::worker {

class FrameExit {
 public:
  /// All outlive the exit. `mailboxes` are those of all workers by WorkerId; frame i of the arena is of the pool of
  /// worker i / frames_per_worker.
  FrameExit(base::WorkerId self, const frame::Arena& arena, frame::FramePool& pool, std::uint32_t frames_per_worker,
            const std::vector<std::unique_ptr<Mailbox>>& mailboxes, WorkerCounters& counters);

  /// Before the worker runs.
  void attach(base::PortId port, std::unique_ptr<port::Queue> queue);
  /// Any thread. Bit i: the link of port i is down; what would leave there is dropped (egress_down) rather than kept
  /// until the link is back and nobody waits for it any more.
  void set_ports_down(std::uint64_t ports) noexcept { ports_down_.store(ports, std::memory_order_relaxed); }
  /// nullptr: the worker has no queue there.
  [[nodiscard]] port::Queue* queue(base::PortId port) const noexcept { return queues_[port.value].get(); }

  /// Takes the frame; it leaves by `port` at the next flush() or earlier. If it cannot, it is counted as dropped
  /// (tx_ring_full, egress_down, no_egress) and released.
  void send(base::PortId port, const frame::Frame& frame) noexcept {
    if (!port.valid() || waiting_[port.value] == nullptr) [[unlikely]] {
      refuse(frame);
      return;
    }
    frame::Burst& waiting = *waiting_[port.value];
    if (waiting.space() == 0) transmit_waiting(port);
    waiting.push(frame);
  }
  /// The same for all of `frames`, in their order.
  void send(base::PortId port, std::span<const frame::Frame> frames) noexcept;
  /// Takes the frame if the mailbox of `owner` has room; else returns false and the caller keeps it.
  [[nodiscard]] bool hand_over(base::WorkerId owner, const frame::Frame& frame) noexcept;
  /// Takes the buffer that holds `address`.
  void release(std::uint64_t address) noexcept;

  /// Once a turn: transmits what waits, flushes the queues, mails foreign frames home, wakes who got mail.
  void flush() noexcept;
  /// After the worker's thread has ended: closes the queues and gives every frame to `pools[owner]`.
  void close(const std::vector<frame::FramePool*>& pools) noexcept;
  /// The worker whose pool the buffer at `address` belongs to.
  [[nodiscard]] std::uint32_t owner_of(std::uint64_t address) const noexcept {
    return static_cast<std::uint32_t>(address / arena_->frame_bytes()) / frames_per_worker_;
  }

 private:
  void refuse(const frame::Frame& frame) noexcept;
  void transmit_waiting(base::PortId port) noexcept;
  void transmit(base::PortId port, std::span<const frame::Frame> frames) noexcept;
  void send_home() noexcept;

  base::WorkerId self_;
  const frame::Arena* arena_;
  frame::FramePool* pool_;
  std::uint32_t frames_per_worker_;
  const std::vector<std::unique_ptr<Mailbox>>* mailboxes_;
  WorkerCounters* counters_;
  std::array<std::unique_ptr<port::Queue>, base::kMaxPorts> queues_;
  std::array<std::unique_ptr<frame::Burst>, base::kMaxPorts> waiting_;  // beside each queue: to be sent
  std::vector<std::uint64_t> homesick_;  // of other pools, their mailbox was full; capacity: every frame of the arena
  std::atomic<std::uint64_t> ports_down_{0};
  std::uint64_t has_mail_ = 0;  // bit w: worker w got something since the last flush
};

}  // namespace ringplane::worker
