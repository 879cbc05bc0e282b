// TableDesk: questions about the tables of a running data plane and changes of them (MessageKind::kTable). Data
// process, its main thread. A question is a JSON object:
//
//   op        list | show | test | add | delete | replace | flush | contents
//   table     its name; not with list
//   limit, offset        show: a page of what it holds, in order
//   address              test
//   save                 changes: only if write_table_file() could save it; the answer has the path
//
// Lists come and go as memory files of packed entries: "entries" with add, delete and replace; into "contents" with
// contents. An answer is a JSON object; one with "error" has the "status" of the API beside it, and then nothing has
// changed.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/holdings.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/data_plane.h"
#include "control/table_journal.h"
#include "firewall/policy.h"
#include "firewall/table_overlay.h"

namespace ringplane::control {

class TableDesk {
 public:
  /// `plane` and `holdings` outlive this. The tables of `plane` are as its policy has them: follow() comes first.
  TableDesk(DataPlane& plane, const base::Holdings& holdings) : plane_(plane), journal_(holdings) {}

  [[nodiscard]] Message answer(const Message& message);
  /// Before the process works: makes what the one that works has changed since the last call.
  void follow();
  /// Every 100 ms or so.
  void keep();

  /// A reload: `policy` with what tables hold now that have no contents in it and were changed while the rules ran.
  /// Fails if these do not fit.
  [[nodiscard]] base::Result<std::shared_ptr<const firewall::Policy>> carry_over(
      std::shared_ptr<const firewall::Policy> policy) const;
  /// Then, when that policy is in force: forgets the changes of all others.
  void forget_others();

 private:
  [[nodiscard]] nlohmann::ordered_json answer_question(const nlohmann::json& asked, const base::Holdings& holdings);
  [[nodiscard]] nlohmann::ordered_json list() const;
  [[nodiscard]] nlohmann::ordered_json show(firewall::TableId table, const nlohmann::json& asked) const;
  [[nodiscard]] nlohmann::ordered_json test(firewall::TableId table, const std::string& address) const;
  [[nodiscard]] nlohmann::ordered_json change(firewall::TableId table, const nlohmann::json& asked,
                                              const base::Holdings& holdings);
  [[nodiscard]] bool keeps_live_contents(const firewall::Ruleset& ruleset, const std::string& name) const;
  void write_journal_anew();

  DataPlane& plane_;
  TableJournal journal_;
  std::set<std::string> changed_;  // tables, while the rules ran
};

}  // namespace ringplane::control
