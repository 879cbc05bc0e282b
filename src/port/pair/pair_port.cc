#include "port/pair/pair_port.h"

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "frame/spsc_ring.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

using FrameRing = frame::SpscRing<frame::Frame>;

/// One queue's two directions; ring[i] carries what end i transmits. Lives as long as either end.
struct Wire {
  explicit Wire(std::uint32_t slots) : ring{FrameRing(slots), FrameRing(slots)} {}

  std::array<FrameRing, 2> ring;
  // Closing needs to know whether the consumer of a ring is still there; it happens once, so a lock will do.
  std::mutex closing;
  std::array<bool, 2> opened{};
  std::array<bool, 2> closed{};
};

struct EndOptions {
  base::PortId id;
  MacAddress mac;
  std::uint32_t mtu;
};

class PairQueue final : public Queue {
 public:
  PairQueue(std::shared_ptr<Wire> wire, std::uint32_t end, base::PortId id, frame::FramePool& pool)
      : Queue(2 * wire->ring[0].capacity()), wire_(std::move(wire)), pool_(&pool), end_(end), id_(id) {}
  ~PairQueue() override { close(); }

  std::uint32_t receive(frame::Burst& burst) noexcept override {
    if (closed_) return 0;
    const std::span<frame::Frame> room = burst.room();
    const std::uint32_t count = wire_->ring[1 - end_].pop(room);
    std::uint64_t bytes = 0;
    for (frame::Frame& frame : room.first(count)) {
      frame.port = id_;
      bytes += frame.length;
    }
    burst.grow(count);
    counters_.rx_packets.add(count);
    counters_.rx_bytes.add(bytes);
    return count;
  }

  std::uint32_t transmit(std::span<const frame::Frame> frames) noexcept override {
    if (closed_) return 0;
    const std::uint32_t count = wire_->ring[end_].push(frames);
    std::uint64_t bytes = 0;
    for (const frame::Frame& frame : frames.first(count)) bytes += frame.length;
    counters_.tx_packets.add(count);
    counters_.tx_bytes.add(bytes);
    counters_.tx_ring_full.add(frames.size() - count);
    return count;
  }

  void flush() noexcept override {}

  [[nodiscard]] bool alive() const noexcept override { return !closed_; }

  void close() noexcept override {
    if (closed_) return;
    closed_ = true;
    const std::lock_guard lock(wire_->closing);
    wire_->closed[end_] = true;
    take_back(wire_->ring[1 - end_]);
    // Nobody will receive any more what this end has sent since the other end closed (or if it never opened).
    if (wire_->closed[1 - end_] || !wire_->opened[1 - end_]) take_back(wire_->ring[end_]);
  }

 private:
  void take_back(FrameRing& ring) noexcept {
    frame::Frame frame;
    while (ring.pop(frame)) give_back(*pool_, frame.address);
  }

  const std::shared_ptr<Wire> wire_;
  frame::FramePool* const pool_;
  const std::uint32_t end_;
  const base::PortId id_;
  bool closed_ = false;
};

class PairPort final : public Port {
 public:
  PairPort(std::vector<std::shared_ptr<Wire>> wires, std::uint32_t end, const EndOptions& options)
      : wires_(std::move(wires)), end_(end), options_(options) {}

  [[nodiscard]] std::uint32_t queue_count() const noexcept override {
    return static_cast<std::uint32_t>(wires_.size());
  }

  [[nodiscard]] base::Result<std::unique_ptr<Queue>> open_queue(std::uint32_t index, frame::FramePool& pool) override {
    if (index >= wires_.size()) return base::fail("a pair port has no queue " + std::to_string(index));
    const std::lock_guard lock(wires_[index]->closing);
    if (std::exchange(wires_[index]->opened[end_], true)) {
      return base::fail("queue " + std::to_string(index) + " of the pair port is open already");
    }
    return std::make_unique<PairQueue>(wires_[index], end_, options_.id, pool);
  }

  [[nodiscard]] std::string description() const override {
    return "pair in memory, " + std::to_string(wires_.size()) + (wires_.size() == 1 ? " queue" : " queues");
  }
  [[nodiscard]] MacAddress mac() const noexcept override { return options_.mac; }
  [[nodiscard]] std::uint32_t mtu() const noexcept override { return options_.mtu; }

 private:
  const std::vector<std::shared_ptr<Wire>> wires_;
  const std::uint32_t end_;
  const EndOptions options_;
};

}  // namespace

PortPair make_pair_ports(const PairOptions& options) {
  std::vector<std::shared_ptr<Wire>> wires(options.queues);
  for (std::shared_ptr<Wire>& wire : wires) wire = std::make_shared<Wire>(options.ring_slots);
  return {.first = std::make_unique<PairPort>(
              wires, 0U, EndOptions{.id = options.first_id, .mac = options.first_mac, .mtu = options.mtu}),
          .second = std::make_unique<PairPort>(
              wires, 1U, EndOptions{.id = options.second_id, .mac = options.second_mac, .mtu = options.mtu})};
}

}  // namespace ringplane::port
