#include "control/outputs.h"

#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/ids.h"
#include "base/result.h"
#include "control/config.h"
#include "control/data_plane.h"
#include "control/estate.h"
#include "firewall/ruleset.h"
#include "report/eve_log.h"
#include "report/eve_writer.h"
#include "report/flow_exporter.h"
#include "report/flow_times.h"
#include "report/recent_lines.h"
#include "worker/flow_record.h"
#include "worker/log_record.h"
#include "worker/snapshot.h"
#ifdef RINGPLANE_AF_XDP
#include "control/port_facts.h"
#endif

namespace ringplane::control {
namespace {

/// Of each worker.
constexpr std::uint32_t kTurnRecords = 8'192;
/// Live flows at the end: what a collector takes, and no longer than whoever waits for the end does.
constexpr std::uint64_t kFinishNs = 5 * base::kNanosPerSecond;
constexpr std::uint64_t kMessagesAtOnce = 16;
constexpr timespec kPause{.tv_sec = 0, .tv_nsec = 1'000'000};

std::vector<std::uint32_t> interfaces_of(const Config& config, const Estate& estate) {
  std::vector<std::uint32_t> indexes(config.ports.size(), 0);
#ifdef RINGPLANE_AF_XDP
  for (std::size_t i = 0; i < indexes.size(); ++i) {
    const auto told = estate.order.ports.find(config.ports[i].name);
    if (told == estate.order.ports.end()) continue;
    if (const auto facts = facts_from(told->second)) indexes[i] = facts->interface.index;
  }
#else
  (void)estate;
#endif
  return indexes;
}

const firewall::Ruleset* ruleset_of(std::uint16_t generation, const DataPlane& plane) {
  const worker::Snapshot& snapshot = plane.snapshot();
  return generation == snapshot.generation ? &snapshot.policy->ruleset() : nullptr;
}

const std::string& interface_of(base::PortId port, const DataPlane& plane) {
  static const std::string no_interface;
  return port.value < plane.config().ports.size() ? plane.config().ports[port.value].interface : no_interface;
}

}  // namespace

base::Result<Outputs> Outputs::create(const Config& config, const Estate& estate) {
  Outputs outputs;
  outputs.log_ = config.log;
  outputs.log_flows_ = config.logs_flows();
  if (!config.log.file.empty()) outputs.writer_.change_to({});
  if (!config.ipfix.collector.empty()) outputs.exporter_.emplace(config.ipfix, interfaces_of(config, estate));
  if (auto taken = outputs.change_to(estate.holdings); !taken) return std::unexpected(std::move(taken.error()));
  return outputs;
}

base::Result<void> Outputs::change_to(const base::Holdings& fresh) {
  if (fresh.find("log") >= 0 && writer_.is_somewhere()) {
    auto log = fresh.duplicate("log");
    if (!log) return std::unexpected(std::move(log.error()));
    writer_.change_to(std::move(*log));
  }
  if (fresh.find("ipfix") >= 0 && exporter_) {
    auto socket = fresh.duplicate("ipfix");
    if (!socket) return std::unexpected(std::move(socket.error()));
    exporter_->change_to(std::move(*socket));
  }
  return {};
}

bool Outputs::drain(DataPlane& plane) {
  const report::FlowTimes times = report::FlowTimes::now();
  plane.drain_logs([&](const worker::LogRecord& record) {
    write(report::eve_line(record, ruleset_of(record.generation, plane), interface_of(record.port, plane),
                           times.wall_of(record.now_ns)));
  });
  bool more = false;
  if (wants_flows()) {
    more = plane.drain_flow_records(kTurnRecords, [&](const worker::FlowRecord& record) { put(record, plane, times); });
  }
  flush(times);
  return more;
}

void Outputs::write(std::string line) {
  writer_.write(line);
  recent_.add(std::move(line));
}

void Outputs::put(const worker::FlowRecord& record, const DataPlane& plane, const report::FlowTimes& times) {
  if (log_flows_) {
    write(report::eve_flow_line(record, ruleset_of(record.generation, plane), interface_of(record.port, plane), times));
  }
  if (exporter_) exporter_->add(record, times);
}

void Outputs::flush(const report::FlowTimes& times) {
  writer_.flush();
  if (exporter_) exporter_->flush(times);
}

void Outputs::finish(DataPlane& plane) {
  while (drain(plane)) {
  }
  if (!wants_flows()) return;
  const report::FlowTimes times = report::FlowTimes::now();
  std::uint64_t messages = exporter_ ? exporter_->messages() : 0;
  std::uint64_t left_out = 0;
  plane.for_each_live_flow([&](const worker::FlowRecord& record) {
    if (left_out > 0 || base::monotonic_ns() - times.monotonic_ns > kFinishNs) {
      ++left_out;
      return;
    }
    put(record, plane, times);
    // Faster than that a collector's socket would lose what it has no room for.
    if (exporter_ && exporter_->messages() - messages >= kMessagesAtOnce) {
      messages = exporter_->messages();
      nanosleep(&kPause, nullptr);
    }
  });
  flush(times);
  if (left_out > 0) spdlog::warn("{} flows that lived at the end were not reported, for want of time", left_out);
}

nlohmann::ordered_json Outputs::show() const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  if (!log_.file.empty()) {
    list.push_back({{"output", "log"},
                    {"to", log_.file},
                    {"written", writer_.written()},
                    {"waiting", writer_.waiting()},
                    {"lost", writer_.lost()},
                    {"why", writer_.why() == 0 ? "" : std::strerror(writer_.why())}});
  }
  if (exporter_) list.push_back(exporter_->show());
  return list;
}

base::Result<nlohmann::ordered_json> Outputs::recent(const nlohmann::json& asked) const {
  const auto question = report::RecentLines::Question::parse(asked);
  if (!question) return std::unexpected(question.error());
  nlohmann::ordered_json answer = recent_.after(*question);
  answer["data_pid"] = getpid();
  return answer;
}

}  // namespace ringplane::control
