// The whole device contract. A Port is a NIC or a stand-in; a Queue is one RX+TX ring pair of it, owned by one worker
// and called only from that worker's thread. Virtual calls happen per burst, never per packet.
//
// Ownership: receive() hands frames to the caller; transmit() takes the first n back; flush() returns finished frames
// to the pool the queue was opened with. Frames that are in the rings at destruction go back to the pool first, so that
// after all queues are gone each pool is whole again.
#pragma once

#include <array>
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
  base::Counter rx_no_frame;  ///< turns in which the receive ring could not be refilled: the pool was empty
  base::Counter tx_ring_full; ///< packets that transmit() did not take
};

class Queue {
 public:
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

  [[nodiscard]] const QueueCounters& counters() const noexcept { return counters_; }

 protected:
  QueueCounters counters_;
};

enum class LinkState : std::uint8_t { kUp, kDown, kGone };
[[nodiscard]] constexpr std::string_view name_of(LinkState state) noexcept {
  return state == LinkState::kUp ? "up" : state == LinkState::kDown ? "down" : "gone";
}

/// Created and destroyed by the control thread; its queues are opened there and then belong to their workers.
class Port {
 public:
  virtual ~Port() = default;

  [[nodiscard]] virtual std::uint32_t queue_count() const noexcept = 0;
  /// Opens queue `index` once; its frames come from and go back to `pool`, which outlives the queue.
  [[nodiscard]] virtual base::Result<std::unique_ptr<Queue>> open_queue(std::uint32_t index, frame::FramePool& pool) = 0;

  /// What `ringplane show ports` says of it: "af_xdp eth1 native copy 2 queues", with the reason for each fallback.
  [[nodiscard]] virtual std::string description() const = 0;
  [[nodiscard]] virtual MacAddress mac() const noexcept { return {}; }
  /// Largest packet that may leave, in bytes after the Ethernet header.
  [[nodiscard]] virtual std::uint32_t mtu() const noexcept { return 1500; }
  /// Control thread; asks the device.
  [[nodiscard]] virtual LinkState link_state() { return LinkState::kUp; }
};

}  // namespace ringplane::port
