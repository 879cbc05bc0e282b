// Drive: one worker of a Rig, its endpoint and its connections, on one thread: makes a stretch of frames, lets the
// worker take them, takes what comes out. Only the worker's turns are counted as time; what generator and sink cost is
// counted apart and shown.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "bench/rig.h"
#include "bench/traffic.h"
#include "worker/worker.h"

namespace ringplane::bench {

/// One frame to send: a connection (by index) and which segment of it.
struct Segment {
  std::uint32_t connection = 0;
  Step step = Step::kData;
};

struct DriveTotals {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t sent_sum = 0;      ///< of fingerprints
  std::uint64_t received_sum = 0;  ///< equal to sent_sum if nothing is lost and nothing else came
  std::uint64_t worker_ns = 0;
  std::uint64_t outside_ns = 0;  ///< generator and sink
};

class Drive {
 public:
  /// Frames that go in before the worker runs, by port.
  static constexpr std::uint32_t kStretch = 512;
  /// Connections between SYN and ACK at a time, for who has no reason for another number.
  static constexpr std::uint64_t kInFlight = 16'384;

  Drive(worker::Worker& worker, Endpoint& endpoint, std::span<const Connection> connections)
      : worker_(&worker), endpoint_(&endpoint), connections_(connections) {}

  /// Sends all of `segments` (each by the port of its sender, in order per port), runs the worker until it has taken
  /// them, takes what came out. At most kStretch per port.
  void pass(std::span<const Segment> segments);
  /// As pass(), with a clock of the caller's instead of the real one.
  void pass_at(std::span<const Segment> segments, std::uint64_t now_ns);
  /// Opens connections [first, first + count), with `in_flight` of them between SYN and ACK at any time.
  void open_all(std::uint64_t in_flight);

  /// The parts of pass(), for who runs the worker in another way: before it, and after it.
  void send(std::span<const Segment> segments);
  void take();

  [[nodiscard]] std::span<const Connection> connections() const noexcept { return connections_; }
  [[nodiscard]] const DriveTotals& totals() const noexcept { return totals_; }
  void clear_totals() noexcept { totals_ = {}; }

 private:
  worker::Worker* worker_;
  Endpoint* endpoint_;
  std::span<const Connection> connections_;
  FrameWriter writer_;
  DriveTotals totals_;
};

/// Pins the calling thread to processor `index` (modulo their number); false if that is not allowed.
bool pin_to_processor(std::uint32_t index) noexcept;

}  // namespace ringplane::bench
