#include "port/dpdk/dpdk_pool.h"

#include <rte_common.h>
#include <rte_config.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_core.h>
#include <rte_memory.h>
#include <rte_mempool.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/mapped_memory.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"

namespace ringplane::port {
namespace {

DpdkPool& pool_of(const rte_mempool* handle) noexcept {
  return *static_cast<DpdkPool*>(handle->pool_data);
}

int alloc(rte_mempool* handle) noexcept {
  handle->pool_data = handle->pool_config;
  return 0;
}
void free_nothing(rte_mempool* /*handle*/) noexcept {}
int enqueue(rte_mempool* handle, void* const* objects, unsigned count) noexcept {
  pool_of(handle).give(objects, count);
  return 0;
}
int dequeue(rte_mempool* handle, void** objects, unsigned count) noexcept {
  return pool_of(handle).take(objects, count) ? 0 : -ENOBUFS;
}
unsigned available(const rte_mempool* handle) noexcept {
  return pool_of(handle).frames().free_count();
}

/// Header i of the pool lies where FrameHeaders has it. Not given to enqueue(): the frames are in the FramePool
/// already.
int populate(rte_mempool* handle, unsigned most, void* memory, rte_iova_t /*iova*/, std::size_t bytes,
             rte_mempool_populate_obj_cb_t* add, void* argument) noexcept {
  unsigned count = 0;
  for (; count < most && (count + 1) * std::size_t{FrameHeaders::kStrideBytes} <= bytes; ++count) {
    add(handle, argument, static_cast<char*>(memory) + std::size_t{count} * FrameHeaders::kStrideBytes + 64,
        RTE_BAD_IOVA);
  }
  return static_cast<int>(count);
}

/// Registered once in a process; DPDK has no way to take it back.
void register_operations() noexcept {
  static const int registered = [] {
    rte_mempool_ops operations{};
    std::strncpy(operations.name, "ringplane", sizeof operations.name - 1);
    operations.alloc = alloc;
    operations.free = free_nothing;
    operations.enqueue = enqueue;
    operations.dequeue = dequeue;
    operations.get_count = available;
    operations.populate = populate;
    return rte_mempool_register_ops(&operations);
  }();
  static_cast<void>(registered);
}

}  // namespace

base::Result<FrameHeaders> FrameHeaders::create(const frame::Arena& arena, bool huge_pages) {
  auto mapped = base::MappedMemory::map(std::uint64_t{arena.frame_count()} * kStrideBytes, huge_pages, true,
                                        "DPDK's headers of the frames", "lower memory.frames");
  if (!mapped) return std::unexpected(std::move(mapped.error()));
  return FrameHeaders(arena, std::move(*mapped));
}

FrameHeaders::FrameHeaders(const frame::Arena& arena, base::MappedMemory mapped)
    : arena_(&arena),
      mapped_(std::move(mapped)),
      memory_(reinterpret_cast<char*>(mapped_.data())),
      frame_shift_(static_cast<std::uint32_t>(std::countr_zero(arena.frame_bytes()))) {
  for (std::uint32_t i = 0; i < arena.frame_count(); ++i) {
    const std::uint64_t start = std::uint64_t{i} << frame_shift_;
    const std::uint64_t colour = frame::colour_bytes(start);
    rte_mbuf* header = at(i);  // zero, as mapped
    header->buf_addr = arena.base() + start + colour;
    header->buf_iova = reinterpret_cast<std::uintptr_t>(header->buf_addr);  // --iova-mode va
    header->buf_len = static_cast<std::uint16_t>(arena.frame_bytes() - colour);
    header->data_off = RTE_PKTMBUF_HEADROOM;
    header->refcnt = 1;
    header->nb_segs = 1;
    header->port = RTE_MBUF_PORT_INVALID;
  }
}

base::Result<std::unique_ptr<DpdkPool>> DpdkPool::create(const FrameHeaders& headers, frame::FramePool& pool,
                                                         const List& all) {
  register_operations();
  std::unique_ptr<DpdkPool> made(new DpdkPool(headers, pool, all));
  if (auto handle = made->make_handle(); !handle) return std::unexpected(std::move(handle.error()));
  return made;
}

DpdkPool::DpdkPool(const FrameHeaders& headers, frame::FramePool& pool, const List& all)
    : headers_(headers), frames_(pool), all_(all) {
  foreign_.reserve(headers.arena().frame_count());
  strays_.reserve(headers.arena().frame_count());
}

DpdkPool::~DpdkPool() {
  rte_mempool_free(handle_);
}

base::Result<void> DpdkPool::make_handle() {
  static std::uint32_t number = 0;
  const std::string name = "ringplane-" + std::to_string(number++);
  const auto refuse = [&](const char* step) {
    return base::fail(std::string("DPDK does not take the frames of a worker (") + step + ": " +
                      rte_strerror(rte_errno) + "): free some memory");
  };
  handle_ = rte_mempool_create_empty(name.c_str(), frames_.total(), sizeof(rte_mbuf), 0,
                                     sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_SPREAD);
  if (handle_ == nullptr) return refuse("create");
  if (handle_->header_size + handle_->elt_size + handle_->trailer_size != FrameHeaders::kStrideBytes) {
    return base::fail("this DPDK lays out its pools otherwise than 22.11 does: build ringplane against it");
  }
  if (rte_mempool_set_ops_byname(handle_, "ringplane", this) != 0) return refuse("operations");
  rte_pktmbuf_pool_private sizes{};
  sizes.mbuf_data_room_size = static_cast<std::uint16_t>(headers_.room_bytes());
  rte_pktmbuf_pool_init(handle_, &sizes);
  const std::uint64_t bytes = std::uint64_t{frames_.total()} * headers_.arena().frame_bytes();
  const std::span<char> memory = headers_.memory(frames_.range_start(), bytes);
  const int added = rte_mempool_populate_iova(handle_, memory.data(), RTE_BAD_IOVA, memory.size(), nullptr, nullptr);
  if (added != static_cast<int>(frames_.total())) return refuse("populate");
  for (std::uint32_t i = 0; i < frames_.total(); ++i) {
    headers_.of(frames_.range_start() + std::uint64_t{i} * headers_.arena().frame_bytes())->pool = handle_;
  }
  return {};
}

bool DpdkPool::take(void** objects, std::uint32_t count) noexcept {
  // Only receiving takes frames, and that happens on the user's thread.
  if (user_.load(std::memory_order_relaxed) != __builtin_thread_pointer()) return false;
  if (frames_.free_count() < count) {
    ++empty_count_;
    return false;
  }
  for (std::uint32_t i = 0; i < count; ++i) objects[i] = headers_.of(frames_.take());
  return true;
}

void DpdkPool::give(void* const* objects, std::uint32_t count) noexcept {
  if (user_.load(std::memory_order_relaxed) != __builtin_thread_pointer()) [[unlikely]] {
    give_on_other_thread(objects, count);
    return;
  }
  for (std::uint32_t i = 0; i < count; ++i) give_one(static_cast<rte_mbuf*>(objects[i]));
}

void DpdkPool::give_one(rte_mbuf* header) noexcept {
  const std::uint64_t address = headers_.buffer_address(header);
  if (frames_.owns(address)) {
    frames_.give(address);
  } else {
    give_foreign(header, address);
  }
}

DpdkPool* DpdkPool::home_of(std::uint64_t address) const noexcept {
  for (const auto& each : all_) {
    if (each->frames_.owns(address)) return each.get();
  }
  return nullptr;
}

void DpdkPool::disown(rte_mbuf* header) const noexcept {
  if (const DpdkPool* home = home_of(headers_.buffer_address(header)); home != nullptr) header->pool = home->handle_;
}

void DpdkPool::give_foreign(rte_mbuf* header, std::uint64_t address) noexcept {
  DpdkPool* home = home_of(address);
  if (home != nullptr) header->pool = home->handle_;
  if (home != nullptr && closing_) {
    home->frames_.give(address);
  } else {
    foreign_.push_back(address);  // never allocates: a frame is here at most once
  }
}

void DpdkPool::give_on_other_thread(void* const* objects, std::uint32_t count) noexcept {
  const std::lock_guard lock(stray_mutex_);
  for (std::uint32_t i = 0; i < count; ++i) strays_.push_back(static_cast<rte_mbuf*>(objects[i]));
  stray_count_.store(static_cast<std::uint32_t>(strays_.size()), std::memory_order_relaxed);
}

void DpdkPool::fetch_locked() noexcept {
  const std::lock_guard lock(stray_mutex_);
  for (rte_mbuf* header : strays_) give_one(header);
  strays_.clear();
  stray_count_.store(0, std::memory_order_relaxed);
}

void DpdkPool::send_all_home() noexcept {
  fetch_locked();
  const std::vector<std::uint64_t> waiting = std::exchange(foreign_, {});
  for (const std::uint64_t address : waiting) give_one(headers_.of(address));
  closing_ = false;
}

}  // namespace ringplane::port
