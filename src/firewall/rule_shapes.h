// Which hash tables a set of rules is laid out in: their shapes, merged as far as keys stay almost unique.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firewall/rule_tables.h"

namespace ringplane::firewall {

/// Rules (by index) whose keys are hashed over the same bits.
struct ShapeGroup {
  RuleTables::Shape shape{};
  std::vector<std::uint32_t> members;
};

/// The hash that tables, filters and merging use; one argument each of a key, already masked by a shape.
[[nodiscard, gnu::always_inline]] inline std::uint32_t shape_hash(std::uint32_t source, std::uint32_t destination,
                                                                  std::uint32_t ports,
                                                                  std::uint32_t protocol) noexcept {
  std::uint32_t hash = source * 0x9e3779b1U;
  hash = (hash ^ (hash >> 15)) + destination;
  hash *= 0x85ebca77U;
  hash = (hash ^ (hash >> 13)) + (ports ^ (protocol * 0x27d4eb2fU));
  hash *= 0xc2b2ae3dU;
  return hash ^ (hash >> 16);
}
[[nodiscard]] std::uint32_t shape_hash(const HotRule& rule, const RuleTables::Shape& shape) noexcept;

/// Every rule in exactly one group.
[[nodiscard]] std::vector<ShapeGroup> merged_shapes(std::span<const HotRule> rules);

}  // namespace ringplane::firewall
