#include "firewall/rule_shapes.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "firewall/key_block.h"
#include "firewall/rule_record.h"

namespace ringplane::firewall {
namespace {

/// Rules of one key that a merge may bring together; what stood together before may go on.
constexpr std::uint32_t kLongest = 2;
/// Groups that a group is tried with, nearest first.
constexpr std::size_t kTries = 8;

template <unsigned kWords>
Shape<kWords> common(const Shape<kWords>& a, const Shape<kWords>& b) noexcept {
  Shape<kWords> shape{.ports = a.ports & b.ports, .traits = a.traits & b.traits};
  for (unsigned word = 0; word < kWords; ++word) {
    shape.source[word] = a.source[word] & b.source[word];
    shape.destination[word] = a.destination[word] & b.destination[word];
  }
  return shape;
}

template <unsigned kWords>
unsigned bits_of(const Shape<kWords>& shape) noexcept {
  // Protocol and port tell little: nearly all is TCP, and there are few ports.
  int bits = std::popcount(shape.ports) + std::popcount(shape.traits) / 4;
  for (unsigned word = 0; word < kWords; ++word) {
    bits += std::popcount(shape.source[word]) + std::popcount(shape.destination[word]);
  }
  return static_cast<unsigned>(bits);
}

template <class Rule>
Shape<Rule::kWords> shape_of(const Rule& rule) noexcept {
  Shape<Rule::kWords> shape;
  for (unsigned word = 0; word < Rule::kWords; ++word) {
    shape.source[word] = rule.source_bits(word);
    shape.destination[word] = rule.destination_bits(word);
  }
  const std::uint32_t ranges = rule.ports_low() ^ rule.ports_high();
  if ((ranges & 0xffff'0000) == 0) shape.ports |= 0xffff'0000;
  if ((ranges & 0xffff) == 0) shape.ports |= 0xffff;
  shape.traits = rule.traits_bits() & ~kWantTraits;
  return shape;
}

/// How evenly keys are spread.
struct Spread {
  std::size_t keys = 0;
  std::uint32_t longest = 0;
};

/// Counts rules by key; keeps its memory from one count to the next.
template <class Rule>
class KeyCounter {
 public:
  explicit KeyCounter(std::span<const Rule> rules) : rules_(rules) {}

  template <class... Members>
  Spread count(const Shape<Rule::kWords>& shape, std::size_t expected, const Members&... members) {
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
  void add(const Shape<Rule::kWords>& shape, std::span<const std::uint32_t> members, std::size_t mask, Spread& spread) {
    for (const std::uint32_t member : members) {
      const std::uint32_t hash = shape_hash(rules_[member], shape);
      std::size_t at = hash & mask;
      while (slots_[at].rules != 0 && slots_[at].hash != hash) at = (at + 1) & mask;
      if (slots_[at].rules == 0) ++spread.keys;
      slots_[at].hash = hash;
      spread.longest = std::max(spread.longest, ++slots_[at].rules);
    }
  }

  std::span<const Rule> rules_;
  std::vector<Slot> slots_;
};

template <unsigned kWords>
struct Group {
  ShapeGroup<kWords> group;
  Spread spread;
  bool settled = false;
};

template <class Rule>
class Merger {
 public:
  static constexpr unsigned kWords = Rule::kWords;

  explicit Merger(std::span<const Rule> rules) : counter_(rules), budget_(rules.size() * 64 + 1'000'000) {
    std::map<Shape<kWords>, std::vector<std::uint32_t>> by_shape;
    for (std::uint32_t i = 0; i < rules.size(); ++i) by_shape[shape_of(rules[i])].push_back(i);
    for (auto& [shape, members] : by_shape) {
      const Spread spread = counter_.count(shape, members.size(), members);
      groups_.push_back({.group = {.shape = shape, .members = std::move(members)}, .spread = spread});
    }
  }

  /// The smallest group first: those cost the most lookups for the least.
  std::vector<ShapeGroup<kWords>> run() {
    for (;;) {
      std::size_t smallest = groups_.size();
      for (std::size_t i = 0; i < groups_.size(); ++i) {
        if (groups_[i].settled) continue;
        if (smallest == groups_.size() || size_of(i) < size_of(smallest)) smallest = i;
      }
      if (smallest == groups_.size()) break;
      if (!merge(smallest)) groups_[smallest].settled = true;
    }
    std::vector<ShapeGroup<kWords>> merged;
    for (Group<kWords>& group : groups_) merged.push_back(std::move(group.group));
    return merged;
  }

 private:
  [[nodiscard]] std::size_t size_of(std::size_t index) const noexcept { return groups_[index].group.members.size(); }

  bool merge(std::size_t index) {
    std::vector<std::pair<unsigned, std::size_t>> partners;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      if (i == index) continue;
      const Shape<kWords>& own = groups_[index].group.shape;
      const Shape<kWords>& other = groups_[i].group.shape;
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
    Group<kWords>& from = groups_[index];
    Group<kWords>& into = groups_[partner];
    const std::size_t size = from.group.members.size() + into.group.members.size();
    if (size > budget_) return false;
    budget_ -= size;
    const Shape<kWords> shape = common(from.group.shape, into.group.shape);
    const Spread spread = counter_.count(shape, size, from.group.members, into.group.members);
    if (spread.longest > std::max({kLongest, from.spread.longest, into.spread.longest})) return false;
    if (spread.keys < std::min(size / 2, (from.spread.keys + into.spread.keys) * 9 / 10)) return false;
    into.group.shape = shape;
    into.group.members.insert(into.group.members.end(), from.group.members.begin(), from.group.members.end());
    into.spread = spread;
    groups_.erase(groups_.begin() + static_cast<std::ptrdiff_t>(index));
    return true;
  }

  KeyCounter<Rule> counter_;
  std::size_t budget_;  // rules that may still be hashed: compiling stays linear, whatever the rules are
  std::vector<Group<kWords>> groups_;
};

}  // namespace

template <class Rule>
std::vector<ShapeGroup<Rule::kWords>> merged_shapes(std::span<const Rule> rules) {
  return Merger<Rule>(rules).run();
}

template std::vector<ShapeGroup<1>> merged_shapes<HotRule>(std::span<const HotRule>);
template std::vector<ShapeGroup<4>> merged_shapes<WideRule>(std::span<const WideRule>);

}  // namespace ringplane::firewall
