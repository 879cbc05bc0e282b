// FlowRecord: a flow that has ended, as plain values, on its way from the worker to the control thread, which makes a
// line of text (report/eve_log.h) or records of IPFIX (report/ipfix.h) of it. Made only if somebody wants them
// (WorkerOptions::flow_record_slots).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"

namespace ringplane::worker {

struct WorkerTables;

/// The causes of flow::EndCause, and one more: the program stops.
enum class FlowEnd : std::uint8_t { kTimeout, kClosed, kEvicted, kErased, kStop };

struct FlowRecord {
  wire::FlowKey key;
  std::array<std::uint64_t, 2> packets{};  ///< by direction
  std::array<std::uint64_t, 2> bytes{};    ///< by direction, IP bytes
  flow::Tick began = 0;
  flow::Tick last_seen = 0;
  base::RuleId rule;                       ///< of `generation`; none: of rules that are gone
  std::uint16_t generation = 0;            ///< of the snapshot that `rule` is of
  std::array<flow::PeerState, 2> state{};  ///< by direction
  base::PortId port;                       ///< the original sender is behind it
  base::PortId peer_port;                  ///< the other one of its bridge
  bool original_upper = false;             ///< the original sender is endpoint 1 of `key`
  FlowEnd end = FlowEnd::kTimeout;
};

/// Flow `id` of the worker, which still lives. Owner thread, or any when that has ended.
[[nodiscard]] FlowRecord flow_record_of(base::FlowId id, FlowEnd end, const WorkerTables& tables) noexcept;
/// Puts a record of each into tables.flow_records, which there is; what does not fit is counted.
void report_ends(std::span<const flow::EndedFlow> ended, WorkerTables& tables) noexcept;

}  // namespace ringplane::worker
