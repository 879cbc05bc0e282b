// Samples as a small firewall would give them, for tests.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "top/sample.h"

namespace ringplane::top {

inline std::uint64_t time_after(std::uint64_t seconds) {
  return (100 + seconds) * base::kNanosPerSecond;
}

inline Part<Port> ports_after(std::uint64_t seconds) {
  return {.list = {{.name = "lan",
                    .interface = "eth0",
                    .link = "up",
                    .rx_packets = 5'000 + 1'000 * seconds,
                    .rx_bytes = 125'000 * seconds,
                    .tx_packets = 500 * seconds,
                    .tx_bytes = 62'500 * seconds,
                    .lost = 0,
                    .no_frame = 0},
                   {.name = "wan",
                    .interface = "eth1",
                    .link = "up",
                    .rx_packets = 500 * seconds,
                    .rx_bytes = 62'500 * seconds,
                    .tx_packets = 1'000 * seconds,
                    .tx_bytes = 125'000 * seconds,
                    .lost = 7,
                    .no_frame = 1}},
          .total = 2,
          .at_ns = time_after(seconds)};
}

inline Part<Flow> flows_after(std::uint64_t seconds) {
  return {.list = {{.proto = "tcp",
                    .source = "192.168.100.10:40000",
                    .destination = "198.51.100.7:443",
                    .state = "ESTABLISHED:ESTABLISHED",
                    .rule = "pf.conf:3",
                    .label = "web",
                    .packets = 900 * seconds,
                    .bytes = 150'000 * seconds,
                    .age_s = 10 + seconds,
                    .rate = Rate{.packets = 900, .bytes = 150'000}},
                   {.proto = "udp",
                    .source = "[2001:db8:1234:5678:9abc:def0:1234:5678]:50000",
                    .destination = "[2001:db8::53]:53",
                    .state = "SINGLE:MULTIPLE",
                    .rule = "pf.conf:4",
                    .label = "",
                    .packets = 100 * seconds,
                    .bytes = 12'500 * seconds,
                    .age_s = 90'000,
                    .rate = Rate{.packets = 100, .bytes = 12'500}}},
          .total = 1'234'567,
          .at_ns = time_after(seconds)};
}

inline Part<Rule> rules_after(std::uint64_t seconds) {
  return {.list = {{.number = 2,
                    .label = "web",
                    .text = "pass in on lan proto tcp to port 443 flags S/SA keep state",
                    .packets = 900 * seconds,
                    .bytes = 150'000 * seconds,
                    .states = 1,
                    .rate = Rate{.packets = 900, .bytes = 150'000}},
                   {.number = 0,
                    .label = "",
                    .text = "block return",
                    .packets = 20 * seconds,
                    .bytes = 1'000 * seconds,
                    .states = 0,
                    .rate = Rate{.packets = 20, .bytes = 1'000}}},
          .total = 3,
          .at_ns = time_after(seconds)};
}

inline Part<Drop> drops_after(std::uint64_t seconds) {
  return {.list = {{.reason = "rule_block", .meaning = "a rule blocks it", .packets = 20 * seconds},
                   {.reason = "no_frame", .meaning = "never here", .packets = 0},
                   {.reason = "flow_table_full", .meaning = "there is no room for another flow", .packets = 4}},
          .total = 3,
          .at_ns = time_after(seconds)};
}

inline Part<Worker> workers_after(std::uint64_t seconds) {
  return {.list = {{.number = 0,
                    .packets = 1'000 * seconds,
                    .handed_over = 10 * seconds,
                    .sleeps = 100 * seconds,
                    .busy_ns = seconds * base::kNanosPerSecond / 4,
                    .log_lost = 0,
                    .flows = 700'000,
                    .flows_limit = 1'000'000,
                    .flows_total = 800'000 + 50 * seconds},
                   {.number = 1,
                    .packets = 500 * seconds,
                    .handed_over = 0,
                    .sleeps = 0,
                    .busy_ns = 10 * seconds * base::kNanosPerSecond,
                    .log_lost = 3,
                    .flows = 534'567,
                    .flows_limit = 1'000'000,
                    .flows_total = 600'000}},
          .total = 2,
          .at_ns = time_after(seconds)};
}

/// A second sample, `seconds` after the first, has `seconds` times the traffic of one.
inline Sample sample_after(std::uint64_t seconds) {
  return {.version = "0.1.0",
          .generation = 3,
          .uptime_s = 3'600 + seconds,
          .rules_count = 3,
          .ports = ports_after(seconds),
          .flows = flows_after(seconds),
          .rules = rules_after(seconds),
          .drops = drops_after(seconds),
          .workers = workers_after(seconds)};
}

}  // namespace ringplane::top
