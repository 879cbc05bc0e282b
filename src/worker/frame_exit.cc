#include "worker/frame_exit.h"

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/port.h"
#include "worker/mailbox.h"
#include "worker/worker_counters.h"

namespace ringplane::worker {
namespace {

void count_drops(WorkerCounters& counters, base::DropReason reason, std::uint64_t count) noexcept {
  counters.dropped[static_cast<std::size_t>(reason)].add(count);
}

}  // namespace

FrameExit::FrameExit(base::WorkerId self, const frame::Arena& arena, frame::FramePool& pool,
                     std::uint32_t frames_per_worker, const std::vector<std::unique_ptr<Mailbox>>& mailboxes,
                     WorkerCounters& counters)
    : self_(self),
      arena_(&arena),
      pool_(&pool),
      frames_per_worker_(frames_per_worker),
      mailboxes_(&mailboxes),
      counters_(&counters) {
  homesick_.reserve(arena.frame_count());
}

void FrameExit::attach(base::PortId port, std::unique_ptr<port::Queue> queue) {
  queues_[port.value] = std::move(queue);
  waiting_[port.value] = std::make_unique<frame::Burst>();
}

void FrameExit::refuse(const frame::Frame& frame) noexcept {
  count_drops(*counters_, base::DropReason::no_egress, 1);
  release(frame.address);
}

void FrameExit::send(base::PortId port, std::span<const frame::Frame> frames) noexcept {
  const bool ready = port.valid() && waiting_[port.value] != nullptr;
  if (ready && waiting_[port.value]->empty()) [[likely]] {
    transmit(port, frames);
    return;
  }
  for (const frame::Frame& frame : frames) send(port, frame);
}

void FrameExit::transmit_waiting(base::PortId port) noexcept {
  frame::Burst& waiting = *waiting_[port.value];
  if (waiting.empty()) return;
  transmit(port, waiting.frames());
  waiting.clear();
}

void FrameExit::transmit(base::PortId port, std::span<const frame::Frame> frames) noexcept {
  port::Queue& queue = *queues_[port.value];
  const bool down = (ports_down_.load(std::memory_order_relaxed) >> port.value & 1) != 0 || !queue.alive();
  const std::uint32_t sent = down ? 0 : queue.transmit(frames);
  std::uint64_t bytes = 0;
  for (const frame::Frame& frame : frames.first(sent)) bytes += frame.length;
  counters_->passed.add(sent);
  counters_->passed_bytes.add(bytes);
  if (sent == frames.size()) return;
  count_drops(*counters_, down ? base::DropReason::egress_down : base::DropReason::tx_ring_full, frames.size() - sent);
  for (const frame::Frame& frame : frames.subspan(sent)) release(frame.address);
}

bool FrameExit::hand_over(base::WorkerId owner, const frame::Frame& frame) noexcept {
  auto& ring = *(*mailboxes_)[owner.value]->from_peer[self_.value];
  if (!ring.push(PeerMessage{.kind = PeerMessage::Kind::kFrame, .frame = frame})) return false;
  has_mail_ |= std::uint64_t{1} << owner.value;
  return true;
}

void FrameExit::release(std::uint64_t address) noexcept {
  if (pool_->owns(address)) {
    pool_->give(address);
  } else {
    homesick_.push_back(address);  // never allocates: a frame is here at most once
  }
}

void FrameExit::send_home() noexcept {
  std::size_t kept = 0;
  for (const std::uint64_t address : homesick_) {
    const std::uint32_t owner = owner_of(address);
    auto& ring = *(*mailboxes_)[owner]->from_peer[self_.value];
    if (ring.push(PeerMessage{.kind = PeerMessage::Kind::kHome, .frame = {.address = address}})) {
      has_mail_ |= std::uint64_t{1} << owner;
    } else {
      homesick_[kept++] = address;
    }
  }
  homesick_.resize(kept);
}

void FrameExit::flush() noexcept {
  for (std::uint8_t i = 0; i < base::kMaxPorts; ++i) {
    if (queues_[i] == nullptr) continue;
    transmit_waiting(base::PortId{i});
    port::Queue& queue = *queues_[i];
    queue.flush();
    for (const std::uint64_t address : queue.foreign_frames()) release(address);
    queue.clear_foreign_frames();
  }
  send_home();
  for (; has_mail_ != 0; has_mail_ &= has_mail_ - 1) {
    (*mailboxes_)[static_cast<std::size_t>(std::countr_zero(has_mail_))]->wake_up.notify();
  }
}

void FrameExit::close(const std::vector<frame::FramePool*>& pools) noexcept {
  const auto give = [&](std::uint64_t address) { pools[owner_of(address)]->give(address); };
  for (std::uint8_t i = 0; i < base::kMaxPorts; ++i) {
    if (queues_[i] == nullptr) continue;
    for (const frame::Frame& frame : waiting_[i]->frames()) give(frame.address);
    waiting_[i]->clear();
    port::Queue& queue = *queues_[i];
    for (const std::uint64_t address : queue.foreign_frames()) give(address);
    queue.clear_foreign_frames();
    queue.close();
    for (const std::uint64_t address : queue.foreign_frames()) give(address);
    queue.clear_foreign_frames();
  }
  for (const std::uint64_t address : homesick_) give(address);
  homesick_.clear();
}

}  // namespace ringplane::worker
