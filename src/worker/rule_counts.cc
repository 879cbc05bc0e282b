#include "worker/rule_counts.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "firewall/ruleset.h"
#include "worker/rule_paths.h"

namespace ringplane::worker {
namespace {

using firewall::Rule;
using firewall::Ruleset;

/// A rule by what it is known by; in order, so that of several alike the n-th stands at the n-th place.
struct Known {
  std::string by;
  std::uint32_t rule = 0;
};

std::string text_and_place(const Ruleset& ruleset, const Rule& rule) {
  return ruleset.anchor_path(rule) + '\n' + firewall::text_of(ruleset, rule);
}

std::string label_or_text(const Ruleset& ruleset, const Rule& rule) {
  const std::string_view label = ruleset.label_of(rule);
  return label.empty() ? "text " + firewall::text_of(ruleset, rule) : "label " + std::string(label);
}

template <class Name>
std::vector<Known> known_by(Name&& name, const Ruleset& ruleset, const std::vector<bool>& settled) {
  std::vector<Known> list;
  for (std::uint32_t i = 0; i < ruleset.rules.size(); ++i) {
    if (!settled[i]) list.push_back({name(ruleset, ruleset.rules[i]), i});
  }
  std::ranges::sort(list, {}, [](const Known& known) { return std::tie(known.by, known.rule); });
  return list;
}

}  // namespace

void add_counts(const RulePaths& paths, std::vector<RuleCounts>& counts) noexcept {
  for (std::uint32_t i = 0; i < paths.size(); ++i) {
    const RulePath& path = paths.at(base::RulePathId{i});
    for (const base::RuleId rule : {path.in, path.out != path.in ? path.out : base::RuleId{}}) {
      if (!rule.valid()) continue;
      RuleCounts& of_rule = counts[rule.value];
      of_rule.packets += path.packets.get();
      of_rule.bytes += path.bytes.get();
      of_rule.states += path.flows.get();
      of_rule.states_total += path.flows_total.get();
    }
  }
}

RuleSuccession::RuleSuccession(const Ruleset& present, const Ruleset& next)
    : heirs_(present.rules.size()), next_count_(next.rules.size()) {
  std::vector<bool> has_heir(present.rules.size());
  std::vector<bool> is_heir(next.rules.size());
  const auto pair_by = [&](auto&& name) {
    const std::vector<Known> before = known_by(name, present, has_heir);
    const std::vector<Known> after = known_by(name, next, is_heir);
    for (std::size_t i = 0, j = 0; i < before.size() && j < after.size();) {
      const int order = before[i].by.compare(after[j].by);
      if (order == 0) {
        heirs_[before[i].rule] = base::RuleId{after[j].rule};
        has_heir[before[i].rule] = true;
        is_heir[after[j].rule] = true;
      }
      if (order <= 0) ++i;
      if (order >= 0) ++j;
    }
  };
  pair_by(text_and_place);
  pair_by(label_or_text);
}

std::vector<RuleCounts> RuleTotals::of(const Paths& paths) const {
  std::vector<RuleCounts> counts = inherited_;
  for (const auto& of_worker : paths) add_counts(*of_worker, counts);
  return counts;
}

void RuleTotals::carry_over(const RuleSuccession& succession, const Paths& retired) {
  const std::vector<RuleCounts> counted = of(retired);
  std::vector<RuleCounts> inherited(succession.next_count());
  for (std::uint32_t i = 0; i < counted.size(); ++i) {
    const base::RuleId heir = succession.heir_of(base::RuleId{i});
    if (!heir.valid()) continue;
    inherited[heir.value] = counted[i];
    inherited[heir.value].states = 0;  // flows that stay are counted where the new rules put them
  }
  inherited_ = std::move(inherited);
}

}  // namespace ringplane::worker
