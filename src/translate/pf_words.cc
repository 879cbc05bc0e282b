#include "translate/pf_words.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "firewall/names.h"
#include "translate/filter.h"
#include "translate/lines.h"
#include "wire/ip_address.h"

namespace ringplane::translate {
namespace {

/// Longer lists of addresses become tables, which are looked up at once.
constexpr std::size_t kLongestList = 16;

std::string list_of(const std::vector<std::string>& items) {
  if (items.size() == 1) return items.front();
  std::string text = "{ ";
  for (const std::string& item : items) text += (&item == &items.front() ? "" : ", ") + item;
  return text + " }";
}

std::string ports_text(const PortRanges& ports) {
  if (ports.empty()) return {};
  std::vector<std::string> items;
  for (const auto& [low, high] : ports) {
    items.push_back(low == high ? std::to_string(low) : std::to_string(low) + ":" + std::to_string(high));
  }
  return " port " + list_of(items);
}

std::string protocols_text(const FilterRule& rule) {
  if (rule.protocols.empty()) return {};
  std::vector<std::string> names;
  for (const std::uint8_t protocol : rule.protocols) names.push_back(firewall::protocol_name(protocol));
  return " proto " + list_of(names);
}

std::string icmp_text(const FilterRule& rule) {
  if (rule.icmp.empty()) return {};
  std::vector<std::string> types;
  for (const IcmpCondition& one : rule.icmp) {
    types.push_back(firewall::icmp_type_name(one.type, rule.family) +
                    (one.code < 0 ? std::string() : " code " + std::to_string(one.code)));
  }
  return std::string(rule.family == wire::Family::kIpv6 ? " icmp6-type " : " icmp-type ") + list_of(types);
}

bool has_one_condition(const FilterRule& rule) {
  const bool others = !rule.protocols.empty() || !rule.source_ports.empty() || !rule.destination_ports.empty() ||
                      !rule.flags.empty() || !rule.icmp.empty() || rule.fragment || rule.tos >= 0 ||
                      !rule.probability.empty();
  const int count = (rule.source.is_any() ? 0 : 1) + (rule.destination.is_any() ? 0 : 1) +
                    (rule.in.names.empty() ? 0 : 1) + (rule.out.names.empty() ? 0 : 1);
  return !others && count == 1;
}

}  // namespace

std::string name_in_pf(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  const bool simple = !name.empty() && std::ranges::all_of(name, plain) &&
                      ((name[0] | 0x20) >= 'a' && (name[0] | 0x20) <= 'z') && !firewall::is_reserved_word(name);
  return simple ? std::string(name) : "\"" + std::string(name) + "\"";
}

std::string text_of(const Place& place) {
  std::string text = place.host_port.empty() ? std::string() : " on " + name_in_pf(place.host_port);
  if (place.family != wire::Family::kNone) text += place.family == wire::Family::kIpv4 ? " inet" : " inet6";
  return text;
}

std::string label_in_pf(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string label;
  for (const char c : text.substr(0, kLongest)) {
    label += c == '"' ? '\'' : c < ' ' || c > '~' || c == '\\' || c == '$' ? '?' : c;
  }
  while (label.ends_with(' ')) label.pop_back();
  return label.empty() ? label : " label \"" + label + "\"";
}

std::string PfWords::address_of(const AddressCondition& address, std::string& refusal) {
  if (address.is_any()) return "any";
  std::vector<std::string> items;
  for (const wire::Prefix& prefix : address.prefixes) items.push_back(wire::to_string(prefix));
  const bool as_table = items.size() > kLongestList || (address.negated && items.size() > 1);
  if (address.negated && items.size() + address.tables.size() > 1 && !address.tables.empty()) {
    refusal = "pf has no rules for all addresses but several tables";
    return {};
  }
  if (as_table) {
    const auto [at, is_new] = table_names_.emplace(list_of(items), "import_" + std::to_string(tables_.size() + 1));
    if (is_new) {
      AddressTable table{.name = at->second};
      for (const wire::Prefix& prefix : address.prefixes) table.entries.push_back({.prefix = prefix});
      tables_.push_back(std::move(table));
    }
    items = {"<" + at->second + ">"};
  }
  for (const std::string& table : address.tables) items.push_back("<" + table + ">");
  return (address.negated ? "! " : "") + list_of(items);
}

/// Adds the alternatives by the interface that the packet came by to `into`; `on` is the other one.
std::string PfWords::interfaces_of(const FilterRule& rule, const Place& place, Conditions& into, std::string& on) {
  if (!place.host_port.empty()) {
    on = " on " + name_in_pf(place.host_port);
    for (const InterfaceCondition* side : {&rule.in, &rule.out}) {
      if (side->names.empty()) continue;
      const bool loopback_only = side->names.size() == 1 && side->names.front() == "lo";
      const bool named = std::ranges::find(side->names, place.host_interface) != side->names.end();
      if (!loopback_only && !named && side->names != std::vector<std::string>{"lo"}) {
        return "about another interface of the host than '" + place.host_interface + "'";
      }
      if (named == side->negated) return {};  // no packet that crosses the wire
    }
    into.all = {""};
    return {};
  }
  if (rule.out.names.size() > 1 && rule.out.negated) return "pf has no rules for all interfaces but several";
  if (rule.in.names.size() > 1 && rule.in.negated) return "pf has no rules for all interfaces but several";
  for (const InterfaceCondition* side : {&rule.in, &rule.out}) {
    for (const std::string& name : side->names) {
      if (name.empty() || name.size() > 15 || !is_quotable(name)) {
        return "no name for an interface";
      }
    }
  }
  if (!rule.out.names.empty()) {
    std::vector<std::string> names;
    for (const std::string& name : rule.out.names) names.push_back(name_in_pf(name));
    on = std::string(" on ") + (rule.out.negated ? "! " : "") + list_of(names);
  }
  if (rule.in.names.empty()) into.all = {""};
  for (const std::string& name : rule.in.names) {
    ingress_.insert(name);
    into.all.push_back(std::string(rule.in.negated ? " !" : "") + " tagged " + name_in_pf(name));
  }
  return {};
}

Conditions PfWords::conditions_of(const FilterRule& asked, const Place& place) {
  Conditions conditions;
  FilterRule rule = asked;
  if (place.family != wire::Family::kNone) narrow_family(rule, place.family);
  settle(rule);
  if (rule.never) return conditions;
  std::string on;
  conditions.refusal = interfaces_of(rule, place, conditions, on);
  const std::string from = address_of(rule.source, conditions.refusal);
  const std::string to = address_of(rule.destination, conditions.refusal);
  if (!conditions.refusal.empty()) {
    conditions.all.clear();
    return conditions;
  }
  const bool has_ports = !rule.source_ports.empty() || !rule.destination_ports.empty();
  if (has_ports && std::ranges::any_of(rule.protocols, [](std::uint8_t one) { return one != kTcp && one != kUdp; })) {
    conditions.refusal = "pf knows ports of TCP and UDP only";
    conditions.all.clear();
    return conditions;
  }
  const bool family_given = rule.family != wire::Family::kNone;
  const bool from_given = !rule.source.is_any() || !rule.source_ports.empty();
  const bool to_given = !rule.destination.is_any() || !rule.destination_ports.empty();
  std::string before = on;
  if (family_given) before += rule.family == wire::Family::kIpv4 ? " inet" : " inet6";
  before += protocols_text(rule);
  if (from_given) before += " from " + from + ports_text(rule.source_ports);
  if (to_given) before += " to " + to + ports_text(rule.destination_ports);
  std::string after = icmp_text(rule);
  if (rule.tos >= 0) after += " tos " + std::to_string(rule.tos);
  if (rule.fragment) after += " fragment";
  if (!rule.probability.empty()) after += " probability " + rule.probability;

  std::vector<std::string> flags;
  for (const FlagsCondition& one : rule.flags) {
    flags.push_back(one.mask == 0 ? std::string()
                                  : " flags " + firewall::tcp_flag_letters(one.value) + "/" +
                                        firewall::tcp_flag_letters(one.mask));
  }
  if (flags.empty()) flags.emplace_back();
  std::vector<std::string> all;
  for (const std::string& tagged : conditions.all) {
    for (const std::string& flag : flags) all.push_back(before + flag + after + tagged);
  }
  conditions.all = std::move(all);
  conditions.always = conditions.all == std::vector<std::string>{text_of(place)};
  return conditions;
}

Conditions PfWords::opposite_of(const FilterRule& rule, const Place& place) {
  Conditions conditions{.refusal =
                            "pf cannot leave a chain: only a rule with one address or interface can be turned round"};
  if (!has_one_condition(rule)) return conditions;
  FilterRule opposite = rule;
  for (AddressCondition* side : {&opposite.source, &opposite.destination}) {
    if (!side->is_any()) side->negated = !side->negated;
  }
  for (InterfaceCondition* side : {&opposite.in, &opposite.out}) {
    if (!side->names.empty()) side->negated = !side->negated;
  }
  conditions = conditions_of(opposite, place);
  settle(opposite);
  if (place.family == wire::Family::kNone && opposite.family != wire::Family::kNone && conditions.refusal.empty()) {
    const bool of_v4 = opposite.family == wire::Family::kIpv4;
    const Conditions rest = conditions_of({.family = of_v4 ? wire::Family::kIpv6 : wire::Family::kIpv4}, place);
    conditions.all.insert(conditions.all.end(), rest.all.begin(), rest.all.end());
  }
  return conditions;
}

}  // namespace ringplane::translate
