// DpdkPort: a DPDK device as a Port, and DpdkLibrary's entrance: the one object that holds what all DPDK ports of a
// process share (headers of the frames, one pool for each worker). Control thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/dpdk/dpdk_device.h"
#include "port/dpdk/dpdk_pool.h"
#include "port/dpdk_ports.h"
#include "port/port.h"

namespace ringplane::port {

class LoadedDpdkPorts final : public DpdkPorts {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<DpdkPorts>> create(const frame::Arena& arena,
                                                                       const DpdkOptions& options);
  ~LoadedDpdkPorts() override;

  [[nodiscard]] base::Result<std::unique_ptr<Port>> open(const DpdkPortOptions& options) override;

  [[nodiscard]] const FrameHeaders& headers() const noexcept { return headers_; }
  /// The one for `pool`, made when it is asked for first.
  [[nodiscard]] base::Result<DpdkPool*> pool_for(frame::FramePool& pool);

 private:
  explicit LoadedDpdkPorts(FrameHeaders headers) : headers_(std::move(headers)) {}

  FrameHeaders headers_;
  DpdkPool::List pools_;
  std::uint64_t registered_bytes_ = 0;
};

class DpdkPort final : public Port {
 public:
  /// `shared` outlives the port.
  DpdkPort(LoadedDpdkPorts& shared, base::PortId id, std::unique_ptr<DpdkDevice> device)
      : shared_(shared), id_(id), device_(std::move(device)) {}

  [[nodiscard]] std::uint32_t queue_count() const noexcept override { return device_->queues(); }
  [[nodiscard]] base::Result<std::unique_ptr<Queue>> open_queue(std::uint32_t index, frame::FramePool& pool) override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] MacAddress mac() const noexcept override { return device_->mac(); }
  [[nodiscard]] std::uint32_t mtu() const noexcept override { return device_->mtu(); }
  [[nodiscard]] LinkState link_state() override { return device_->link_state(); }

 private:
  LoadedDpdkPorts& shared_;
  const base::PortId id_;
  const std::unique_ptr<DpdkDevice> device_;
};

}  // namespace ringplane::port
