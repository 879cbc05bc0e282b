// One rule of nftables in JSON: its expressions from left to right, each narrows what comes so far. A map of verdicts
// makes several rules of one.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include "translate/filter.h"

namespace ringplane::translate {

/// A named set or map of a table.
struct NftSet {
  std::string table{};  ///< what pf calls it; empty if it does not hold addresses alone
  nlohmann::json elements = nlohmann::json::array();
};

class NftRule {
 public:
  /// `sets` by name and `chain_prefix` are those of the rule's table.
  NftRule(const std::unordered_map<std::string, NftSet>& sets, std::string chain_prefix)
      : sets_(sets), chain_prefix_(std::move(chain_prefix)), rules_(1) {}

  void read(const nlohmann::json& expressions);
  [[nodiscard]] std::vector<FilterRule>& rules() noexcept { return rules_; }
  /// Why pf cannot say it; empty if it can.
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }

 private:
  /// A value of a set, alone or with its verdict.
  struct Element {
    nlohmann::json value;
    nlohmann::json verdict;
  };

  void refuse(std::string reason);
  void read_expression(const std::string& kind, const nlohmann::json& value);
  void read_match(const nlohmann::json& match);
  void read_map(const nlohmann::json& map);
  void read_reject(const nlohmann::json& reject);
  void read_verdict(FilterRule& rule, const nlohmann::json& verdict);
  [[nodiscard]] std::vector<Element> elements_of(const nlohmann::json& value);

  void narrow(FilterRule& rule, const nlohmann::json& left, const std::string& op, const nlohmann::json& right);
  void narrow_payload(FilterRule& rule, const std::string& protocol, const std::string& field, const std::string& op,
                      const nlohmann::json& right);
  void narrow_meta(FilterRule& rule, const std::string& key, const std::string& op, const nlohmann::json& right);
  void narrow_states(FilterRule& rule, const std::string& op, const nlohmann::json& right);
  void narrow_address(AddressCondition& side, const std::string& op, const nlohmann::json& right);
  void narrow_port(FilterRule& rule, PortRanges FilterRule::* side, const std::string& op, const nlohmann::json& right);
  void narrow_interface(InterfaceCondition& side, const std::string& op, const nlohmann::json& right);
  void narrow_tcp_flags(FilterRule& rule, const nlohmann::json& left, const std::string& op,
                        const nlohmann::json& right);
  void narrow_icmp(FilterRule& rule, bool is_code, const std::string& op, const nlohmann::json& right);
  void narrow_protocol(FilterRule& rule, const std::string& op, const nlohmann::json& right);

  const std::unordered_map<std::string, NftSet>& sets_;
  std::string chain_prefix_;
  std::vector<FilterRule> rules_;
  std::string refusal_;
};

/// Prefixes of an element: "192.0.2.1", {"prefix": ..}, {"range": [.., ..]}; empty if it is none of them.
[[nodiscard]] std::vector<wire::Prefix> nft_prefixes(const nlohmann::json& value);
/// Without what may stand around an element: {"elem": {"val": ..}}.
[[nodiscard]] nlohmann::json nft_bare(const nlohmann::json& element);

}  // namespace ringplane::translate
