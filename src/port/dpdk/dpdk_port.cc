#include "port/dpdk/dpdk_port.h"

#include <rte_errno.h>
#include <rte_memory.h>
#include <unistd.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <utility>

#include "base/mapped_memory.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/dpdk/dpdk_device.h"
#include "port/dpdk/dpdk_log.h"
#include "port/dpdk/dpdk_pool.h"
#include "port/dpdk/dpdk_queue.h"
#include "port/dpdk/dpdk_runtime.h"
#include "port/dpdk_ports.h"
#include "port/port.h"

namespace ringplane::port {
namespace {}  // namespace

base::Result<std::unique_ptr<DpdkPorts>> LoadedDpdkPorts::create(const frame::Arena& arena,
                                                                 const DpdkOptions& options) {
  DpdkLog::attach().set_listener(options.log);
  if (auto started = start_dpdk(options.pci); !started) return std::unexpected(std::move(started.error()));
  auto headers = FrameHeaders::create(arena, options.huge_pages);
  if (!headers) return std::unexpected(std::move(headers.error()));
  std::unique_ptr<LoadedDpdkPorts> ports(new LoadedDpdkPorts(std::move(*headers)));
  // So that DPDK knows the frames' pages when a driver asks; the mapping ends on a huge page, so rounding up is safe.
  const std::uint64_t page =
      arena.pages() == base::PageKind::kHuge ? base::kHugePageBytes : static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t bytes = (arena.bytes() + page - 1) / page * page;
  if (rte_extmem_register(arena.base(), bytes, nullptr, 0, page) != 0) {
    return base::fail(std::string("DPDK does not take the arena of the frames (") + rte_strerror(rte_errno) +
                      "): lower memory.frames");
  }
  ports->registered_bytes_ = bytes;
  return ports;
}

LoadedDpdkPorts::~LoadedDpdkPorts() {
  pools_.clear();
  if (registered_bytes_ != 0) rte_extmem_unregister(headers_.arena().base(), registered_bytes_);
  DpdkLog::attach().set_listener(nullptr);
}

base::Result<std::unique_ptr<Port>> LoadedDpdkPorts::open(const DpdkPortOptions& options) {
  auto device = DpdkDevice::create(options, headers_, pools_);
  if (!device) return std::unexpected(std::move(device.error()));
  return std::make_unique<DpdkPort>(*this, options.id, std::move(*device));
}

base::Result<DpdkPool*> LoadedDpdkPorts::pool_for(frame::FramePool& pool) {
  for (const auto& each : pools_) {
    if (&each->frames() == &pool) return each.get();
  }
  auto made = DpdkPool::create(headers_, pool, pools_);
  if (!made) return std::unexpected(std::move(made.error()));
  pools_.push_back(std::move(*made));
  return pools_.back().get();
}

base::Result<std::unique_ptr<Queue>> DpdkPort::open_queue(std::uint32_t index, frame::FramePool& pool) {
  if (index >= device_->queues()) {
    return base::fail("dpdk:" + device_->device() + " was not opened with queue " + std::to_string(index));
  }
  auto found = shared_.pool_for(pool);
  if (!found) return std::unexpected(std::move(found.error()));
  const auto queue_index = static_cast<std::uint16_t>(index);
  if (auto set_up = device_->set_up_queue(queue_index, **found); !set_up) {
    return std::unexpected(std::move(set_up.error()));
  }
  return std::make_unique<DpdkQueue>(*device_, queue_index, id_, shared_.headers(), **found);
}

std::string DpdkPort::description() const {
  std::string text = std::string("dpdk ") + device_->driver() + " " + std::string(device_name(device_->device()));
  text += ", " + std::to_string(device_->queues()) + (device_->queues() == 1 ? " queue" : " queues");
  if (device_->spreads_by_hash()) text += ", symmetric receive hash";
  if (device_->checks_checksums()) text += ", checks checksums";
  return text;
}

}  // namespace ringplane::port

// NOLINTNEXTLINE(readability-identifier-naming): its name is how it is found
extern "C" __attribute__((visibility("default"))) const ringplane::port::DpdkLibrary ringplane_dpdk_library{
    .version = RINGPLANE_BUILD, .create = ringplane::port::LoadedDpdkPorts::create};
