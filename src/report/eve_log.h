// EVE lines: one JSON object per logged packet or ended flow, in the field names that Suricata's eve.json made a habit,
// so that what reads the one reads the other. Control thread only; docs/reference/log.md describes the fields.
#pragma once

#include <cstdint>
#include <string>

#include "firewall/ruleset.h"
#include "report/flow_times.h"
#include "wire/flow_key.h"
#include "worker/flow_record.h"
#include "worker/log_record.h"

namespace ringplane::report {

/// Community ID version 1 with seed 0 (github.com/corelight/community-id-spec): the same text for both directions of a
/// conversation, in every tool that knows it. "" for protocols without addresses.
[[nodiscard]] std::string community_id(wire::Family family, std::uint8_t protocol, const wire::IpAddress& source,
                                       const wire::IpAddress& destination, std::uint16_t source_port,
                                       std::uint16_t destination_port, std::uint8_t icmp_type, std::uint8_t icmp_code);

/// "2026-01-02T03:04:05.678901+0000": wall-clock time, UTC.
[[nodiscard]] std::string timestamp_text(std::uint64_t wall_ns);

/// "tcp", "udp", "icmp", "ipv6-icmp", else the number.
[[nodiscard]] std::string protocol_name(std::uint8_t protocol);

/// One line without the newline. `ruleset` is that of record.generation, or nullptr when that is gone; `wall_ns` is the
/// wall-clock time of record.now_ns.
[[nodiscard]] std::string eve_line(const worker::LogRecord& record, const firewall::Ruleset* ruleset,
                                   const std::string& interface, std::uint64_t wall_ns);

/// The same for a flow that has ended; `interface` is the one that its original sender is behind.
[[nodiscard]] std::string eve_flow_line(const worker::FlowRecord& record, const firewall::Ruleset* ruleset,
                                        const std::string& interface, const FlowTimes& times);

}  // namespace ringplane::report
