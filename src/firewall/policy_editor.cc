#include "firewall/policy_editor.h"

#include <chrono>
#include <cstddef>
#include <expected>
#include <future>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "firewall/parser.h"
#include "firewall/policy.h"
#include "firewall/prefix_set.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

base::Result<std::shared_ptr<const Policy>> PolicyEditor::after(const Policy& policy, const Step& step) {
  if (const auto* rules = std::get_if<RuleStep>(&step)) {
    return policy.with_rules(rules->first, rules->count, rules->piece);
  }
  const auto& table = std::get<TableStep>(step);
  return policy.with_table_change(table.table, table.removed, table.added);
}

base::Result<std::shared_ptr<const Policy>> PolicyEditor::make(Step step) {
  take_folded();
  auto made = after(*policy_, step);
  if (!made) return made;
  policy_ = *made;
  if (is_folding()) {
    since_.push_back(std::move(step));
  } else if (policy_->wants_folding()) {
    folding_ = std::async(std::launch::async, [policy = policy_] { return policy->folded(); });
  }
  return policy_;
}

base::Result<std::shared_ptr<const Policy>> PolicyEditor::change_rules(std::size_t first, std::size_t count,
                                                                       ParseResult piece) {
  return make(RuleStep{.first = first, .count = count, .piece = std::move(piece)});
}

base::Result<std::shared_ptr<const Policy>> PolicyEditor::change_table(TableId table, std::vector<wire::Prefix> removed,
                                                                       std::vector<TableEntry> added) {
  return make(TableStep{.table = table, .removed = std::move(removed), .added = std::move(added)});
}

void PolicyEditor::take_folded() {
  if (is_folding() && folding_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) finish_folding();
}

void PolicyEditor::finish_folding() {
  if (!is_folding()) return;
  std::shared_ptr<const Policy> folded = folding_.get();
  for (const Step& step : std::exchange(since_, {})) {
    auto made = after(*folded, step);
    if (!made) return;  // it was taken before, so this does not happen; the policy in force stays right
    folded = std::move(*made);
  }
  policy_ = std::move(folded);
}

}  // namespace ringplane::firewall
