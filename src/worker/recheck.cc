#include "worker/recheck.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/match_key.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "wire/flow_key.h"
#include "wire/icmp.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/decide_paths.h"
#include "worker/flow_admission.h"
#include "worker/forwarding.h"
#include "worker/packet_burst.h"
#include "worker/path_decision.h"
#include "worker/questions.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

/// The key of the packet that made the flow, as far as the flow knows it: TCP began with a SYN, ICMP with an echo.
firewall::MatchKey first_packet_key(const wire::FlowKey& key, bool original_upper, base::PortId ingress) noexcept {
  const std::size_t from = original_upper ? 1 : 0;
  firewall::MatchKey match{.source = key.address[from],
                           .destination = key.address[1 - from],
                           .port = ingress,
                           .way = firewall::Way::kIn,
                           .family = key.family,
                           .protocol = key.protocol};
  switch (key.protocol) {
    case wire::protocol::kTcp: match.tcp_flags = wire::tcp_flag::kSyn; [[fallthrough]];
    case wire::protocol::kUdp:
      match.source_port = key.port[from];
      match.destination_port = key.port[1 - from];
      break;
    case wire::protocol::kIcmp: match.icmp_type = wire::icmp_type::kEcho; break;
    case wire::protocol::kIcmp6: match.icmp_type = wire::icmp6_type::kEcho; break;
    default: break;
  }
  return match;
}

/// A flow's question to the rules. False: the port it began at is gone.
bool ask_about(base::FlowId id, const WorkerTables& tables, Questions& questions) noexcept {
  const flow::Flow& flow = tables.flows->at(id);
  const wire::FlowKey key = tables.flows->key_of(id);
  const Forwarding& forwarding = tables.snapshot->forwarding;
  const base::PortId ingress =
      forwarding.side(static_cast<std::uint8_t>(key.zone >> 24), flow.has(flow::flow_flag::kOriginalSecondPort));
  if (!ingress.valid()) return false;
  questions.add(id.value, first_packet_key(key, flow.has(flow::flow_flag::kOriginalUpper), ingress),
                forwarding.from(ingress).port);
  return true;
}

bool is_to_be_judged(base::FlowId id, const WorkerTables& tables) noexcept {
  const flow::Flow& flow = tables.flows->at(id);
  return flow.has(flow::flow_flag::kLive) && !tables.is_current(flow);
}

void end_flow(base::FlowId id, WorkerTables& tables) noexcept {
  tables.counters.rechecked.add(1);
  tables.counters.recheck_ended.add(1);
  tables.flows->erase(id);
}

/// Acts on what the rules said of question n.
void settle(const Questions& questions, std::uint32_t n, WorkerTables& tables) noexcept {
  const base::FlowId id{questions.slots[n]};
  if (!is_to_be_judged(id, tables)) return;  // it was named before
  const PathDecision& decision = questions.decisions[n];
  const base::RulePathId path = questions.paths[n];
  if (decision.reason != base::DropReason::none || !decision.keeps_state() || !path.valid()) {
    end_flow(id, tables);
    return;
  }
  tables.counters.rechecked.add(1);
  const bool second_side = tables.flows->at(id).has(flow::flow_flag::kOriginalSecondPort);
  const wire::HostAddress source{questions.keys.keys[n].family, questions.keys.keys[n].source};
  tables.flows->set_rules(id, adopt_flow(source, decision, path, second_side, tables));
}

}  // namespace

void recheck_flows(std::span<const base::FlowId> ids, WorkerTables& tables) noexcept {
  Questions& questions = *tables.questions;
  questions.clear();
  for (const base::FlowId id : ids) {
    if (is_to_be_judged(id, tables) && !ask_about(id, tables, questions)) end_flow(id, tables);
  }
  if (questions.count == 0) return;
  decide_paths(questions, tables);
  find_paths(questions, tables);
  for (std::uint32_t n = 0; n < questions.count; ++n) settle(questions, n, tables);
}

bool recheck_flow(base::FlowId id, WorkerTables& tables) noexcept {
  recheck_flows({&id, 1}, tables);
  return tables.flows->at(id).has(flow::flow_flag::kLive);
}

void recheck_burst(const PacketBurst& burst, WorkerTables& tables) noexcept {
  std::array<base::FlowId, PacketBurst::kCapacity> ids;
  std::size_t count = 0;
  for_each_slot(burst.tracked & burst.open, [&](std::uint32_t slot) {
    const base::FlowId id = burst.flows[slot];
    if (id.valid() && is_to_be_judged(id, tables)) ids[count++] = id;
  });
  recheck_flows({ids.data(), count}, tables);
}

std::uint32_t recheck_slice(std::uint32_t cursor, std::uint32_t count, WorkerTables& tables) noexcept {
  std::array<base::FlowId, PacketBurst::kCapacity> ids;
  std::size_t found = 0;
  count = std::min(count, PacketBurst::kCapacity);
  cursor = tables.flows->visit_slice(cursor, count, [&](base::FlowId id) {
    if (!tables.is_current(tables.flows->at(id))) ids[found++] = id;
  });
  recheck_flows({ids.data(), found}, tables);
  return cursor;
}

}  // namespace ringplane::worker
