// The conditions of one rule in the words of pf.conf.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "translate/filter.h"

namespace ringplane::translate {

/// Where the rules of a chain stand in pf.
struct Place {
  Hook hook = Hook::kForward;
  std::string_view way = "out";
  std::string host_port{};       ///< of the host whose rules these are; empty if they are of what is forwarded
  std::string host_interface{};  ///< what the host calls it
  wire::Family family = wire::Family::kNone;
};

/// Either `all` (any of these texts, each with a blank before it; none if the rule never matches), or a refusal.
struct Conditions {
  std::vector<std::string> all{};
  std::string refusal{};
  bool always = false;  ///< holds of all that comes to the place
};

/// Writes conditions, and remembers what the top of the pf.conf has to define for them.
class PfWords {
 public:
  [[nodiscard]] Conditions conditions_of(const FilterRule& rule, const Place& place);
  /// Those of all but the packets that match, if the rule has one condition that pf can turn round.
  [[nodiscard]] Conditions opposite_of(const FilterRule& rule, const Place& place);

  [[nodiscard]] const std::set<std::string>& ingress() const noexcept { return ingress_; }
  [[nodiscard]] const std::vector<AddressTable>& tables() const noexcept { return tables_; }

 private:
  [[nodiscard]] std::string interfaces_of(const FilterRule& rule, const Place& place, Conditions& into,
                                          std::string& on);
  [[nodiscard]] std::string address_of(const AddressCondition& address, std::string& refusal);

  std::set<std::string> ingress_;
  std::vector<AddressTable> tables_;
  std::map<std::string, std::string> table_names_;  // by contents
};

/// What holds of all packets at a place: " on lan inet".
[[nodiscard]] std::string text_of(const Place& place);
/// As pf reads a name: quoted if it must be.
[[nodiscard]] std::string name_in_pf(std::string_view name);
/// ` label "..."`, shortened and without what pf would replace; "" for an empty text.
[[nodiscard]] std::string label_in_pf(std::string_view text);

}  // namespace ringplane::translate
