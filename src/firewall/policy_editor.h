// PolicyEditor: the policy in force, and its changes one after the other. When about half of the changes that fit have
// been made it lets the policy be folded by a thread of its own, while changes go on, and repeats on the folded one
// those that were made meanwhile. So a change never waits for a fold; only if more are made in the time of one fold
// than fit does one of them compile all.
//
// Owned and used by one thread, as a rule that of the control plane. What it returns may be read by any.
#pragma once

#include <cstddef>
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

class PolicyEditor {
 public:
  explicit PolicyEditor(std::shared_ptr<const Policy> policy) : policy_(std::move(policy)) {}

  [[nodiscard]] const std::shared_ptr<const Policy>& policy() const noexcept { return policy_; }
  [[nodiscard]] bool is_folding() const noexcept { return folding_.valid(); }

  /// As Policy::with_rules() and with_table_change(), whose errors they return; then the policy stays as it is.
  base::Result<std::shared_ptr<const Policy>> change_rules(std::size_t first, std::size_t count, ParseResult piece);
  base::Result<std::shared_ptr<const Policy>> change_table(TableId table, std::vector<wire::Prefix> removed,
                                                           std::vector<TableEntry> added);
  /// Takes the folded policy over if it is ready, as each change does first; policy() decides what it decided before.
  void take_folded();
  /// Waits until it is ready.
  void finish_folding();

 private:
  struct RuleStep {
    std::size_t first = 0;
    std::size_t count = 0;
    ParseResult piece;
  };
  struct TableStep {
    TableId table = 0;
    std::vector<wire::Prefix> removed;
    std::vector<TableEntry> added;
  };
  using Step = std::variant<RuleStep, TableStep>;

  [[nodiscard]] static base::Result<std::shared_ptr<const Policy>> after(const Policy& policy, const Step& step);
  base::Result<std::shared_ptr<const Policy>> make(Step step);

  std::shared_ptr<const Policy> policy_;
  std::future<std::shared_ptr<const Policy>> folding_;
  std::vector<Step> since_;  // made since folding began
};

}  // namespace ringplane::firewall
