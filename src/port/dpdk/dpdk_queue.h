// DpdkQueue: one receive and one transmit queue of a DPDK device. A frame's DPDK header lies beside it (dpdk_pool.h),
// so what one DPDK port received is transmitted by another as the same rte_mbuf, and nothing is copied here. Devices
// themselves may copy: memif and vhost do, into and out of memory that they share with their peer.
//
// transmit() hands frames to the device at once. When the device is done with them it gives them back to the pool,
// which is at the latest when its ring comes round again. DPDK devices are polled: there is no descriptor to sleep on.
// Worker thread; opened by the control thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/ids.h"
#include "frame/frame.h"
#include "port/dpdk/dpdk_pool.h"
#include "port/port.h"

namespace ringplane::port {

class DpdkDevice;

class DpdkQueue final : public Queue {
 public:
  /// All outlive the queue.
  DpdkQueue(DpdkDevice& device, std::uint16_t index, base::PortId id, const FrameHeaders& headers, DpdkPool& pool);
  ~DpdkQueue() override { close(); }

  std::uint32_t receive(frame::Burst& burst) noexcept override;
  /// Stops at a frame that no Ethernet can carry: shorter than its header or beyond its buffer.
  std::uint32_t transmit(std::span<const frame::Frame> frames) noexcept override;
  void flush() noexcept override;
  [[nodiscard]] bool alive() const noexcept override { return !closed_; }
  /// The last queue to be closed stops the device, which then gives back the frames of all of its queues, each straight
  /// to the pool that owns it: by then no worker may run any more.
  void close() noexcept override;

 private:
  std::uint32_t transmit_burst(std::span<const frame::Frame> frames) noexcept;

  DpdkDevice& device_;
  const FrameHeaders& headers_;
  DpdkPool& pool_;
  const std::uint16_t device_id_;
  const std::uint16_t index_;
  const base::PortId id_;
  std::uint64_t empty_count_ = 0;
  bool closed_ = false;
};

}  // namespace ringplane::port
