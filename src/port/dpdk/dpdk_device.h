// DpdkDevice: one Ethernet device of DPDK from its own string to its end. Made (or found, if it is hardware) and
// configured by create(), started when the last of its queues has been set up, stopped and removed when the last of
// them is closed or with its destruction. Control thread, but for close_queue().
#pragma once

#include <rte_ethdev.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "port/dpdk/dpdk_pool.h"
#include "port/dpdk_ports.h"
#include "port/port.h"

namespace ringplane::port {

/// The part of a device string before its arguments: "net_memif0".
[[nodiscard]] std::string_view device_name(std::string_view device) noexcept;

class DpdkDevice {
 public:
  /// `headers` and `pools` outlive it.
  [[nodiscard]] static base::Result<std::unique_ptr<DpdkDevice>> create(const DpdkPortOptions& options,
                                                                        const FrameHeaders& headers,
                                                                        const DpdkPool::List& pools);
  DpdkDevice(const DpdkDevice&) = delete;
  DpdkDevice& operator=(const DpdkDevice&) = delete;
  ~DpdkDevice() { end(); }

  [[nodiscard]] std::uint16_t id() const noexcept { return id_; }
  [[nodiscard]] const std::string& device() const noexcept { return device_; }
  [[nodiscard]] std::uint16_t queues() const noexcept { return queues_; }
  [[nodiscard]] std::uint32_t mtu() const noexcept { return mtu_; }
  [[nodiscard]] bool spreads_by_hash() const noexcept { return spreads_by_hash_; }
  [[nodiscard]] bool checks_checksums() const noexcept { return checks_checksums_; }
  [[nodiscard]] const char* driver() const noexcept { return driver_; }
  [[nodiscard]] MacAddress mac() const noexcept;
  [[nodiscard]] LinkState link_state() const noexcept;

  /// Receive and transmit queue `index` over `pool`; the last one starts the device.
  [[nodiscard]] base::Result<void> set_up_queue(std::uint16_t index, DpdkPool& pool);
  /// By the thread that closes a queue.
  void close_queue() noexcept;

 private:
  DpdkDevice(std::string device, std::uint16_t id, std::uint16_t queues, const FrameHeaders& headers,
             const DpdkPool::List& pools);
  [[nodiscard]] base::Result<void> configure(bool promiscuous);
  [[nodiscard]] base::Result<void> check_mtu();
  [[nodiscard]] base::Result<void> map_arena(rte_device* hardware);
  [[nodiscard]] std::unexpected<base::Error> refuse(const char* what, int error) const;
  void drain() noexcept;
  void end() noexcept;

  const std::string device_;
  const std::uint16_t id_;
  const std::uint16_t queues_;
  const FrameHeaders& headers_;
  const DpdkPool::List& pools_;
  const char* driver_ = "";
  rte_device* hardware_ = nullptr;
  std::uint32_t mtu_ = 1500;
  bool spreads_by_hash_ = false;
  bool checks_checksums_ = false;
  bool arena_mapped_ = false;
  bool started_ = false;
  bool ended_ = false;
  std::uint16_t set_up_ = 0;
  std::atomic<std::uint16_t> open_{0};
};

}  // namespace ringplane::port
