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
#include "firewall/table.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

/// Where policies are folded, for who may not start threads at any time.
class Folder {
 public:
  using Task = std::packaged_task<std::shared_ptr<const Policy>()>;

  Folder() = default;
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  virtual ~Folder() = default;
  /// Lets another thread run `task`, soon; does not wait.
  virtual void fold(Task task) = 0;
};

class PolicyEditor {
 public:
  /// Without `folder`, which outlives this, each fold starts a thread.
  explicit PolicyEditor(std::shared_ptr<const Policy> policy, Folder* folder = nullptr)
      : policy_(std::move(policy)), folder_(folder) {}

  [[nodiscard]] const std::shared_ptr<const Policy>& policy() const noexcept { return policy_; }
  [[nodiscard]] bool is_folding() const noexcept { return folding_.valid(); }

  /// As Policy::with_rules() and with_table_change(), whose errors they return; then the policy stays as it is.
  base::Result<std::shared_ptr<const Policy>> change_rules(std::size_t first, std::size_t count, ParseResult piece);
  base::Result<std::shared_ptr<const Policy>> change_table(TableId table, std::vector<wire::Prefix> removed,
                                                           std::vector<TableEntry> added);
  /// As Policy::with_table_contents().
  base::Result<std::shared_ptr<const Policy>> replace_table(TableId table, std::vector<TableEntry> entries);
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
  struct ContentsStep {
    TableId table = 0;
    AddressTable addresses;  ///< as compiled the first time
  };
  using Step = std::variant<RuleStep, TableStep, ContentsStep>;

  [[nodiscard]] static base::Result<std::shared_ptr<const Policy>> after(const Policy& policy, const Step& step);
  base::Result<std::shared_ptr<const Policy>> make(Step step);
  /// The same, with neighbouring changes of one table as one.
  [[nodiscard]] static std::vector<Step> merged(std::vector<Step> steps);

  std::shared_ptr<const Policy> policy_;
  Folder* folder_;
  std::future<std::shared_ptr<const Policy>> folding_;
  std::vector<Step> since_;  // made since folding began
};

}  // namespace ringplane::firewall
