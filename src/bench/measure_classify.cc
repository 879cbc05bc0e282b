#include "bench/measure_classify.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "bench/classbench.h"
#include "bench/report.h"
#include "bench/rig.h"
#include "bench/rule_source.h"
#include "firewall/classifier.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/policy.h"
#include "firewall/ruleset.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::bench {
namespace {

/// The first packet of a flow: a SYN, an echo request.
firewall::MatchKey key_of(const TraceHeader& header) {
  firewall::MatchKey key{.source = wire::IpAddress::from_ipv4(header.source),
                         .destination = wire::IpAddress::from_ipv4(header.destination),
                         .port = kLan,
                         .way = firewall::Way::kIn,
                         .family = wire::Family::kIpv4,
                         .protocol = header.protocol};
  if (header.protocol == wire::protocol::kTcp) key.tcp_flags = wire::tcp_flag::kSyn;
  if (header.protocol == wire::protocol::kTcp || header.protocol == wire::protocol::kUdp) {
    key.source_port = header.source_port;
    key.destination_port = header.destination_port;
  }
  if (header.protocol == wire::protocol::kIcmp) key.icmp_type = 8;
  return key;
}

/// Side by side, as who asks lays them out once: the worker's admit stage from decoded packets.
std::vector<firewall::KeyBlock> blocks_of(std::span<const TraceHeader> trace) {
  std::vector<firewall::KeyBlock> blocks;
  blocks.reserve(trace.size() / firewall::KeyBlock::kCapacity + 1);
  for (const TraceHeader& header : trace) {
    if (blocks.empty() || blocks.back().is_full()) blocks.emplace_back();
    blocks.back().add(key_of(header));
  }
  return blocks;
}

void look_up_all(const firewall::Policy& policy, std::span<const firewall::KeyBlock> blocks,
                 std::span<firewall::Decision> decisions) {
  std::size_t first = 0;
  for (const firewall::KeyBlock& block : blocks) {
    policy.classify_block(block, decisions.subspan(first, block.count), nullptr);
    first += block.count;
  }
}

/// The same policy by way of changes: each replaces a rule by what the rule says.
base::Result<std::shared_ptr<const firewall::Policy>> changed(std::shared_ptr<const firewall::Policy> policy,
                                                              std::uint32_t changes) {
  base::Random random(changes);
  for (std::uint32_t i = 0; i < changes; ++i) {
    const std::size_t first = random.below(policy->rule_count());
    const std::string text = firewall::text_of(policy->ruleset(), policy->ruleset().rules[first]) + "\n";
    auto made = with_rules_of_text(*policy, first, 1, text);
    if (!made) return std::unexpected(std::move(made.error()));
    policy = std::move(*made);
  }
  return policy;
}

}  // namespace

base::Result<nlohmann::ordered_json> measure_classify(const ClassifyOptions& options) {
  auto source = find_rules(options.rules);
  if (!source) return std::unexpected(std::move(source.error()));
  const auto trace = find_trace(options.trace, *source);
  if (!trace) return std::unexpected(trace.error());
  auto compiled = policy_of(source->name, source->pf_conf);
  if (!compiled) return std::unexpected(std::move(compiled.error()));
  const auto policy = changed(std::move(*compiled), options.changes);
  if (!policy) return std::unexpected(policy.error());

  const std::vector<firewall::KeyBlock> blocks = blocks_of(*trace);
  std::vector<firewall::Decision> decisions(trace->size());
  look_up_all(**policy, blocks, decisions);
  std::uint64_t mismatches = 0;
  for (std::size_t i = 0; i < decisions.size(); ++i) {
    const base::RuleId rule = decisions[i].rule;
    if ((rule.valid() ? std::int64_t{rule.value} : -1) != (*trace)[i].match) ++mismatches;
  }
  std::vector<double> rates;
  for (std::uint32_t repetition = 0; repetition < options.repetitions; ++repetition) {
    const std::uint64_t begin = base::monotonic_ns();
    std::uint64_t lookups = 0;
    std::uint64_t now = begin;
    while (static_cast<double>(now - begin) < options.seconds * 1e9) {
      look_up_all(**policy, blocks, decisions);
      lookups += decisions.size();
      now = base::monotonic_ns();
    }
    rates.push_back(static_cast<double>(lookups) * 1e3 / static_cast<double>(now - begin));
  }
  const firewall::Classifier& classifier = (*policy)->classifier();
  const Spread spread = spread_of(std::move(rates));
  nlohmann::ordered_json report{{"bench", "classify"}, {"rules", options.rules}, {"trace", options.trace}};
  report["rule_count"] = (*policy)->rule_count();
  report["changes"] = options.changes;
  report["headers"] = decisions.size();
  report["mlookups_per_s"] = rounded(spread.median);
  report["mlookups_per_s_spread"] = json_of(spread);
  report["mismatches"] = mismatches;
  report["tables"] = classifier.table_count(firewall::Way::kIn, wire::Family::kIpv4);
  report["bytes_per_rule"] =
      rounded(static_cast<double>(classifier.memory_bytes()) / static_cast<double>((*policy)->rule_count()));
  report["machine"] = machine_facts();
  return report;
}

}  // namespace ringplane::bench
