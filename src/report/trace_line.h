// A packet that a tap has seen (worker/packet_tap.h), as one line of JSON: what each stage made of it. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "firewall/ruleset.h"
#include "worker/packet_tap.h"

namespace ringplane::report {

/// What the configuration calls a port, and its interface.
struct PortNames {
  std::string name;
  std::string interface;
};

struct TracedPacket {
  const worker::TapRecord& record;
  std::uint32_t worker = 0;
  std::uint64_t wall_ns = 0;  ///< of record.now_ns
  std::span<const PortNames> ports;
  const firewall::Ruleset* ruleset = nullptr;  ///< of record.generation, or that is gone
};

/// With a newline.
[[nodiscard]] std::string trace_line(const TracedPacket& packet);
/// "block by pf.conf:12 'no telnet' (rule_block)": verdict, rule and reason in a few words.
[[nodiscard]] std::string verdict_text(const TracedPacket& packet);

}  // namespace ringplane::report
