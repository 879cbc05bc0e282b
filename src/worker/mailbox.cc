#include "worker/mailbox.h"

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include <sys/eventfd.h>

#include "frame/spsc_ring.h"

namespace ringplane::worker {
namespace {

constexpr std::uint32_t kControlSlots = 256;

}  // namespace

WakeUp::WakeUp() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

void WakeUp::notify() noexcept {
  // Pairs with announce_sleep(): either the owner sees the message before it sleeps, or we see that it sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!sleeping_.load(std::memory_order_relaxed)) return;
  const std::uint64_t one = 1;
  // A full counter (2^64 - 2) means that the owner is woken anyway.
  [[maybe_unused]] const auto written = write(event_.get(), &one, sizeof one);
}

void WakeUp::end_sleep() noexcept {
  sleeping_.store(false, std::memory_order_seq_cst);
  std::uint64_t count = 0;
  [[maybe_unused]] const auto cleared = read(event_.get(), &count, sizeof count);
}

Mailbox::Mailbox(std::uint32_t worker_count, std::uint32_t slots) : from_control(kControlSlots) {
  for (std::uint32_t i = 0; i < worker_count; ++i) {
    from_peer.push_back(std::make_unique<frame::SpscRing<PeerMessage>>(slots));
  }
}

}  // namespace ringplane::worker
