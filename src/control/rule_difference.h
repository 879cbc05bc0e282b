// What is different between two versions of the rules, as a person wants to see it before and after they are swapped:
// rules that were added, removed, changed or moved, table entries, options. Control process; costs what there are
// rules, some microseconds each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "firewall/ruleset.h"

namespace ringplane::control {

enum class ChangeKind : std::uint8_t { kAdded, kRemoved, kChanged, kMoved };

/// A rule is the same as one before if that has its text or else its label (worker/rule_counts.h); one without such a
/// twin that stands behind the same rule as an untwinned one before is that one, changed. Moved: same text, but among
/// the rules that stay it stands elsewhere, or in another anchor.
struct RuleChange {
  ChangeKind kind = ChangeKind::kAdded;
  std::string was;    ///< text before; "": added
  std::string now;    ///< text after; "": removed
  std::string place;  ///< file:line of the rule after, or of the removed one
  std::string label;
};

/// A named table; kAdded and kRemoved: the whole table.
struct TableChange {
  ChangeKind kind = ChangeKind::kChanged;
  std::string name;
  std::size_t entries_added = 0;
  std::size_t entries_removed = 0;
};

struct RuleDifference {
  std::size_t added = 0;
  std::size_t removed = 0;
  std::size_t changed = 0;
  std::size_t moved = 0;
  std::vector<RuleChange> rules;  ///< in the order of the rules after; at most as many as were asked for
  std::vector<TableChange> tables;
  std::vector<std::string> options_added;  ///< `set` lines
  std::vector<std::string> options_removed;

  [[nodiscard]] std::size_t rule_changes() const noexcept { return added + removed + changed + moved; }
};

inline constexpr std::size_t kMostListedChanges = 200;

[[nodiscard]] RuleDifference difference_of(const firewall::Ruleset& before, const firewall::Ruleset& after,
                                           std::size_t most_listed = kMostListedChanges);
[[nodiscard]] nlohmann::ordered_json to_json(const RuleDifference& difference);

}  // namespace ringplane::control
