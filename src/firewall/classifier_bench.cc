// Cost of a decision, and of making the classifier, as the number of rules grows.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/ids.h"
#include "base/random.h"
#include "firewall/classifier.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/linear.h"
#include "firewall/match_key.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

/// Rules as a large site has them: most by destination host or net and service, some by source.
std::string site_rules(std::size_t count) {
  base::Random random(1);
  static constexpr const char* kServices[] = {"22", "25", "53", "80", "443", "993", "3306", "8000:8999"};
  static constexpr unsigned kLengths[] = {32, 32, 32, 28, 24, 24, 22, 16};
  const auto address = [&random] {
    return std::to_string(10 + random.below(180)) + "." + std::to_string(random.below(256)) + "." +
           std::to_string(random.below(256)) + "." + std::to_string(random.below(256)) + "/" +
           std::to_string(kLengths[random.below(8)]);
  };
  std::string text = "block all\n";
  for (std::size_t i = 1; i < count; ++i) {
    text += random.below(4) == 0 ? "block in quick proto " : "pass in proto ";
    text += random.below(4) == 0 ? "udp from " : "tcp from ";
    text += random.below(2) == 0 ? "any" : address();
    text += " to " + address() + " port " + kServices[random.below(8)] + "\n";
  }
  return text;
}

std::vector<MatchKey> packets_of(const Ruleset& ruleset, std::size_t count) {
  base::Random random(2);
  std::vector<MatchKey> keys(count);
  for (MatchKey& key : keys) {
    const Rule& rule = ruleset.rules[random.below(ruleset.rules.size())];
    key.family = wire::Family::kIpv4;
    key.protocol = rule.protocol < 0 ? 6 : static_cast<std::uint8_t>(rule.protocol);
    key.tcp_flags = 2;
    key.port = base::PortId{0};
    key.source_port = static_cast<std::uint16_t>(random());
    const bool near = random.below(2) == 0;
    key.source = near ? rule.source.prefix.address : wire::IpAddress::from_ipv4(static_cast<std::uint32_t>(random()));
    key.destination =
        near ? rule.destination.prefix.address : wire::IpAddress::from_ipv4(static_cast<std::uint32_t>(random()));
    key.destination_port = rule.destination_port.first;
  }
  return keys;
}

void classify(benchmark::State& state) {
  const ParseResult parsed = parse({.name = "bench", .text = site_rules(static_cast<std::size_t>(state.range(0)))}, {});
  const Classifier classifier(parsed.ruleset);
  const std::vector<MatchKey> keys = packets_of(parsed.ruleset, 4096);
  std::vector<KeyBlock> blocks;
  for (const MatchKey& key : keys) {
    if (blocks.empty() || blocks.back().is_full()) blocks.emplace_back();
    blocks.back().add(key);
  }
  std::array<Decision, KeyBlock::kCapacity> decisions;
  for (auto _ : state) {
    for (const KeyBlock& block : blocks) classifier.classify_block(block, decisions, nullptr);
    benchmark::DoNotOptimize(decisions.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(keys.size()));
  state.counters["tuples"] = static_cast<double>(classifier.table_count(Way::kIn, wire::Family::kIpv4));
  state.counters["bytes_per_rule"] =
      static_cast<double>(classifier.memory_bytes()) / static_cast<double>(parsed.ruleset.rules.size());
}
BENCHMARK(classify)->Arg(10)->Arg(1'000)->Arg(100'000);

void evaluate_linearly(benchmark::State& state) {
  const ParseResult parsed = parse({.name = "bench", .text = site_rules(static_cast<std::size_t>(state.range(0)))}, {});
  const std::vector<MatchKey> keys = packets_of(parsed.ruleset, 64);
  for (auto _ : state) {
    for (const MatchKey& key : keys) benchmark::DoNotOptimize(evaluate(parsed.ruleset, key, nullptr));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(keys.size()));
}
BENCHMARK(evaluate_linearly)->Arg(10)->Arg(1'000);

void parse_text(benchmark::State& state) {
  const std::string text = site_rules(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(parse({.name = "bench", .text = text}, {}));
}
BENCHMARK(parse_text)->Arg(100'000)->Unit(benchmark::kMillisecond);

void compile_rules(benchmark::State& state) {
  const ParseResult parsed = parse({.name = "bench", .text = site_rules(static_cast<std::size_t>(state.range(0)))}, {});
  for (auto _ : state) benchmark::DoNotOptimize(Classifier(parsed.ruleset));
}
BENCHMARK(compile_rules)->Arg(100'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ringplane::firewall
