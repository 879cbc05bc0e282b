// One line "-A CHAIN ..." of iptables-save: matches and target with their options, in the order in which they stand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "translate/filter.h"
#include "wire/ip_address.h"

namespace ringplane::translate {

class IptablesRule {
 public:
  /// `words` begin with "-A" and the chain.
  IptablesRule(std::vector<std::string> words, wire::Family family);

  /// An empty text, or what is wrong with the line: nothing that iptables-save prints.
  [[nodiscard]] std::string read();

  [[nodiscard]] const std::string& chain() const noexcept { return words_[1]; }
  [[nodiscard]] FilterRule& rule() noexcept { return rule_; }
  /// Why pf cannot say it; empty if it can.
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }

 private:
  struct Option {
    std::string_view name;
    void (IptablesRule::*read)(bool negated);
  };
  static const Option kOptions[];

  void refuse(std::string reason);
  void wrong(std::string sentence);
  /// The word behind the option; none: the line is wrong.
  std::string value();

  void read_match(bool negated);
  void read_protocol(bool negated);
  void read_source(bool negated);
  void read_destination(bool negated);
  void read_address(AddressCondition& side, bool negated);
  void read_source_range(bool negated);
  void read_destination_range(bool negated);
  void read_range(AddressCondition& side, bool negated);
  void read_in(bool negated);
  void read_out(bool negated);
  void read_interface(InterfaceCondition& side, bool negated);
  void read_source_ports(bool negated);
  void read_destination_ports(bool negated);
  void read_both_ports(bool negated);
  void read_ports(PortRanges FilterRule::* side, bool negated);
  void read_flags(bool negated);
  void read_syn(bool negated);
  void read_icmp(bool negated);
  void read_states(bool negated);
  void read_fragment(bool negated);
  void read_set(bool negated);
  void read_tos(bool negated);
  void read_comment(bool negated);
  void read_probability(bool negated);
  void read_rate(bool negated);
  void read_rate_mode(bool negated);
  void read_ignored(bool negated);
  void read_goto(bool negated);
  void read_target(bool negated);
  void read_reject_with(bool negated);
  void read_log_prefix(bool negated);
  void finish();

  std::vector<std::string> words_;
  std::size_t at_ = 2;
  std::string option_;
  std::string error_;
  std::string refusal_;
  FilterRule rule_;
  bool has_rate_ = false;
  bool rate_by_source_ = false;
  std::string rate_;
};

}  // namespace ringplane::translate
