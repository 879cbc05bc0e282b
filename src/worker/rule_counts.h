// What the rules have counted, from the start of the daemon on: a reload brings new RulePaths that begin at zero, and
// what the old ones counted goes over to those rules of the new set that carry on the old ones. Counts of a rule that
// nobody carries on end with it.
//
// Control thread. Old paths may be read for the last time only when their worker has taken the new snapshot: until
// then it counts on them, from then on it does not touch them (SnapshotChange::taken), so nothing is lost or doubled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "firewall/ruleset.h"
#include "worker/rule_paths.h"

namespace ringplane::worker {

struct RuleCounts {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t states = 0;        ///< live now
  std::uint64_t states_total = 0;  ///< ever made; not those taken over from an older snapshot

  [[nodiscard]] bool operator==(const RuleCounts&) const noexcept = default;
};

/// Adds what one worker's pairs have counted to `counts`, which has a place for each rule. A pair counts for both of
/// its rules, once if they are the same.
void add_counts(const RulePaths& paths, std::vector<RuleCounts>& counts) noexcept;

/// Which rule of the next ruleset carries on which of the present one: that with the same text in the same anchor; of
/// what is left, that with the same label, or, without labels, with the same text in any anchor. Of several alike the
/// n-th carries on the n-th. One rule at most carries on a rule, and carries on one at most.
class RuleSuccession {
 public:
  RuleSuccession(const firewall::Ruleset& present, const firewall::Ruleset& next);

  /// None: nobody.
  [[nodiscard]] base::RuleId heir_of(base::RuleId present) const noexcept { return heirs_[present.value]; }
  [[nodiscard]] std::size_t next_count() const noexcept { return next_count_; }

 private:
  std::vector<base::RuleId> heirs_;  // by rule of the present set
  std::size_t next_count_;
};

class RuleTotals {
 public:
  using Paths = std::vector<std::unique_ptr<RulePaths>>;  ///< one per worker

  explicit RuleTotals(std::size_t rule_count = 0) : inherited_(rule_count) {}

  /// What each rule has counted, by itself and before it those that it carries on. `paths` are of the present snapshot.
  [[nodiscard]] std::vector<RuleCounts> of(const Paths& paths) const;
  /// A reload is through: `retired` are the paths of the snapshot before, which no worker touches any more.
  void carry_over(const RuleSuccession& succession, const Paths& retired);

 private:
  std::vector<RuleCounts> inherited_;  // by rule; states stays 0
};

}  // namespace ringplane::worker
