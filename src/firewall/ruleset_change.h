// Versions of a ruleset that differ in a few rules or in one table, and share all else with the one they were made of.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "firewall/ruleset.h"
#include "firewall/table.h"
#include "firewall/table_overlay.h"

namespace ringplane::firewall {

/// As many rules as a ruleset may grow to.
inline constexpr std::size_t kMaxRules = 1'000'000;

/// `ruleset` with the rules of `piece` in place of rules [first, first + count). `piece` was parsed with the
/// environment of `ruleset`; it may bring tables, tags and labels, and name tables of `ruleset`. The new rules stand in
/// the anchor of those they replace, or, if count is 0, of the rule that they are put before; rules at the end stand in
/// none. Macros of labels such as $nr are those of `piece` alone. Fails with a sentence if there are no such rules, or
/// anchors or options are touched: these take a reload.
[[nodiscard]] base::Result<Ruleset> with_rules(const Ruleset& ruleset, std::size_t first, std::size_t count,
                                               const Ruleset& piece);

/// `ruleset` with other contents of a table.
[[nodiscard]] Ruleset with_table(const Ruleset& ruleset, TableId table, AddressTable addresses);

/// The same ruleset in one piece, without names and options that no rule uses any more. Costs what there are rules.
[[nodiscard]] Ruleset compacted(const Ruleset& ruleset);

}  // namespace ringplane::firewall
