// Policy: an immutable compiled rule set, what a snapshot holds and every worker reads. Made aside, swapped in whole.
//
// A policy in which one rule or one table is another is made in less than a millisecond, whatever there are of both: it
// shares what did not change with the one it was made of, which goes on to be read. Changes add up, and each costs the
// later ones and the lookups a little; folded() makes the same policy without any, at the cost of compiling it. Who
// changes policies does that aside when wants_folding() (policy_editor.h); who does not pays for it now and then,
// when the changes do not fit any more and the next one compiles all.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "firewall/classifier.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/parser.h"
#include "firewall/prefix_set.h"
#include "firewall/ruleset.h"
#include "firewall/table.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

class Policy {
 public:
  /// Fails with all rendered errors (kBadConfiguration) if the parse has any.
  [[nodiscard]] static base::Result<std::shared_ptr<const Policy>> create(ParseResult parsed);
  /// The policy without rules: everything passes, nothing keeps state.
  [[nodiscard]] static std::shared_ptr<const Policy> pass_all();

  explicit Policy(Ruleset ruleset);
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  /// The policy with the rules of `piece` in place of rules [first, first + count): see with_rules() in
  /// ruleset_change.h, whose errors it fails with, and with those of the parse.
  [[nodiscard]] base::Result<std::shared_ptr<const Policy>> with_rules(std::size_t first, std::size_t count,
                                                                       const ParseResult& piece) const;
  /// The policy with other contents of a table: without the prefixes `removed`, then with the entries `added`, each
  /// whatever its sign was. Fails if the table is const, or the tables would hold more than `set limit table-entries`.
  [[nodiscard]] base::Result<std::shared_ptr<const Policy>> with_table_change(TableId table,
                                                                              std::span<const wire::Prefix> removed,
                                                                              std::span<const TableEntry> added) const;
  /// The policy with these contents of a table alone. Fails likewise; costs what there are entries.
  [[nodiscard]] base::Result<std::shared_ptr<const Policy>> with_table_contents(
      TableId table, std::span<const TableEntry> entries) const {
    return with_table_addresses(table, AddressTable::build(entries));
  }
  /// The same with what was built of them before. Costs nothing of that.
  [[nodiscard]] base::Result<std::shared_ptr<const Policy>> with_table_addresses(TableId table,
                                                                                 AddressTable addresses) const;

  /// About half of the changes that fit have been made: the time to make a folded() one aside.
  [[nodiscard]] bool wants_folding() const noexcept;
  /// The same policy compiled as a whole.
  [[nodiscard]] std::shared_ptr<const Policy> folded() const;

  [[nodiscard]] const Ruleset& ruleset() const noexcept { return ruleset_; }
  [[nodiscard]] const Options& options() const noexcept { return ruleset_.options; }
  [[nodiscard]] const Rule& rule(base::RuleId id) const noexcept { return ruleset_.rule(id); }
  [[nodiscard]] const Classifier& classifier() const noexcept { return classifier_; }
  [[nodiscard]] std::size_t rule_count() const noexcept { return ruleset_.rules.size(); }

  /// Any thread; no allocation.
  [[nodiscard]] Decision classify(const MatchKey& key, const TableOverlay* overlay) const noexcept {
    return classifier_.classify(key, overlay);
  }
  /// decisions.size() >= block.count.
  void classify_block(const KeyBlock& block, std::span<Decision> decisions,
                      const TableOverlay* overlay) const noexcept {
    classifier_.classify_block(block, decisions, overlay);
  }

  /// For the functions above: of what another policy was compiled to.
  template <class Change>
  Policy(Ruleset ruleset, const Classifier& before, Change&& change)
      : ruleset_(std::move(ruleset)), classifier_(ruleset_, before, std::forward<Change>(change)) {}

 private:
  Ruleset ruleset_;
  Classifier classifier_;
};

}  // namespace ringplane::firewall
