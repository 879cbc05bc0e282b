// RuleHistory: the versions of the rules that have run, newest last, in a folder: one file a version, "rules-N", which
// is written whole or not at all. A version that cannot be written (no folder, a full disk) is kept in memory instead,
// so it can be gone back to until the control process ends. Control process.
//
// A file: one line of JSON (VersionFacts, and how many bytes of what digest follow), a newline, the packed rules. One
// that is damaged is left out and named in trouble(). The file "waiting" holds the number of a version not confirmed
// yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace ringplane::control {

/// What is told of a version without its rules.
struct VersionFacts {
  std::uint32_t number = 0;   ///< from 1; none comes again
  std::uint64_t time_s = 0;   ///< since 1970
  std::string by{};           ///< "start", "apply", "sighup", "rollback", "expiry"
  std::uint32_t same_as = 0;  ///< rollback and expiry: the version gone back to
  std::string left{};         ///< rollback and expiry: the digest of the rules gone back from
  std::size_t rules = 0;
  std::size_t added = 0;  ///< rules, against the version that ran before
  std::size_t removed = 0;
  std::size_t changed = 0;
  std::size_t moved = 0;
  std::size_t tests = 0;  ///< that were run, and held
  std::string digest{};   ///< of the packed rules
};

[[nodiscard]] nlohmann::ordered_json to_json(const VersionFacts& facts);

class RuleHistory {
 public:
  /// Reads what is there, making the folder if it is missing; "": nothing is kept on disk. At most `most` versions are
  /// kept. Never fails: see trouble().
  [[nodiscard]] static RuleHistory open(std::string folder, std::size_t most);

  /// Oldest first.
  [[nodiscard]] const std::vector<VersionFacts>& versions() const noexcept { return versions_; }
  /// nullptr: it is not kept (any more).
  [[nodiscard]] const VersionFacts* find(std::uint32_t number) const noexcept;
  /// The packed rules of a version. Fails with a sentence if it is not kept, or its file is gone or damaged.
  [[nodiscard]] base::Result<std::string> packed_of(std::uint32_t number) const;
  /// The number of the next version is not below this.
  [[nodiscard]] std::uint32_t next_number() const noexcept { return next_number_; }
  void begin_numbers_at(std::uint32_t number) noexcept { next_number_ = number > next_number_ ? number : next_number_; }
  /// One more, with the next number, which is returned in facts.number. Fails with a sentence if it could not be
  /// written: then it is kept in memory only.
  [[nodiscard]] base::Result<void> add(VersionFacts& facts, const std::string& packed);
  /// The version that waits for a confirmation, so that a start after everything has died knows; 0: none.
  [[nodiscard]] std::uint32_t waiting() const noexcept { return waiting_; }
  /// Fails with a sentence if it could not be written down.
  [[nodiscard]] base::Result<void> set_waiting(std::uint32_t number);
  /// What open() could not read, a sentence each.
  [[nodiscard]] const std::vector<std::string>& trouble() const noexcept { return trouble_; }

 private:
  RuleHistory(std::string folder, std::size_t most) : folder_(std::move(folder)), most_(most) {}
  [[nodiscard]] std::string path_of(std::uint32_t number) const;
  void load();
  void forget_oldest();

  std::string folder_;
  std::size_t most_;
  std::uint32_t next_number_ = 1;
  std::uint32_t waiting_ = 0;
  std::vector<VersionFacts> versions_;
  std::vector<std::pair<std::uint32_t, std::string>> in_memory_;  // packed rules that could not be written, by number
  std::vector<std::string> trouble_;
};

}  // namespace ringplane::control
