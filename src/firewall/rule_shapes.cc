#include "firewall/rule_shapes.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "firewall/rule_tables.h"

namespace ringplane::firewall {
namespace {

using Shape = RuleTables::Shape;

/// Rules of one key that a merge may bring together; what stood together before may go on.
constexpr std::uint32_t kLongest = 2;
/// Groups that a group is tried with, nearest first.
constexpr std::size_t kTries = 8;

Shape common(const Shape& a, const Shape& b) noexcept {
  return {.source = a.source & b.source,
          .destination = a.destination & b.destination,
          .ports = a.ports & b.ports,
          .protocol = a.protocol & b.protocol};
}

unsigned bits_of(const Shape& shape) noexcept {
  // A protocol tells little: nearly all is TCP.
  return static_cast<unsigned>(std::popcount(shape.source) + std::popcount(shape.destination) +
                               std::popcount(shape.ports) + std::popcount(shape.protocol) / 4);
}

Shape shape_of(const HotRule& rule) noexcept {
  Shape shape{.source = rule.source_mask, .destination = rule.destination_mask};
  if (rule.source_port_low == rule.source_port_high) shape.ports |= 0xffff'0000;
  if (rule.destination_port_low == rule.destination_port_high) shape.ports |= 0xffff;
  if ((rule.wants & kWantProtocol) != 0) shape.protocol = 0xff;
  return shape;
}

/// How evenly keys are spread.
struct Spread {
  std::size_t keys = 0;
  std::uint32_t longest = 0;
};

/// Counts rules by key; keeps its memory from one count to the next.
class KeyCounter {
 public:
  explicit KeyCounter(std::span<const HotRule> rules) : rules_(rules) {}

  template <class... Members>
  Spread count(const Shape& shape, std::size_t expected, const Members&... members) {
    const std::size_t size = std::bit_ceil(expected * 2 + 1);
    slots_.assign(size, Slot{});
    Spread spread;
    (add(shape, members, size - 1, spread), ...);
    return spread;
  }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t rules = 0;
  };
  void add(const Shape& shape, std::span<const std::uint32_t> members, std::size_t mask, Spread& spread) {
    for (const std::uint32_t member : members) {
      const std::uint32_t hash = shape_hash(rules_[member], shape);
      std::size_t at = hash & mask;
      while (slots_[at].rules != 0 && slots_[at].hash != hash) at = (at + 1) & mask;
      if (slots_[at].rules == 0) ++spread.keys;
      slots_[at].hash = hash;
      spread.longest = std::max(spread.longest, ++slots_[at].rules);
    }
  }

  std::span<const HotRule> rules_;
  std::vector<Slot> slots_;
};

struct Group {
  ShapeGroup group;
  Spread spread;
  bool settled = false;
};

class Merger {
 public:
  explicit Merger(std::span<const HotRule> rules) : counter_(rules), budget_(rules.size() * 64 + 1'000'000) {
    std::map<Shape, std::vector<std::uint32_t>> by_shape;
    for (std::uint32_t i = 0; i < rules.size(); ++i) by_shape[shape_of(rules[i])].push_back(i);
    for (auto& [shape, members] : by_shape) {
      const Spread spread = counter_.count(shape, members.size(), members);
      groups_.push_back({.group = {.shape = shape, .members = std::move(members)}, .spread = spread});
    }
  }

  /// The smallest group first: those cost the most lookups for the least.
  std::vector<ShapeGroup> run() {
    for (;;) {
      std::size_t smallest = groups_.size();
      for (std::size_t i = 0; i < groups_.size(); ++i) {
        if (groups_[i].settled) continue;
        if (smallest == groups_.size() || size_of(i) < size_of(smallest)) smallest = i;
      }
      if (smallest == groups_.size()) break;
      if (!merge(smallest)) groups_[smallest].settled = true;
    }
    std::vector<ShapeGroup> merged;
    for (Group& group : groups_) merged.push_back(std::move(group.group));
    return merged;
  }

 private:
  [[nodiscard]] std::size_t size_of(std::size_t index) const noexcept { return groups_[index].group.members.size(); }

  bool merge(std::size_t index) {
    std::vector<std::pair<unsigned, std::size_t>> partners;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      if (i == index) continue;
      const Shape& own = groups_[index].group.shape;
      const Shape& other = groups_[i].group.shape;
      const unsigned lost = bits_of(own) + bits_of(other) - 2 * bits_of(common(own, other));
      partners.emplace_back(lost, i);
    }
    const std::size_t tries = std::min(kTries, partners.size());
    std::ranges::partial_sort(partners, partners.begin() + static_cast<std::ptrdiff_t>(tries));
    for (std::size_t i = 0; i < tries; ++i) {
      if (merge_with(index, partners[i].second)) return true;
    }
    return false;
  }

  bool merge_with(std::size_t index, std::size_t partner) {
    Group& from = groups_[index];
    Group& into = groups_[partner];
    const std::size_t size = from.group.members.size() + into.group.members.size();
    if (size > budget_) return false;
    budget_ -= size;
    const Shape shape = common(from.group.shape, into.group.shape);
    const Spread spread = counter_.count(shape, size, from.group.members, into.group.members);
    if (spread.longest > std::max({kLongest, from.spread.longest, into.spread.longest})) return false;
    if (spread.keys < std::min(size / 2, (from.spread.keys + into.spread.keys) * 9 / 10)) return false;
    into.group.shape = shape;
    into.group.members.insert(into.group.members.end(), from.group.members.begin(), from.group.members.end());
    into.spread = spread;
    groups_.erase(groups_.begin() + static_cast<std::ptrdiff_t>(index));
    return true;
  }

  KeyCounter counter_;
  std::size_t budget_;  // rules that may still be hashed: compiling stays linear, whatever the rules are
  std::vector<Group> groups_;
};

}  // namespace

std::uint32_t shape_hash(const HotRule& rule, const RuleTables::Shape& shape) noexcept {
  const std::uint32_t ports = (std::uint32_t{rule.source_port_low} << 16) | rule.destination_port_low;
  return shape_hash(rule.source & shape.source, rule.destination & shape.destination, ports & shape.ports,
                    rule.protocol & shape.protocol);
}

std::vector<ShapeGroup> merged_shapes(std::span<const HotRule> rules) {
  return Merger(rules).run();
}

}  // namespace ringplane::firewall
