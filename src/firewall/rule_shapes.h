// Which hash tables a set of rules is laid out in: their shapes, merged as far as keys stay almost unique.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firewall/rule_record.h"

namespace ringplane::firewall {

/// Rules (by index) whose keys are hashed over the same bits.
template <unsigned kWords>
struct ShapeGroup {
  Shape<kWords> shape{};
  std::vector<std::uint32_t> members;
};

/// The hash that tables, filters and merging use; `source(word)` and `destination(word)` are already masked by a shape,
/// and so are the rest.
template <unsigned kWords>
[[nodiscard, gnu::always_inline]] inline std::uint32_t shape_hash(auto source, auto destination, std::uint32_t ports,
                                                                  std::uint32_t traits) noexcept {
  std::uint32_t hash = 0;
  for (unsigned word = 0; word < kWords; ++word) {
    hash = (hash + source(word)) * 0x9e3779b1U;
    hash ^= hash >> 15;
  }
  for (unsigned word = 0; word < kWords; ++word) {
    hash = (hash + destination(word)) * 0x85ebca77U;
    hash ^= hash >> 13;
  }
  hash = (hash + (ports ^ (traits * 0x27d4eb2fU))) * 0xc2b2ae3dU;
  return hash ^ (hash >> 16);
}

template <class Rule>
[[nodiscard]] inline std::uint32_t shape_hash(const Rule& rule, const Shape<Rule::kWords>& shape) noexcept {
  return shape_hash<Rule::kWords>([&](unsigned word) { return rule.source_word(word) & shape.source[word]; },
                                  [&](unsigned word) { return rule.destination_word(word) & shape.destination[word]; },
                                  rule.ports_low() & shape.ports, rule.traits() & shape.traits);
}

/// Every rule in exactly one group.
template <class Rule>
[[nodiscard]] std::vector<ShapeGroup<Rule::kWords>> merged_shapes(std::span<const Rule> rules);

extern template std::vector<ShapeGroup<1>> merged_shapes<HotRule>(std::span<const HotRule>);
extern template std::vector<ShapeGroup<4>> merged_shapes<WideRule>(std::span<const WideRule>);

}  // namespace ringplane::firewall
