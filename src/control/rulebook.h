// Rulebook: which rules run, which ran before, and how one comes from the ones to the others: `ringplane apply`,
// `confirm`, `rollback`, `history`, and SIGHUP. Control process; its main thread calls every member.
//
// Nothing is changed unless everything is in order: files read, rules compiled, tests held, the data process gone over.
// Then the version is written down; that it cannot be is a warning.
//
// Rules that wait for `confirm` are in force. What the deadline is and which rules come back then lies in the estate,
// so that it holds for a control process that comes after this one has died: holdings "rules", "rules_before" (only
// while they wait) and "rules_state" (JSON).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/holdings.h"
#include "base/result.h"
#include "control/config.h"
#include "control/rule_history.h"
#include "control/rule_version.h"

namespace ringplane::control {

struct ApplyWish {
  std::string by = "apply";     ///< VersionFacts::by
  std::uint32_t confirm_s = 0;  ///< 0: for good; else kLeastConfirmSeconds to kMostConfirmSeconds
  bool dry_run = false;         ///< only tell what would change
};
inline constexpr std::uint32_t kLeastConfirmSeconds = 5;
inline constexpr std::uint32_t kMostConfirmSeconds = 3600;

class Rulebook {
 public:
  /// What the control process does for it.
  class Doer {
   public:
    Doer() = default;
    Doer(const Doer&) = delete;
    Doer& operator=(const Doer&) = delete;
    virtual ~Doer() = default;
    /// The data process goes over to the rules among these holdings, and both processes keep them all, in place of
    /// those of these names before. Returns the generation. Fails: everything is as it was.
    [[nodiscard]] virtual base::Result<std::string> go_over(base::Holdings rules) = 0;
    /// Both keep these holdings in place of those of these names; the rules stay.
    [[nodiscard]] virtual base::Result<void> keep(base::Holdings known) = 0;
    /// Flows that there is memory for.
    [[nodiscard]] virtual std::uint32_t flow_room() const noexcept = 0;
  };

  explicit Rulebook(const Config& config);

  /// Before a data process is started: the rules to start it with, which are those on disk, unless these were gone back
  /// from, or never confirmed, and the ones gone back to are kept.
  [[nodiscard]] RuleVersion version_to_start_with(RuleVersion on_disk);
  /// The data process runs what version_to_start_with() said. `doer` outlives this, or is replaced before; so below.
  void started(RuleVersion version, Doer& doer);
  /// A data process was found; `holdings` are those of its estate.
  void found(const base::Holdings& holdings, Doer& doer);
  /// After found(): whether the rules on disk are to be taken: they are others than those that run, nobody has gone
  /// back from them, and none wait for a confirmation.
  [[nodiscard]] bool wants(const RuleVersion& on_disk) const;

  /// Reads the configuration's `rules` and `tests` anew, and all files they name. The answer is described in
  /// docs/reference/apply.md; so for the next three. Fails with every error, which is also logged, and changes nothing.
  [[nodiscard]] base::Result<nlohmann::ordered_json> apply(const ApplyWish& wish);
  [[nodiscard]] base::Result<nlohmann::ordered_json> confirm();
  /// 0: the version before the one that runs.
  [[nodiscard]] base::Result<nlohmann::ordered_json> rollback(std::uint32_t to);
  [[nodiscard]] nlohmann::ordered_json history() const;
  /// What version `number` changed.
  [[nodiscard]] base::Result<nlohmann::ordered_json> history_of(std::uint32_t number) const;

  /// Now and then: goes back if the time for a confirmation is over.
  void watch_deadline(std::uint64_t now_ns);
  [[nodiscard]] bool is_waiting() const noexcept { return waiting_.has_value(); }
  [[nodiscard]] std::size_t rule_count() const noexcept { return running_.ruleset.rules.size(); }
  [[nodiscard]] const firewall::Options& options() const noexcept { return running_.ruleset.options; }

 private:
  /// The running version is gone back from at the deadline.
  struct Waiting {
    std::uint64_t deadline_ns = 0;  // monotonic, which processes have in common
    std::uint32_t before = 0;       // number of the version that comes back
    std::string packed;
  };
  /// How a version is to come into force.
  struct Entry {
    std::string by;
    std::uint32_t same_as = 0;
    std::uint32_t confirm_s = 0;
    std::vector<std::string> warnings{};
  };
  [[nodiscard]] base::Result<nlohmann::ordered_json> try_apply(const ApplyWish& wish);
  [[nodiscard]] base::Result<nlohmann::ordered_json> put_in_force(RuleVersion version, Entry entry);
  [[nodiscard]] base::Result<nlohmann::ordered_json> go_back(std::uint32_t to, std::string packed, std::string by);
  /// `rules`: nullptr if they stay.
  [[nodiscard]] base::Result<base::Holdings> holdings_for(const std::string* rules, std::uint32_t number,
                                                          const std::optional<Waiting>& waiting,
                                                          const std::string& left) const;
  void add_to_history(VersionFacts facts, const std::string& packed, std::vector<std::string>& warnings);
  void set_waiting(std::optional<Waiting> waiting, std::vector<std::string>& warnings);
  /// nullptr: none is kept.
  [[nodiscard]] const VersionFacts* version_before(std::uint32_t number) const noexcept;
  [[nodiscard]] std::uint64_t seconds_left() const noexcept;

  Config config_;
  Doer* doer_ = nullptr;
  RuleHistory history_;
  RuleVersion running_;
  std::uint32_t running_number_ = 0;
  VersionFacts start_;  // what version_to_start_with() has found about it
  std::string left_;    // digest of the rules that were gone back from, while those gone back to run
  std::optional<Waiting> waiting_;
  std::uint64_t try_again_ns_ = 0;  // after going back has failed
};

}  // namespace ringplane::control
