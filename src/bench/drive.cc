#include "bench/drive.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "bench/rig.h"
#include "bench/traffic.h"
#include "worker/worker.h"

namespace ringplane::bench {
namespace {

/// Connections whose place in memory is fetched ahead: the generator should cost little, and not in waiting.
constexpr std::size_t kAhead = 16;

}  // namespace

void Drive::send(std::span<const Segment> segments) {
  std::array<std::array<Segment, kBurst>, 2> waiting;
  std::array<std::uint32_t, 2> count{};
  const auto flush = [&](std::size_t side) {
    const base::PortId port = side == 0 ? kLan : kWan;
    const std::uint32_t sent = endpoint_->send(port, count[side], [&](std::uint8_t* bytes, std::uint32_t i) {
      const Segment& segment = waiting[side][i];
      writer_.write(bytes, connections_[segment.connection], segment.step);
      totals_.sent_sum += fingerprint(bytes);
    });
    totals_.sent += sent;
    count[side] = 0;
  };
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (i + kAhead < segments.size()) __builtin_prefetch(&connections_[segments[i + kAhead].connection]);
    const std::size_t side = from_client(segments[i].step) ? 0 : 1;
    waiting[side][count[side]++] = segments[i];
    if (count[side] == kBurst) flush(side);
  }
  flush(0);
  flush(1);
}

void Drive::take() {
  for (const base::PortId port : {kLan, kWan}) {
    std::uint32_t count = 0;
    do {
      count = endpoint_->take(port, [&](const std::uint8_t* bytes) { totals_.received_sum += fingerprint(bytes); });
      totals_.received += count;
    } while (count > 0);
  }
  endpoint_->read_mail();
}

void Drive::pass(std::span<const Segment> segments) {
  const std::uint64_t begin = base::monotonic_ns();
  send(segments);
  const std::uint64_t ready = base::monotonic_ns();
  while (worker_->run_once(base::monotonic_ns())) {
  }
  const std::uint64_t done = base::monotonic_ns();
  take();
  totals_.worker_ns += done - ready;
  totals_.outside_ns += (ready - begin) + (base::monotonic_ns() - done);
}

void Drive::pass_at(std::span<const Segment> segments, std::uint64_t now_ns) {
  const std::uint64_t begin = base::monotonic_ns();
  send(segments);
  const std::uint64_t ready = base::monotonic_ns();
  const std::uint32_t turns = static_cast<std::uint32_t>(segments.size() / kBurst + 2);
  for (std::uint32_t i = 0; i < turns; ++i) worker_->run_once(now_ns);
  const std::uint64_t done = base::monotonic_ns();
  take();
  totals_.worker_ns += done - ready;
  totals_.outside_ns += (ready - begin) + (base::monotonic_ns() - done);
}

void Drive::open_all(std::uint64_t in_flight) {
  const std::uint64_t count = connections_.size();
  const std::uint64_t gap = std::max<std::uint64_t>(in_flight / 2 / kBurst, 1) * kBurst;
  std::vector<Segment> segments;
  for (std::uint64_t at = 0; at < count + 2 * gap; at += kStretch / 2) {
    segments.clear();
    const auto add = [&](std::uint64_t delay, Step step) {
      for (std::uint64_t i = at; i < at + kStretch / 2; ++i) {
        if (i >= delay && i - delay < count) segments.push_back({static_cast<std::uint32_t>(i - delay), step});
      }
    };
    add(0, Step::kSyn);
    add(gap, Step::kSynAck);
    add(2 * gap, Step::kAck);
    pass(segments);
  }
}

bool pin_to_processor(std::uint32_t index) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(index % static_cast<std::uint32_t>(sysconf(_SC_NPROCESSORS_ONLN)), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace ringplane::bench
