// ClassBench: sets of rules and traces of headers as research on packet classification has them (D. E. Taylor,
// J. S. Turner, "ClassBench: A Packet Classification Benchmark", IEEE INFOCOM 2005), and a generator of our own in the
// same manner for machines without the files.
//
// The first rule that matches wins. The column of TCP flags is left out: the traces carry none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ringplane::bench {

/// Addresses and ports in host order; ranges with both ends.
struct ClassBenchRule {
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
  std::uint8_t source_length = 0;
  std::uint8_t destination_length = 0;
  std::uint8_t protocol = 0;
  bool any_protocol = true;
  std::uint16_t source_port_low = 0;
  std::uint16_t source_port_high = 0xffff;
  std::uint16_t destination_port_low = 0;
  std::uint16_t destination_port_high = 0xffff;
};

struct TraceHeader {
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t protocol = 0;
  std::int64_t match = -1;  ///< index of the first rule that matches; -1: none
};

/// The whole file; one that ends in .xz decompressed. At most 1 GiB.
[[nodiscard]] base::Result<std::string> read_text(const std::string& path);

/// `name` as it shall appear in errors. An empty text has no rules, and is an error.
[[nodiscard]] base::Result<std::vector<ClassBenchRule>> parse_classbench(const std::string& name,
                                                                         std::string_view text);
[[nodiscard]] base::Result<std::vector<TraceHeader>> parse_trace(const std::string& name, std::string_view text);

/// pf.conf with one `pass quick` for each rule, in order: the pf rule has the index of its ClassBench rule. Fails if a
/// rule restricts ports of a protocol that has none in pf.conf.
[[nodiscard]] base::Result<std::string> pf_conf_of(const std::vector<ClassBenchRule>& rules);

[[nodiscard]] bool matches(const ClassBenchRule& rule, const TraceHeader& header) noexcept;
/// By looking at one rule after the other; -1: none.
[[nodiscard]] std::int64_t first_match(const std::vector<ClassBenchRule>& rules, const TraceHeader& header) noexcept;

/// About `count` different rules: hosts and nested networks, services and ranges, specific ones first. The same for the
/// same seed everywhere.
[[nodiscard]] std::vector<ClassBenchRule> synthetic_rules(std::uint64_t count, std::uint64_t seed);
/// `mixed`: every second header joins parts of different rules and mostly meets broad ones; else each is a random point
/// of a random rule.
[[nodiscard]] std::vector<TraceHeader> synthetic_trace(const std::vector<ClassBenchRule>& rules, std::uint64_t count,
                                                       bool mixed, std::uint64_t seed);

}  // namespace ringplane::bench
