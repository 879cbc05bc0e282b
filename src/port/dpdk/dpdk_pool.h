// Where arena and DPDK meet (docs/design/009). DPDK wants a header (rte_mbuf) for every buffer and takes and gives
// buffers through an rte_mempool. FrameHeaders is one array of headers for all frames of the arena, beside it rather
// than inside of it: header i describes frame i and nothing else, for good. DpdkPool is an rte_mempool without memory
// or cache of its own: whatever a device takes from it or gives to it comes from and goes to one worker's FramePool.
//
// A frame of another pool that a device gives back waits in foreign() until a queue has mailed it home. A device may
// also give back frames on a thread of its own (a peer that hangs up): they wait, locked, until the owner comes by.
#pragma once

#include <rte_mbuf_core.h>
#include <rte_mempool.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_memory.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"

namespace ringplane::port {

class FrameHeaders {
 public:
  /// rte_mempool puts 64 bytes of its own in front of each.
  static constexpr std::uint32_t kStrideBytes = 64 + sizeof(rte_mbuf);

  [[nodiscard]] static base::Result<FrameHeaders> create(const frame::Arena& arena, bool huge_pages);

  [[nodiscard]] rte_mbuf* of(std::uint64_t address) const noexcept {
    return at(static_cast<std::uint32_t>(address >> frame_shift_));
  }
  /// An address in the frame's buffer.
  [[nodiscard]] std::uint64_t buffer_address(const rte_mbuf* header) const noexcept {
    return static_cast<std::uint64_t>(static_cast<std::uint8_t*>(header->buf_addr) - arena_->base());
  }
  /// Address in the arena of the first packet byte.
  [[nodiscard]] std::uint64_t packet_address(const rte_mbuf* header) const noexcept {
    return buffer_address(header) + header->data_off;
  }
  /// The header describes the packet of `frame`, which may have moved inside of its buffer.
  void describe(rte_mbuf* header, const frame::Frame& frame) const noexcept {
    header->data_off =
        static_cast<std::uint16_t>(arena_->base() + frame.address - static_cast<std::uint8_t*>(header->buf_addr));
    header->data_len = static_cast<std::uint16_t>(frame.length);
    header->pkt_len = frame.length;
    header->ol_flags = 0;
  }
  /// The longest packet that every frame holds, from where DPDK puts it: 128 bytes behind the buffer's colour.
  [[nodiscard]] std::uint32_t packet_bytes() const noexcept { return room_bytes() - RTE_PKTMBUF_HEADROOM; }
  /// What DPDK calls the data room: that and the headroom.
  [[nodiscard]] std::uint32_t room_bytes() const noexcept {
    return arena_->frame_bytes() - static_cast<std::uint32_t>(frame::kMostColourBytes);
  }
  [[nodiscard]] const frame::Arena& arena() const noexcept { return *arena_; }
  /// The memory of the headers of the buffers that begin in [start, start + bytes).
  [[nodiscard]] std::span<char> memory(std::uint64_t start, std::uint64_t bytes) const noexcept {
    const std::uint64_t first = start >> frame_shift_;
    return {memory_ + first * kStrideBytes, (bytes >> frame_shift_) * kStrideBytes};
  }

 private:
  FrameHeaders(const frame::Arena& arena, base::MappedMemory mapped);
  [[nodiscard]] rte_mbuf* at(std::uint32_t index) const noexcept {
    return reinterpret_cast<rte_mbuf*>(memory_ + std::uint64_t{index} * kStrideBytes + 64);
  }

  const frame::Arena* arena_;
  base::MappedMemory mapped_;
  char* memory_;
  std::uint32_t frame_shift_;
};

class DpdkPool {
 public:
  /// All pools of one arena, so that each knows whose a foreign frame is.
  using List = std::vector<std::unique_ptr<DpdkPool>>;

  /// `headers`, `pool` and `all` outlive it.
  [[nodiscard]] static base::Result<std::unique_ptr<DpdkPool>> create(const FrameHeaders& headers,
                                                                      frame::FramePool& pool, const List& all);
  DpdkPool(const DpdkPool&) = delete;
  DpdkPool& operator=(const DpdkPool&) = delete;
  ~DpdkPool();

  [[nodiscard]] rte_mempool* handle() const noexcept { return handle_; }
  [[nodiscard]] frame::FramePool& frames() const noexcept { return frames_; }

  /// Before calls of a device that may take or give frames: the calling thread is the pool's user now.
  void enter() noexcept { user_.store(__builtin_thread_pointer(), std::memory_order_relaxed); }
  /// From now on no worker runs any more: the calling thread uses all pools, and frames go straight home.
  void enter_for_close() noexcept {
    enter();
    closing_ = true;
  }
  /// User only. How often a device has asked in vain.
  [[nodiscard]] std::uint64_t empty_count() const noexcept { return empty_count_; }
  /// User only. Frames of other pools that a device has given back here.
  [[nodiscard]] std::vector<std::uint64_t>& foreign() noexcept { return foreign_; }
  /// User only: takes over what devices gave back on threads of their own.
  void fetch_strays() noexcept {
    if (stray_count_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      fetch_locked();
  }
  /// With enter_for_close() on all pools: every frame that waits here goes to the pool that owns it. Ends the closing.
  void send_all_home() noexcept;
  /// A frame of another pool is to be transmitted: when it is done, the device gives it back here.
  void adopt(rte_mbuf* header) const noexcept { header->pool = handle_; }
  /// Undoes adopt(): the device did not take the frame.
  void disown(rte_mbuf* header) const noexcept;

  /// What rte_mempool calls.
  [[nodiscard]] bool take(void** objects, std::uint32_t count) noexcept;
  void give(void* const* objects, std::uint32_t count) noexcept;

 private:
  DpdkPool(const FrameHeaders& headers, frame::FramePool& pool, const List& all);
  [[nodiscard]] base::Result<void> make_handle();
  void give_one(rte_mbuf* header) noexcept;
  void give_foreign(rte_mbuf* header, std::uint64_t address) noexcept;
  [[nodiscard]] DpdkPool* home_of(std::uint64_t address) const noexcept;
  void give_on_other_thread(void* const* objects, std::uint32_t count) noexcept;
  void fetch_locked() noexcept;

  const FrameHeaders& headers_;
  frame::FramePool& frames_;
  const List& all_;
  rte_mempool* handle_ = nullptr;
  std::atomic<void*> user_{nullptr};
  bool closing_ = false;
  std::uint64_t empty_count_ = 0;
  std::vector<std::uint64_t> foreign_;  // capacity: every frame of the arena
  std::mutex stray_mutex_;
  std::atomic<std::uint32_t> stray_count_{0};
  std::vector<rte_mbuf*> strays_;  // likewise
};

}  // namespace ringplane::port
