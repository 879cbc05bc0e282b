#include "worker/rule_paths.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/ids.h"
#include "firewall/ruleset.h"

namespace ringplane::worker {
namespace {

// Rule sets pair few of their rules with each other: most have one rule that passes everything out.
constexpr std::uint32_t kMinPaths = 4096;
constexpr std::uint32_t kPathsPerRule = 4;
constexpr std::uint32_t kMaxPaths = 1U << 20;

}  // namespace

RulePaths::RulePaths(std::uint32_t rule_count)
    : capacity_(std::clamp(std::min(rule_count, kMaxPaths) * kPathsPerRule, kMinPaths, kMaxPaths)),
      rule_count_(rule_count),
      slot_mask_(std::bit_ceil(capacity_ * 2) - 1),
      paths_(std::make_unique<RulePath[]>(capacity_)),
      with_options_(std::make_unique<std::uint64_t[]>(capacity_ / 64 + 1)),
      slots_(std::make_unique<std::uint32_t[]>(std::size_t{slot_mask_} + 1)),
      states_(std::make_unique<std::uint32_t[]>(rule_count)),
      sources_(std::make_unique<std::uint32_t[]>(rule_count)) {}

base::RulePathId RulePaths::find(base::RuleId in, base::RuleId out, const firewall::Ruleset& ruleset) noexcept {
  std::uint32_t slot = home(in, out);
  for (; slots_[slot] != 0; slot = (slot + 1) & slot_mask_) {
    const RulePath& path = paths_[slots_[slot] - 1];
    if (path.in == in && path.out == out) return {slots_[slot] - 1};
  }
  const std::uint32_t index = size_.load(std::memory_order_relaxed);
  if (index == capacity_) return {};
  paths_[index].in = in;
  paths_[index].out = out;
  const auto has_options = [&ruleset](base::RuleId rule) {
    return rule.valid() && ruleset.state_options_of(ruleset.rule(rule)) != nullptr;
  };
  paths_[index].has_options = has_options(in) || has_options(out);
  if (paths_[index].has_options) with_options_[index / 64] |= std::uint64_t{1} << (index % 64);
  slots_[slot] = index + 1;
  size_.store(index + 1, std::memory_order_release);
  return {index};
}

void RulePaths::flow_began(base::RulePathId id) noexcept {
  paths_[id.value].flows_total.add(1);
  flow_adopted(id);
}

void RulePaths::flow_adopted(base::RulePathId id) noexcept {
  RulePath& path = paths_[id.value];
  path.flows.add(1);
  if (!path.has_options) return;
  if (path.in.valid()) ++states_[path.in.value];
  if (path.out.valid() && path.out != path.in) ++states_[path.out.value];
}

void RulePaths::flow_ended(base::RulePathId id) noexcept {
  RulePath& path = paths_[id.value];
  path.flows.subtract(1);
  if (!path.has_options) return;
  if (path.in.valid()) --states_[path.in.value];
  if (path.out.valid() && path.out != path.in) --states_[path.out.value];
}

std::uint64_t RulePaths::memory_bytes() const noexcept {
  return capacity_ * sizeof(RulePath) + (capacity_ / 64 + 1) * sizeof(std::uint64_t) +
         (std::uint64_t{slot_mask_} + 1) * sizeof(std::uint32_t) +
         std::uint64_t{rule_count_} * 2 * sizeof(std::uint32_t);
}

}  // namespace ringplane::worker
