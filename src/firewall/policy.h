// Policy: an immutable compiled rule set, what a snapshot holds and every worker reads. Made aside, swapped in whole.
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
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"

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

 private:
  Ruleset ruleset_;
  Classifier classifier_;
};

}  // namespace ringplane::firewall
