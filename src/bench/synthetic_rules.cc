// The generator behind `synth:N`: sites with nested networks, services as firewalls have them, and the headers to meet
// them.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/random.h"
#include "bench/classbench.h"
#include "wire/packet.h"

namespace ringplane::bench {
namespace {

constexpr std::array<std::uint16_t, 12> kServices = {80, 443, 22, 25, 53, 110, 123, 143, 389, 993, 3306, 8080};

struct Network {
  std::uint32_t address = 0;
  std::uint8_t length = 0;
};

std::uint32_t mask_of(unsigned length) noexcept {
  return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
}

/// Sites, each with subnets and hosts inside them: a part of the address space that rules share.
class Places {
 public:
  Places(std::uint64_t sites, base::Random& random) : random_(random) {
    for (std::uint64_t i = 0; i < sites; ++i) {
      const auto address = static_cast<std::uint32_t>((1 + random_.below(222)) << 24 | random_.below(1U << 24));
      sites_.push_back(address & mask_of(16));
    }
  }

  /// `weights`: how often host, /24 to /28, /16 to /23, shorter, any; out of their sum.
  Network draw(const std::array<std::uint32_t, 5>& weights) {
    std::uint32_t sum = 0;
    for (const std::uint32_t weight : weights) sum += weight;
    auto left = static_cast<std::uint32_t>(random_.below(sum));
    std::size_t kind = 0;
    while (left >= weights[kind]) left -= weights[kind++];
    std::uint8_t length = 0;
    switch (kind) {
      case 0: length = 32; break;
      case 1: length = static_cast<std::uint8_t>(24 + random_.below(5)); break;
      case 2: length = static_cast<std::uint8_t>(16 + random_.below(8)); break;
      case 3: length = static_cast<std::uint8_t>(8 + random_.below(8)); break;
      default: return {};
    }
    const std::uint32_t site = sites_[random_.below(sites_.size())];
    const auto inside = static_cast<std::uint32_t>(random_.below(1U << 16));
    return {.address = (site | inside) & mask_of(length), .length = length};
  }

 private:
  base::Random& random_;
  std::vector<std::uint32_t> sites_;
};

void draw_ports(ClassBenchRule& rule, base::Random& random) {
  const std::uint64_t kind = random.below(100);
  const auto single = static_cast<std::uint16_t>(random.below(3) != 0 ? kServices[random.below(kServices.size())]
                                                                      : 1024 + random.below(64512));
  if (kind < 65) {
    rule.destination_port_low = rule.destination_port_high = single;
  } else if (kind < 80) {
    rule.destination_port_low = 1024;
  } else if (kind < 90) {
    rule.destination_port_low = static_cast<std::uint16_t>(random.below(60000));
    rule.destination_port_high = static_cast<std::uint16_t>(rule.destination_port_low + 1 + random.below(5000));
  }
  if (random.below(10) == 0) rule.source_port_low = 1024;
  if (random.below(20) == 0) rule.source_port_low = rule.source_port_high = single;
}

unsigned specificity(const ClassBenchRule& rule) noexcept {
  return unsigned{rule.source_length} + rule.destination_length + (rule.any_protocol ? 0U : 4U) +
         (rule.destination_port_low == rule.destination_port_high ? 8U : 0U) +
         (rule.source_port_low == rule.source_port_high ? 8U : 0U);
}

auto fields_of(const ClassBenchRule& rule) noexcept {
  return std::array<std::uint64_t, 3>{
      std::uint64_t{rule.source} << 32 | rule.destination,
      std::uint64_t{rule.source_port_low} << 48 | std::uint64_t{rule.source_port_high} << 32 |
          std::uint64_t{rule.destination_port_low} << 16 | rule.destination_port_high,
      std::uint64_t{rule.source_length} << 24 | std::uint64_t{rule.destination_length} << 16 |
          std::uint64_t{rule.protocol} << 8 | (rule.any_protocol ? 1U : 0U)};
}

std::uint16_t within(std::uint16_t low, std::uint16_t high, base::Random& random) {
  return static_cast<std::uint16_t>(low + random.below(std::uint64_t{high} - low + 1));
}

TraceHeader point_of(const ClassBenchRule& rule, base::Random& random) {
  const auto bits = [&random] { return static_cast<std::uint32_t>(random()); };
  return {.source = rule.source | (bits() & ~mask_of(rule.source_length)),
          .destination = rule.destination | (bits() & ~mask_of(rule.destination_length)),
          .source_port = within(rule.source_port_low, rule.source_port_high, random),
          .destination_port = within(rule.destination_port_low, rule.destination_port_high, random),
          .protocol = rule.any_protocol ? wire::protocol::kTcp : rule.protocol};
}

}  // namespace

std::vector<ClassBenchRule> synthetic_rules(std::uint64_t count, std::uint64_t seed) {
  base::Random random(seed);
  Places places(count / 64 + 4, random);
  std::vector<ClassBenchRule> rules;
  for (std::uint64_t i = 0; i < count; ++i) {
    ClassBenchRule rule;
    const Network source = places.draw({30, 20, 20, 10, 20});
    const Network destination = places.draw({55, 25, 12, 5, 3});
    rule.source = source.address;
    rule.source_length = source.length;
    rule.destination = destination.address;
    rule.destination_length = destination.length;
    const std::uint64_t kind = random.below(100);
    rule.any_protocol = kind >= 95;
    rule.protocol = kind < 75 ? wire::protocol::kTcp : kind < 92 ? wire::protocol::kUdp : wire::protocol::kIcmp;
    if (rule.any_protocol) rule.protocol = 0;
    if (kind < 92) draw_ports(rule, random);
    rules.push_back(rule);
  }
  std::ranges::sort(rules, [](const ClassBenchRule& a, const ClassBenchRule& b) {
    return std::pair(specificity(b), fields_of(a)) < std::pair(specificity(a), fields_of(b));
  });
  const auto same = std::ranges::unique(rules, {}, fields_of);
  rules.erase(same.begin(), same.end());
  return rules;
}

std::vector<TraceHeader> synthetic_trace(const std::vector<ClassBenchRule>& rules, std::uint64_t count, bool mixed,
                                         std::uint64_t seed) {
  base::Random random(seed + 1);
  const auto any_rule = [&]() -> const ClassBenchRule& { return rules[random.below(rules.size())]; };
  std::vector<TraceHeader> headers;
  for (std::uint64_t i = 0; i < count; ++i) {
    TraceHeader header = point_of(any_rule(), random);
    if (mixed && i % 2 == 1) {
      const TraceHeader third = point_of(any_rule(), random);
      header.destination = point_of(any_rule(), random).destination;
      header.destination_port = third.destination_port;
      header.protocol = third.protocol;
      header.source_port = static_cast<std::uint16_t>(1024 + random.below(64512));
    }
    header.match = first_match(rules, header);
    headers.push_back(header);
  }
  return headers;
}

}  // namespace ringplane::bench
