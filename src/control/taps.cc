#include "control/taps.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/result.h"
#include "control/config.h"
#include "control/data_plane.h"
#include "report/pcapng.h"
#include "report/trace_line.h"
#include "worker/packet_tap.h"
#include "worker/pipeline.h"

namespace ringplane::control {
namespace {

constexpr std::uint64_t kPatienceNs = 10 * base::kNanosPerSecond;
constexpr std::size_t kMostAtOnce = std::size_t{1} << 20;
constexpr std::uint32_t kTraceSlots = 1024;
constexpr std::uint32_t kCaptureSlots = 4096;
constexpr std::uint32_t kTracePerSecond = 1'000;

base::Result<worker::PacketFilter> filter_of(const nlohmann::json& asked) {
  if (!asked.contains("program")) return worker::PacketFilter::compile(asked.value("filter", ""));
  std::vector<worker::FilterInstruction> program;
  for (const auto& each : asked["program"]) {
    program.push_back({.code = each.at(0), .jump_true = each.at(1), .jump_false = each.at(2), .operand = each.at(3)});
  }
  return worker::PacketFilter::create(std::move(program));
}

}  // namespace

Taps::Taps(DataPlane& plane) : plane_(plane) {
  for (const PortConfig& port : plane.config().ports)
    ports_.push_back({.name = port.name, .interface = port.interface});
}

base::Result<nlohmann::ordered_json> Taps::open(const nlohmann::json& asked) {
  if (askers_.size() == kMost)
    return base::fail("already " + std::to_string(kMost) + " look at packets: end one first");
  try {
    Asker asker{.captures = asked.value("form", "trace") == "capture", .asked_ns = base::monotonic_ns(), .taps = {}};
    const std::uint32_t per_second = asked.value("per_second", asker.captures ? 0U : kTracePerSecond);
    auto filter = filter_of(asked);
    if (!filter) return std::unexpected(std::move(filter.error()));
    const std::uint32_t snap = asker.captures ? asked.value("snap", worker::TapRecord::kBytes) : 0;
    for (std::size_t i = 0; i < plane_.workers().size(); ++i) {
      asker.taps.push_back(
          std::make_unique<worker::PacketTap>(*filter, snap, per_second, asker.captures ? kCaptureSlots : kTraceSlots));
    }
    const std::uint32_t number = next_++;
    askers_.emplace(number, std::move(asker));
    if (auto told = tell_workers(); !told) return std::unexpected(std::move(told.error()));
    return nlohmann::ordered_json{{"tap", number}};
  } catch (const nlohmann::json::exception&) {
    return base::fail("this question for packets makes no sense");
  }
}

base::Result<std::string> Taps::take(std::uint32_t tap) {
  const auto found = askers_.find(tap);
  if (found == askers_.end()) return base::fail("nobody looks at packets under this number any more");
  Asker& asker = found->second;
  asker.asked_ns = base::monotonic_ns();
  const std::uint64_t wall_offset_ns = base::wall_clock_ns() - asker.asked_ns;
  std::string out;
  if (asker.captures && !std::exchange(asker.has_begun, true))
    out += report::pcapng_begin(std::string("ringplane ") + RINGPLANE_VERSION, ports_);
  std::uint64_t lost = 0;
  worker::TapRecord record;
  for (std::uint32_t worker = 0; worker < asker.taps.size(); ++worker) {
    while (out.size() < kMostAtOnce && asker.taps[worker]->pop(record)) {
      const report::TracedPacket packet{.record = record,
                                        .worker = worker,
                                        .wall_ns = record.now_ns + wall_offset_ns,
                                        .ports = ports_,
                                        .ruleset = record.generation == plane_.snapshot().generation
                                                       ? &plane_.snapshot().policy->ruleset()
                                                       : nullptr};
      out += asker.captures ? report::pcapng_packet(packet) : report::trace_line(packet);
    }
    lost += asker.taps[worker]->lost();
  }
  if (const std::uint64_t more = lost - std::exchange(asker.lost_told, lost); more != 0) {
    // Statistics stand at the end of a file; one that is cut off anywhere has the last ones before.
    out += asker.captures ? report::pcapng_lost(lost, base::wall_clock_ns())
                          : nlohmann::json{{"missed", more}}.dump() + "\n";
  }
  return out;
}

void Taps::close(std::uint32_t tap) {
  const auto found = askers_.find(tap);
  if (found == askers_.end()) return;
  Asker gone = std::move(found->second);
  askers_.erase(found);
  if (!tell_workers()) {
    for (auto& each : gone.taps) static_cast<void>(each.release());  // a worker may still use it
  }
}

void Taps::forget_abandoned(std::uint64_t now_ns) {
  std::vector<std::uint32_t> abandoned;
  for (const auto& [number, asker] : askers_) {
    if (now_ns - asker.asked_ns > kPatienceNs) abandoned.push_back(number);
  }
  for (const std::uint32_t number : abandoned) close(number);
}

base::Result<void> Taps::tell_workers() {
  std::vector<std::unique_ptr<worker::PacketTaps>> next;
  std::vector<worker::BurstObserver*> observers;
  for (std::size_t worker = 0; !askers_.empty() && worker < plane_.workers().size(); ++worker) {
    std::vector<worker::PacketTap*> taps;
    for (const auto& [number, asker] : askers_) taps.push_back(asker.taps[worker].get());
    next.push_back(std::make_unique<worker::PacketTaps>(std::move(taps)));
    observers.push_back(next.back().get());
  }
  auto told = plane_.observe(observers);
  std::swap(observers_, next);
  if (!told) {
    for (auto& each : next) static_cast<void>(each.release());
  }
  return told;
}

}  // namespace ringplane::control
