#include "worker/recheck.h"

#include <cstddef>
#include <cstdint>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/match_key.h"
#include "flow/flow.h"
#include "wire/flow_key.h"
#include "wire/icmp.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/flow_admission.h"
#include "worker/forwarding.h"
#include "worker/path_decision.h"
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

}  // namespace

bool recheck_flow(base::FlowId id, WorkerTables& tables) noexcept {
  tables.counters.rechecked.add(1);
  const flow::Flow& flow = tables.flows->at(id);
  const wire::FlowKey key = tables.flows->key_of(id);
  const bool original_upper = flow.has(flow::flow_flag::kOriginalUpper);
  const bool second_side = flow.has(flow::flow_flag::kOriginalSecondPort);
  const Forwarding& forwarding = tables.snapshot->forwarding;
  const base::PortId ingress = forwarding.side(static_cast<std::uint8_t>(key.zone >> 24), second_side);
  if (ingress.valid()) {
    const firewall::MatchKey match = first_packet_key(key, original_upper, ingress);
    const PathDecision decision =
        decide_path(tables.policy(), match, forwarding.from(ingress).port, tables.overlay.get());
    if (decision.reason == base::DropReason::none && decision.keeps_state()) {
      const base::RulePathId path = tables.paths->find(decision.in.rule, decision.out.rule, tables.policy().ruleset());
      if (path.valid()) {
        const wire::HostAddress source{key.family, match.source};
        tables.flows->set_rules(id, adopt_flow(source, decision, path, second_side, tables));
        return true;
      }
    }
  }
  tables.counters.recheck_ended.add(1);
  tables.flows->erase(id);
  return false;
}

std::uint32_t recheck_slice(std::uint32_t cursor, std::uint32_t count, WorkerTables& tables) noexcept {
  return tables.flows->visit_slice(cursor, count, [&](base::FlowId id) {
    // Whether it stays or goes is all done inside.
    if (!tables.is_current(tables.flows->at(id))) static_cast<void>(recheck_flow(id, tables));
  });
}

}  // namespace ringplane::worker
