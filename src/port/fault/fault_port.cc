#include "port/fault/fault_port.h"

#include <array>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "frame/spsc_ring.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

constexpr std::uint32_t kBurst = frame::Burst::kCapacity;
constexpr std::uint32_t kMaxDepth = 64;
/// A direction's output: a burst with every packet doubled, and all that was held back.
constexpr std::uint32_t kOutputSlots = 4 * kBurst;
/// What close() can find in both directions, and what is lost of one burst.
constexpr std::uint32_t kForeignReserve = 2 * (kOutputSlots + kMaxDepth) + 2 * kBurst;

/// One direction of one queue: frames go in, what the cable makes of them comes out.
class Cable {
 public:
  Cable(const frame::Arena& arena, frame::FramePool& pool, const FaultRates& rates, std::uint32_t depth,
        std::uint64_t seed, FaultCounters& counters)
      : arena_(arena), pool_(pool), rates_(rates), depth_(depth), random_(seed), counters_(counters) {
    held_.reserve(kMaxDepth);
  }

  /// True if the output can take whatever becomes of one more frame.
  [[nodiscard]] bool has_space() const noexcept {
    return output_.capacity() - output_.size() >= 2 * (1 + held_.size());
  }
  /// has_space(). Returns false if the frame was lost: then it is the caller's to give back.
  [[nodiscard]] bool pass(const frame::Frame& frame) noexcept {
    // Every packet throws all dice, so that one fault's rate does not change which packets another one hits.
    const bool lose = random_.chance(rates_.loss);
    const bool duplicate = random_.chance(rates_.duplicate);
    const bool corrupt = random_.chance(rates_.corrupt);
    const bool reorder = random_.chance(rates_.reorder);
    const std::uint64_t where = random_();
    if (lose) {
      counters_.lost.add(1);
      age();
      return false;
    }
    if (corrupt && frame.length > 0) {
      counters_.corrupted.add(1);
      const std::uint64_t bit = where % (std::uint64_t{frame.length} * 8);
      arena_.data(frame)[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
    frame::Frame copy = frame;
    const bool duplicated = duplicate && copy_bytes(copy);
    if (reorder && held_.size() < kMaxDepth) {
      counters_.reordered.add(1);
      age();
      held_.push_back({.frame = frame, .left = depth_});
    } else {
      (void)output_.push(frame);
      age();
    }
    if (duplicated) (void)output_.push(copy);
    return true;
  }
  /// A packet or a turn has passed: lets go what is late enough.
  void age() noexcept {
    for (Held& held : held_) {
      if (--held.left == 0) (void)output_.push(held.frame);
    }
    std::erase_if(held_, [](const Held& held) { return held.left == 0; });
  }

  /// What comes out, in order.
  [[nodiscard]] frame::SpscRing<frame::Frame>& output() noexcept { return output_; }
  [[nodiscard]] bool take_held(frame::Frame& frame) noexcept {
    if (held_.empty()) return false;
    frame = held_.back().frame;
    held_.pop_back();
    return true;
  }

 private:
  struct Held {
    frame::Frame frame;
    std::uint32_t left;
  };

  /// Makes `copy` a frame of its own with the same bytes.
  [[nodiscard]] bool copy_bytes(frame::Frame& copy) noexcept {
    const frame::Frame original = copy;
    copy.address = pool_.take();
    if (copy.address == frame::FramePool::kNone) return false;
    if (arena_.room(copy) < copy.length) {  // the original's headers have grown into its headroom
      pool_.give(copy.address);
      return false;
    }
    counters_.duplicated.add(1);
    std::memcpy(arena_.data(copy).data(), arena_.data(original).data(), original.length);
    return true;
  }

  const frame::Arena& arena_;
  frame::FramePool& pool_;
  const FaultRates rates_;
  const std::uint32_t depth_;
  base::Random random_;
  FaultCounters& counters_;
  frame::SpscRing<frame::Frame> output_{kOutputSlots};
  std::vector<Held> held_;
};

class FaultQueue final : public Queue {
 public:
  FaultQueue(std::unique_ptr<Queue> inner, const frame::Arena& arena, frame::FramePool& pool,
             const FaultOptions& options, std::uint64_t seed, FaultCounters& counters)
      : Queue(2 * inner->foreign_slots() + 2 * kForeignReserve),
        inner_(std::move(inner)),
        pool_(pool),
        receive_(arena, pool, options.receive, options.reorder_depth, seed, counters),
        transmit_(arena, pool, options.transmit, options.reorder_depth, ~seed, counters) {}
  ~FaultQueue() override { close(); }

  std::uint32_t receive(frame::Burst& burst) noexcept override {
    frame::Burst arrived;
    if (receive_.output().empty() && may_lose()) (void)inner_->receive(arrived);
    for (const frame::Frame& frame : arrived.frames()) {
      if (!receive_.pass(frame)) give_back(pool_, frame.address);
    }
    std::array<frame::Frame, kBurst> out;
    const std::uint32_t count = receive_.output().pop(std::span(out).first(burst.space()));
    for (const frame::Frame& frame : std::span(out).first(count)) burst.push(frame);
    return count;
  }

  std::uint32_t transmit(std::span<const frame::Frame> frames) noexcept override {
    if (!inner_->alive()) return 0;
    std::uint32_t count = 0;
    for (; count < frames.size() && transmit_.has_space() && may_lose(); ++count) {
      if (!transmit_.pass(frames[count])) give_back(pool_, frames[count].address);
    }
    send();
    return count;
  }

  void flush() noexcept override {
    receive_.age();
    transmit_.age();
    send();
    inner_->flush();
    // Room for what the wrapped queue's close() may bring stays free.
    if (foreign_space() >= 2 * inner_->foreign_slots() + kForeignReserve) take_foreign_from(pool_, *inner_);
  }

  [[nodiscard]] int poll_descriptor() const noexcept override { return inner_->poll_descriptor(); }
  [[nodiscard]] bool alive() const noexcept override { return inner_->alive(); }
  [[nodiscard]] const QueueCounters& counters() const noexcept override { return inner_->counters(); }

  void close() noexcept override {
    inner_->close();
    take_foreign_from(pool_, *inner_);
    while (waiting_ < waiting_count_) give_back(pool_, wait_[waiting_++].address);
    frame::Frame frame;
    for (Cable* cable : {&receive_, &transmit_}) {
      while (cable->take_held(frame) || cable->output().pop(frame)) give_back(pool_, frame.address);
    }
  }

 private:
  /// A lost frame may be foreign, and then needs a slot to wait in.
  [[nodiscard]] bool may_lose() const noexcept {
    return foreign_space() > inner_->foreign_slots() + kForeignReserve - kBurst;
  }
  void send() noexcept {
    // What the wrapped queue does not take waits here, before all that comes after it.
    while (waiting_ < waiting_count_ || next_wait()) {
      const std::uint32_t taken = inner_->transmit(std::span(wait_).subspan(waiting_, waiting_count_ - waiting_));
      waiting_ += taken;
      if (taken == 0) return;
    }
  }
  bool next_wait() noexcept {
    waiting_ = 0;
    waiting_count_ = transmit_.output().pop(wait_);
    return waiting_count_ > 0;
  }

  const std::unique_ptr<Queue> inner_;
  frame::FramePool& pool_;
  Cable receive_;
  Cable transmit_;
  std::array<frame::Frame, kBurst> wait_;
  std::uint32_t waiting_ = 0;
  std::uint32_t waiting_count_ = 0;
};

}  // namespace

FaultPort::FaultPort(std::unique_ptr<Port> inner, const frame::Arena& arena, const FaultOptions& options)
    : inner_(std::move(inner)),
      arena_(arena),
      options_(options),
      counters_(std::make_unique<FaultCounters[]>(inner_->queue_count())) {
  assert(options.reorder_depth >= 1 && options.reorder_depth <= kMaxDepth);
}

base::Result<std::unique_ptr<Queue>> FaultPort::open_queue(std::uint32_t index, frame::FramePool& pool) {
  base::Result<std::unique_ptr<Queue>> inner = inner_->open_queue(index, pool);
  if (!inner) return inner;
  return std::make_unique<FaultQueue>(*std::move(inner), arena_, pool, options_, options_.seed + index,
                                      counters_[index]);
}

std::string FaultPort::description() const {
  return inner_->description() + ", with faults of seed " + std::to_string(options_.seed);
}

}  // namespace ringplane::port
