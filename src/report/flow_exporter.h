// FlowExporter: sends flows that have ended to a collector, as IPFIX messages over a UDP socket that the control
// process has connected (RFC 7011 10.3). Never waits. A collector that is not there, or a full socket, costs the
// records of the message, which are counted; templates go out at the start, at intervals, and after every refusal,
// since a collector that was started again knows none (RFC 7011 8.4). One thread.
#pragma once

#include <cstdint>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/file_descriptor.h"
#include "report/flow_times.h"
#include "report/ipfix.h"
#include "report/options.h"
#include "wire/flow_key.h"
#include "worker/flow_record.h"

namespace ringplane::report {

class FlowExporter {
 public:
  /// `interfaces`: by PortId the kernel's index of its interface, 0: it has none.
  FlowExporter(const IpfixConfig& config, std::vector<std::uint32_t> interfaces);

  /// From now on there; one that is not valid: there is no way to the collector yet.
  void change_to(base::FileDescriptor socket);
  void add(const worker::FlowRecord& record, const FlowTimes& times);
  /// Sends what was added.
  void flush(const FlowTimes& times);
  /// Messages that were handed to the kernel so far.
  [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
  /// For `show outputs`.
  [[nodiscard]] nlohmann::ordered_json show() const;

 private:
  void add_one(const IpfixRecord& record, const FlowTimes& times);
  void begin(const FlowTimes& times);
  void send();

  IpfixConfig config_;
  std::vector<std::uint32_t> interfaces_;
  base::FileDescriptor socket_;
  IpfixMessage message_;
  std::uint64_t templates_due_ns_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t records_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t refused_ = 0;
};

/// One way of the flow.
[[nodiscard]] IpfixRecord ipfix_record(const worker::FlowRecord& record, wire::Direction direction,
                                       const FlowTimes& times, const std::vector<std::uint32_t>& interfaces);

}  // namespace ringplane::report
