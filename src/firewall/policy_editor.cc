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
#include "firewall/table.h"
#include "firewall/table_edits.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

base::Result<std::shared_ptr<const Policy>> PolicyEditor::after(const Policy& policy, const Step& step) {
  if (const auto* rules = std::get_if<RuleStep>(&step)) {
    return policy.with_rules(rules->first, rules->count, rules->piece);
  }
  if (const auto* contents = std::get_if<ContentsStep>(&step)) {
    return policy.with_table_addresses(contents->table, contents->addresses);
  }
  const auto& table = std::get<TableStep>(step);
  return policy.with_table_change(table.table, table.removed, table.added);
}

std::vector<PolicyEditor::Step> PolicyEditor::merged(std::vector<Step> steps) {
  std::vector<Step> fewer;
  TableEdits edits;
  TableId table = kNoTable;
  const auto settle = [&] {
    if (!edits.empty())
      fewer.emplace_back(TableStep{.table = table, .removed = edits.removed(), .added = edits.added()});
    edits.clear();
  };
  for (Step& step : steps) {
    const auto* change = std::get_if<TableStep>(&step);
    if (change == nullptr || change->table != table) settle();
    if (change == nullptr) {
      fewer.push_back(std::move(step));
    } else {
      table = change->table;
      edits.note(change->removed, change->added);
    }
  }
  settle();
  return fewer;
}

base::Result<std::shared_ptr<const Policy>> PolicyEditor::make(Step step) {
  take_folded();
  auto made = after(*policy_, step);
  if (!made) return made;
  policy_ = *made;
  if (is_folding()) {
    since_.push_back(std::move(step));
  } else if (policy_->wants_folding()) {
    const auto fold = [policy = policy_] { return policy->folded(); };
    if (folder_ == nullptr) {
      folding_ = std::async(std::launch::async, fold);
    } else {
      Folder::Task task(fold);
      folding_ = task.get_future();
      folder_->fold(std::move(task));
    }
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

base::Result<std::shared_ptr<const Policy>> PolicyEditor::replace_table(TableId table,
                                                                        std::vector<TableEntry> entries) {
  return make(ContentsStep{.table = table, .addresses = AddressTable::build(entries)});
}

void PolicyEditor::take_folded() {
  if (is_folding() && folding_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) finish_folding();
}

void PolicyEditor::finish_folding() {
  if (!is_folding()) return;
  std::shared_ptr<const Policy> folded = folding_.get();
  for (const Step& step : merged(std::exchange(since_, {}))) {
    auto made = after(*folded, step);
    if (!made) return;  // it was taken before, so this does not happen; the policy in force stays right
    folded = std::move(*made);
  }
  policy_ = std::move(folded);
}

}  // namespace ringplane::firewall
