// The whole device contract. A Port is a NIC or a stand-in; a Queue is one RX+TX ring pair of it, owned by one worker
// and called only from that worker's thread. Virtual calls happen per burst, never per packet.
//
// Ownership: receive() hands frames to the caller; transmit() takes the first n back; flush() returns finished frames
// to the pool the queue was opened with. A finished frame of another worker's pool (it was handed over, or came through
// a pair port) waits in foreign_frames() until the worker has mailed it home.
// close() and destruction bring back every frame that is in the rings. Foreign ones are lost with the queue unless they
// are fetched between the two: at stop, after the workers' threads have ended, close() every queue, give its
// foreign_frames() to the pools that own them, then destroy it; after that each pool is whole again.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/counter.h"
#include "base/ids.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"

namespace ringplane::port {

using MacAddress = std::array<std::uint8_t, 6>;

/// Counted by the owning worker, read by anyone.
struct QueueCounters {
  base::Counter rx_packets, rx_bytes;
  base::Counter tx_packets, tx_bytes;
  base::Counter rx_no_frame;   ///< turns in which the receive ring could not be refilled: the pool was empty
  base::Counter rx_too_long;   ///< packets that a device brought in more than one frame: dropped
  base::Counter tx_ring_full;  ///< packets that transmit() did not take
};

class Queue {
 public:
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  virtual ~Queue() = default;

  /// Appends up to burst.space() received frames, `port` set; returns how many. The caller owns them.
  [[nodiscard]] virtual std::uint32_t receive(frame::Burst& burst) noexcept = 0;
  /// Queues frames[0..n) for sending and returns n; the caller keeps the rest. Nothing need leave before flush().
  [[nodiscard]] virtual std::uint32_t transmit(std::span<const frame::Frame> frames) noexcept = 0;
  /// Once a turn: makes queued frames leave, takes completions back into the pool, refills the receive ring.
  virtual void flush() noexcept = 0;

  /// A descriptor that polls readable when receive() would return frames; -1: none, the worker polls by time.
  [[nodiscard]] virtual int poll_descriptor() const noexcept { return -1; }
  /// False once the device is gone or was closed; then receive() and transmit() do nothing.
  [[nodiscard]] virtual bool alive() const noexcept { return true; }

  /// Finished frames of other pools, waiting to be mailed home; valid until the next flush(), close() or clear. While
  /// it is full, flush() leaves completions where they are.
  [[nodiscard]] std::span<const std::uint64_t> foreign_frames() const noexcept {
    return {foreign_.get(), foreign_count_};
  }
  /// The most that foreign_frames() can hold.
  [[nodiscard]] std::uint32_t foreign_slots() const noexcept { return foreign_slots_; }
  /// The caller has taken over all of foreign_frames().
  void clear_foreign_frames() noexcept { foreign_count_ = 0; }

  /// Stops the queue for good: every frame in its rings goes to the pool or to foreign_frames(). Called by the owner
  /// thread, or by any one thread after the owner's has ended. Destruction closes too.
  virtual void close() noexcept = 0;

  /// A wrapper answers with the counters of the queue it wraps.
  [[nodiscard]] virtual const QueueCounters& counters() const noexcept { return counters_; }

 protected:
  /// `foreign_slots`: the most foreign frames that can wait, including those that close() brings back.
  /// `counters`: where to count, if that is to outlive the queue.
  explicit Queue(std::uint32_t foreign_slots = 0, QueueCounters* counters = nullptr)
      : counters_(counters == nullptr ? own_counters_ : *counters),
        foreign_(std::make_unique<std::uint64_t[]>(foreign_slots)),
        foreign_slots_(foreign_slots) {}

  [[nodiscard]] std::uint32_t foreign_space() const noexcept { return foreign_slots_ - foreign_count_; }
  /// Ends a frame's way: to `pool` if it owns the frame, else to foreign_frames(), which then must have space.
  void give_back(frame::FramePool& pool, std::uint64_t address) noexcept {
    if (pool.owns(address)) {
      pool.give(address);
      return;
    }
    assert(foreign_count_ < foreign_slots_);
    foreign_[foreign_count_++] = address;
  }

  /// A wrapper takes over what waits in the queue that it wraps; its foreign_space() must have room for all.
  void take_foreign_from(frame::FramePool& pool, Queue& inner) noexcept {
    for (const std::uint64_t address : inner.foreign_frames()) give_back(pool, address);
    inner.clear_foreign_frames();
  }

  QueueCounters& counters_;

 private:
  QueueCounters own_counters_;
  std::unique_ptr<std::uint64_t[]> foreign_;
  std::uint32_t foreign_slots_;
  std::uint32_t foreign_count_ = 0;
};

enum class LinkState : std::uint8_t { kUp, kDown, kGone };
[[nodiscard]] constexpr std::string_view name_of(LinkState state) noexcept {
  return state == LinkState::kUp ? "up" : state == LinkState::kDown ? "down" : "gone";
}

/// Created and destroyed by the control thread; its queues are opened there and then belong to their workers. A port
/// outlives its queues.
class Port {
 public:
  Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  virtual ~Port() = default;

  [[nodiscard]] virtual std::uint32_t queue_count() const noexcept = 0;
  /// Opens queue `index` once; its frames come from and go back to `pool`, which outlives the queue.
  [[nodiscard]] virtual base::Result<std::unique_ptr<Queue>> open_queue(std::uint32_t index,
                                                                        frame::FramePool& pool) = 0;

  /// What `ringplane show ports` says of it: "af_xdp eth1 native copy 2 queues", with the reason for each fallback.
  [[nodiscard]] virtual std::string description() const = 0;
  [[nodiscard]] virtual MacAddress mac() const noexcept { return {}; }
  /// Largest packet that may leave, in bytes after the Ethernet header.
  [[nodiscard]] virtual std::uint32_t mtu() const noexcept { return 1500; }
  /// Control thread; asks the device.
  [[nodiscard]] virtual LinkState link_state() { return LinkState::kUp; }
};

}  // namespace ringplane::port
