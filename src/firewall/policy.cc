#include "firewall/policy.h"

#include <algorithm>
#include <cstddef>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "base/result.h"
#include "firewall/classifier.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/prefix_set.h"
#include "firewall/rule_changes.h"
#include "firewall/ruleset.h"
#include "firewall/ruleset_change.h"
#include "firewall/table.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

/// Of one table, until it is built as a whole again.
constexpr std::size_t kMaxTableChanges = 2'000;
/// Tables that rules are found by: each that has changed is asked for every packet.
constexpr std::size_t kMaxChangedTables = 32;

/// Of what rules name; each change brings some.
constexpr std::size_t kMaxPieces = 512;

std::size_t pieces_of(const Ruleset& ruleset) noexcept {
  return std::max({ruleset.names.pieces().size(), ruleset.state_options.pieces().size(), ruleset.files.pieces().size(),
                   ruleset.tags.pieces().size()});
}

/// Whether the tables of `old` have the same contents in `now`; there, a piece may have defined one that was only
/// named.
bool begins_alike(const TableList& now, const TableList& old) noexcept {
  for (TableId id = 0; id < old.size(); ++id) {
    if (&now[id] != &old[id]) return false;
  }
  return true;
}

base::Result<void> check(const ParseResult& parsed) {
  if (parsed.ok()) return {};
  std::string errors;
  for (const Diagnostic& diagnostic : parsed.diagnostics) {
    if (diagnostic.severity == Severity::kError) errors += (errors.empty() ? "" : "\n") + render(diagnostic);
  }
  return base::fail(std::move(errors), base::ErrorKind::kBadConfiguration);
}

}  // namespace

// An index is made of rules in one piece, so that others can say how they differ from it.
Policy::Policy(Ruleset ruleset)
    : ruleset_(ruleset.rules.pieces().size() > 1 || pieces_of(ruleset) > 1 ? compacted(ruleset) : std::move(ruleset)),
      classifier_(ruleset_) {}

base::Result<std::shared_ptr<const Policy>> Policy::create(ParseResult parsed) {
  if (auto ok = check(parsed); !ok) return std::unexpected(std::move(ok.error()));
  return std::make_shared<const Policy>(std::move(parsed.ruleset));
}

std::shared_ptr<const Policy> Policy::pass_all() {
  Ruleset ruleset;
  ruleset.tags.emplace_back();
  return std::make_shared<const Policy>(std::move(ruleset));
}

base::Result<std::shared_ptr<const Policy>> Policy::with_rules(std::size_t first, std::size_t count,
                                                               const ParseResult& piece) const {
  if (auto ok = check(piece); !ok) return std::unexpected(std::move(ok.error()));
  auto changed = firewall::with_rules(ruleset_, first, count, piece.ruleset);
  if (!changed) return std::unexpected(std::move(changed.error()));
  auto changes = RuleChanges::fit(changed->rules, classifier_.index());
  if (changes == nullptr || pieces_of(*changed) > kMaxPieces || !begins_alike(changed->tables, ruleset_.tables)) {
    return std::make_shared<const Policy>(std::move(*changed));
  }
  return std::make_shared<const Policy>(std::move(*changed), classifier_, std::move(changes));
}

base::Result<std::shared_ptr<const Policy>> Policy::with_table_addresses(TableId table, AddressTable addresses) const {
  const Table& before = ruleset_.tables[table];
  if (before.is_const) return base::fail(fmt::format("table <{}> is const: it changes by a reload only", before.name));
  std::size_t entries = addresses.size();
  for (TableId id = 0; id < ruleset_.tables.size(); ++id) {
    if (id != table && ruleset_.tables[id].is_named) entries += ruleset_.tables[id].addresses.size();
  }
  const std::size_t limit = ruleset_.options.limits.table_entries;
  if (entries > limit && addresses.size() > before.addresses.size()) {
    return base::fail(fmt::format("the tables hold more than {} addresses: see 'set limit table-entries'", limit));
  }
  Ruleset changed = firewall::with_table(ruleset_, table, std::move(addresses));
  auto made = std::make_shared<const Policy>(std::move(changed), classifier_, table);
  if (made->classifier().changed_tables().size() > kMaxChangedTables) return made->folded();
  return made;
}

base::Result<std::shared_ptr<const Policy>> Policy::with_table_change(TableId table,
                                                                      std::span<const wire::Prefix> removed,
                                                                      std::span<const TableEntry> added) const {
  AddressTable changed = ruleset_.tables[table].addresses.changed(removed, added);
  return with_table_addresses(table, changed.change_count() > kMaxTableChanges ? changed.folded() : std::move(changed));
}

bool Policy::wants_folding() const noexcept {
  const RuleChanges* changes = classifier_.changes();
  if (changes != nullptr && changes->is_half_full()) return true;
  if (pieces_of(ruleset_) * 2 > kMaxPieces || classifier_.changed_tables().size() * 2 > kMaxChangedTables) return true;
  return std::ranges::any_of(ruleset_.tables,
                             [](const Table& table) { return table.addresses.change_count() * 2 > kMaxTableChanges; });
}

std::shared_ptr<const Policy> Policy::folded() const {
  // Where only tables have changed, what is numbered keeps its numbers.
  Ruleset flat = ruleset_.rules.pieces().size() > 1 || pieces_of(ruleset_) > 1 ? compacted(ruleset_) : ruleset_;
  for (TableId id = 0; id < flat.tables.size(); ++id) {
    const Table& table = flat.tables[id];
    if (table.addresses.change_count() == 0) continue;
    Table other = table;
    other.addresses = table.addresses.folded();
    flat.tables.replace(id, std::move(other));
  }
  return std::make_shared<const Policy>(std::move(flat));
}

}  // namespace ringplane::firewall
