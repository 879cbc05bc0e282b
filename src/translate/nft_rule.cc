#include "translate/nft_rule.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "firewall/address_range.h"
#include "firewall/names.h"
#include "translate/filter.h"
#include "translate/lines.h"
#include "wire/ip_address.h"

namespace ringplane::translate {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxRulesOfOne = 10'000;

struct NumberWord {
  std::string_view word;
  std::uint8_t number;
};
constexpr NumberWord kFlagNames[] = {{"fin", 1},  {"syn", 2},  {"rst", 4},  {"psh", 8},
                                     {"ack", 16}, {"urg", 32}, {"ecn", 64}, {"cwr", 128}};
constexpr NumberWord kStateNames[] = {{"new", kNew},
                                      {"established", kEstablished},
                                      {"related", kRelated},
                                      {"invalid", kInvalid},
                                      {"untracked", kUntracked}};
constexpr NumberWord kIcmpNames[] = {
    {"echo-reply", 0},         {"destination-unreachable", 3}, {"source-quench", 4},        {"redirect", 5},
    {"echo-request", 8},       {"router-advertisement", 9},    {"router-solicitation", 10}, {"time-exceeded", 11},
    {"parameter-problem", 12}, {"timestamp-request", 13},      {"timestamp-reply", 14},     {"info-request", 15},
    {"info-reply", 16},        {"address-mask-request", 17},   {"address-mask-reply", 18}};
constexpr NumberWord kIcmp6Names[] = {
    {"destination-unreachable", 1},  {"packet-too-big", 2},         {"time-exceeded", 3},
    {"parameter-problem", 4},        {"echo-request", 128},         {"echo-reply", 129},
    {"mld-listener-query", 130},     {"mld-listener-report", 131},  {"mld-listener-done", 132},
    {"mld-listener-reduction", 132}, {"nd-router-solicit", 133},    {"nd-router-advert", 134},
    {"nd-neighbor-solicit", 135},    {"nd-neighbor-advert", 136},   {"nd-redirect", 137},
    {"router-renumbering", 138},     {"ind-neighbor-solicit", 141}, {"ind-neighbor-advert", 142},
    {"mld2-listener-report", 143}};
constexpr NumberWord kIcmpCodes[] = {{"net-unreachable", 0},  {"host-unreachable", 1}, {"prot-unreachable", 2},
                                     {"port-unreachable", 3}, {"frag-needed", 4},      {"net-prohibited", 9},
                                     {"host-prohibited", 10}, {"admin-prohibited", 13}};
constexpr NumberWord kIcmp6Codes[] = {{"no-route", 0},         {"admin-prohibited", 1}, {"addr-unreachable", 3},
                                      {"port-unreachable", 4}, {"policy-fail", 5},      {"reject-route", 6}};
/// Of both families: nft's own pairs.
struct BothCodes {
  std::string_view word;
  std::uint8_t code;
  std::uint8_t code6;
};
constexpr BothCodes kCodesOfBoth[] = {
    {"no-route", 0, 0}, {"port-unreachable", 3, 4}, {"host-unreachable", 1, 3}, {"admin-prohibited", 13, 1}};

template <std::size_t kSize>
std::optional<std::uint8_t> number_of(const NumberWord (&words)[kSize], const json& value) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= 255)
    return static_cast<std::uint8_t>(value.get<unsigned>());
  if (!value.is_string()) return std::nullopt;
  const auto* const found = std::ranges::find(words, value.get_ref<const std::string&>(), &NumberWord::word);
  if (found == std::end(words)) return std::nullopt;
  return found->number;
}

/// The bits of "syn", ["syn", "ack"], {"|": [..]} or a number.
template <std::size_t kSize>
std::optional<std::uint8_t> bits_of(const NumberWord (&words)[kSize], const json& value) {
  const json& list = value.is_object() && value.contains("|") ? value["|"] : value;
  if (!list.is_array()) return number_of(words, list);
  std::uint8_t bits = 0;
  for (const json& each : list) {
    const auto bit = each.is_object() ? bits_of(words, each) : number_of(words, each);
    if (!bit) return std::nullopt;
    bits |= *bit;
  }
  return bits;
}

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_equal(const std::string& op) noexcept {
  return op == "==" || op == "in";
}

std::optional<std::pair<std::uint16_t, std::uint16_t>> port_range(const json& value) {
  const auto port = [](const json& one) -> std::optional<std::uint16_t> {
    if (one.is_number_unsigned() && one.get<std::uint64_t>() <= 0xffff) return one.get<std::uint16_t>();
    return one.is_string() ? firewall::find_service(one.get_ref<const std::string&>()) : std::nullopt;
  };
  if (value.is_object() && value.contains("range") && value["range"].is_array() && value["range"].size() == 2) {
    const auto low = port(value["range"][0]);
    const auto high = port(value["range"][1]);
    if (!low || !high || *low > *high) return std::nullopt;
    return std::pair{*low, *high};
  }
  const auto one = port(value);
  if (!one) return std::nullopt;
  return std::pair{*one, *one};
}

}  // namespace

json nft_bare(const json& element) {
  if (element.is_object() && element.contains("elem") && element["elem"].is_object() &&
      element["elem"].contains("val")) {
    return element["elem"]["val"];
  }
  return element;
}

std::vector<wire::Prefix> nft_prefixes(const json& value) {
  if (value.is_string()) {
    const auto host = wire::parse_host_address(value.get_ref<const std::string&>());
    if (!host) return {};
    return {wire::Prefix::of(host->family, host->address, wire::address_bits(host->family))};
  }
  if (!value.is_object()) return {};
  if (value.contains("prefix") && value["prefix"].is_object()) {
    const json& prefix = value["prefix"];
    const auto host = wire::parse_host_address(text_at(prefix, "addr"));
    const auto length = prefix.find("len");
    if (!host || length == prefix.end() || !length->is_number_unsigned() ||
        length->get<std::uint64_t>() > wire::address_bits(host->family)) {
      return {};
    }
    return {wire::Prefix::of(host->family, host->address, length->get<unsigned>())};
  }
  if (value.contains("range") && value["range"].is_array() && value["range"].size() == 2 &&
      value["range"][0].is_string() && value["range"][1].is_string()) {
    const auto first = wire::parse_host_address(value["range"][0].get_ref<const std::string&>());
    const auto last = wire::parse_host_address(value["range"][1].get_ref<const std::string&>());
    if (first && last) return firewall::prefixes_of_range(*first, *last);
  }
  return {};
}

void NftRule::refuse(std::string reason) {
  if (refusal_.empty()) refusal_ = std::move(reason);
}

void NftRule::read(const json& expressions) {
  for (const json& each : expressions) {
    if (!refusal_.empty()) return;
    if (!each.is_object() || each.size() != 1) return refuse("not yet: an expression without a name");
    if (rules_.front().verdict != Verdict::kNone) return refuse("something behind the verdict");
    read_expression(each.begin().key(), each.begin().value());
  }
}

void NftRule::read_expression(const std::string& kind, const json& value) {
  if (kind == "counter") return;
  if (kind == "match") return read_match(value);
  if (kind == "vmap") return read_map(value);
  if (kind == "log") {
    for (FilterRule& rule : rules_) {
      rule.log = true;
      if (value.is_object()) rule.label = text_at(value, "prefix");
    }
  } else if (kind == "reject") {
    read_reject(value);
  } else if (kind == "limit") {
    refuse("pf limits connections, not packets: see 'max-src-conn-rate' in the options of keep state");
  } else if (kind == "ct count") {
    refuse("write 'keep state (max-src-conn N)' in the rule that lets the connections pass");
  } else {
    for (FilterRule& rule : rules_) read_verdict(rule, json::object({{kind, value}}));
  }
}

void NftRule::read_verdict(FilterRule& rule, const json& verdict) {
  if (!verdict.is_object() || verdict.size() != 1) return refuse("not yet: a verdict without a name");
  const std::string kind = verdict.begin().key();
  const json& value = verdict.begin().value();
  if (kind == "accept") {
    rule.verdict = Verdict::kAccept;
  } else if (kind == "drop") {
    rule.verdict = Verdict::kDrop;
  } else if (kind == "return") {
    rule.verdict = Verdict::kReturn;
  } else if ((kind == "jump" || kind == "goto") && value.is_object()) {
    rule.verdict = kind == "jump" ? Verdict::kJump : Verdict::kGoto;
    rule.target = chain_prefix_ + text_at(value, "target");
  } else if (kind != "continue") {
    refuse("not yet: " + shown(kind));
  }
}

void NftRule::read_reject(const json& reject) {
  const std::string type = reject.is_object() ? text_at(reject, "type") : std::string();
  Answer answer;
  if (type == "tcp reset") {
    answer.kind = Answer::Kind::kReset;
  } else if (reject.is_object() && reject.contains("expr")) {
    const json& word = reject["expr"];
    const auto code = type == "icmp" ? number_of(kIcmpCodes, word) : std::nullopt;
    const auto code6 = type == "icmpv6" ? number_of(kIcmp6Codes, word) : std::nullopt;
    const auto* const both = type == "icmpx" && word.is_string()
                                 ? std::ranges::find(kCodesOfBoth, word.get_ref<const std::string&>(), &BothCodes::word)
                                 : std::end(kCodesOfBoth);
    if (!code && !code6 && both == std::end(kCodesOfBoth)) return refuse("not yet: this answer of reject");
    if (code) answer.code = *code;
    if (code6) answer.code6 = *code6;
    if (both != std::end(kCodesOfBoth)) {
      answer.code = both->code;
      answer.code6 = both->code6;
    }
  }
  for (FilterRule& rule : rules_) {
    rule.verdict = Verdict::kReject;
    rule.answer = answer;
    if (type == "icmp") narrow_family(rule, wire::Family::kIpv4);
    if (type == "icmpv6") narrow_family(rule, wire::Family::kIpv6);
  }
}

std::vector<NftRule::Element> NftRule::elements_of(const json& value) {
  const json* list = &value;
  if (value.is_object() && value.contains("set")) list = &value["set"];
  if (value.is_string() && value.get_ref<const std::string&>().starts_with('@')) {
    const auto found = sets_.find(value.get_ref<const std::string&>().substr(1));
    if (found == sets_.end()) {
      refuse("set '" + shown(value.get_ref<const std::string&>()) + "' is not in the input");
      return {};
    }
    list = &found->second.elements;
  }
  if (!list->is_array()) return {{nft_bare(*list), {}}};
  std::vector<Element> elements;
  for (const json& each : *list) {
    if (each.is_array() && each.size() == 2) {
      elements.push_back({nft_bare(each[0]), each[1]});
    } else {
      elements.push_back({nft_bare(each), {}});
    }
  }
  return elements;
}

void NftRule::read_match(const json& match) {
  if (!match.is_object() || !match.contains("left") || !match.contains("right")) return refuse("not yet: this match");
  const json& left = match["left"];
  const json& right = match["right"];
  const std::string op = text_at(match, "op");
  if (!left.is_object() || !left.contains("concat")) {
    for (FilterRule& rule : rules_) narrow(rule, left, op, right);
    return;
  }
  if (!is_equal(op) || !left["concat"].is_array()) return refuse("pf cannot ask for all but some combinations");
  std::vector<FilterRule> combined;
  for (const Element& element : elements_of(right)) {
    if (!element.value.is_object() || !element.value.contains("concat") || !element.value["concat"].is_array() ||
        element.value["concat"].size() != left["concat"].size()) {
      return refuse("not yet: this combination");
    }
    for (FilterRule rule : rules_) {
      for (std::size_t i = 0; i < left["concat"].size(); ++i)
        narrow(rule, left["concat"][i], "==", element.value["concat"][i]);
      combined.push_back(std::move(rule));
    }
    if (combined.size() > kMaxRulesOfOne) return refuse("more than 10,000 combinations");
  }
  if (combined.empty()) {
    combined = rules_;
    for (FilterRule& rule : combined) rule.never = true;
  }
  rules_ = std::move(combined);
}

void NftRule::read_map(const json& map) {
  if (!map.is_object() || !map.contains("key") || !map.contains("data")) return refuse("not yet: this map");
  std::vector<FilterRule> chosen;
  const bool combined = map["key"].is_object() && map["key"].contains("concat");
  if (combined) return refuse("not yet: maps of combinations");
  for (const Element& element : elements_of(map["data"])) {
    for (FilterRule rule : rules_) {
      if (element.value != "*") narrow(rule, map["key"], "==", element.value);
      read_verdict(rule, element.verdict);
      chosen.push_back(std::move(rule));
    }
    if (chosen.size() > kMaxRulesOfOne || !refusal_.empty()) return refuse("more than 10,000 entries of a map");
  }
  if (!chosen.empty()) rules_ = std::move(chosen);
}

void NftRule::narrow(FilterRule& rule, const json& left, const std::string& op, const json& right) {
  if (!left.is_object() || left.size() != 1) return refuse("not yet: this match");
  const std::string kind = left.begin().key();
  const json& value = left.begin().value();
  if (kind == "payload" && value.is_object() && value.contains("protocol")) {
    narrow_payload(rule, text_at(value, "protocol"), text_at(value, "field"), op, right);
  } else if (kind == "meta" && value.is_object()) {
    narrow_meta(rule, text_at(value, "key"), op, right);
  } else if (kind == "ct" && value.is_object() && text_at(value, "key") == "state") {
    narrow_states(rule, op, right);
  } else if (kind == "&" && value.is_array() && value.size() == 2 && value[0].is_object() &&
             value[0].contains("payload") && value[0]["payload"].is_object() &&
             text_at(value[0]["payload"], "field") == "flags" && text_at(value[0]["payload"], "protocol") == "tcp") {
    narrow_tcp_flags(rule, value[1], op, right);
  } else if (kind == "&" && value.is_array() && value.size() == 2 && value[0].is_object() &&
             value[0].contains("payload") && value[0]["payload"].is_object() &&
             text_at(value[0]["payload"], "field") == "frag-off" && value[1] == 0x1fff && op == "!=" && right == 0) {
    narrow_family(rule, wire::Family::kIpv4);
    rule.fragment = true;
  } else {
    refuse("not yet: a match of '" + shown(kind == "ct" || kind == "&" ? left.dump().substr(0, 60) : kind) + "'");
  }
}

void NftRule::narrow_payload(FilterRule& rule, const std::string& protocol, const std::string& field,
                             const std::string& op, const json& right) {
  if ((protocol == "ip" || protocol == "ip6") && (field == "saddr" || field == "daddr")) {
    narrow_family(rule, protocol == "ip" ? wire::Family::kIpv4 : wire::Family::kIpv6);
    return narrow_address(field == "saddr" ? rule.source : rule.destination, op, right);
  }
  if ((protocol == "ip" && field == "protocol") || (protocol == "ip6" && field == "nexthdr")) {
    narrow_family(rule, protocol == "ip" ? wire::Family::kIpv4 : wire::Family::kIpv6);
    return narrow_protocol(rule, op, right);
  }
  if ((protocol == "tcp" || protocol == "udp" || protocol == "th") && (field == "sport" || field == "dport")) {
    if (protocol != "th") narrow_protocols(rule, {protocol == "tcp" ? kTcp : kUdp});
    return narrow_port(rule, field == "sport" ? &FilterRule::source_ports : &FilterRule::destination_ports, op, right);
  }
  if (protocol == "tcp" && field == "flags") {
    narrow_protocols(rule, {kTcp});
    const auto bits = bits_of(kFlagNames, right);
    if (!bits) return refuse("not yet: this match of TCP flags");
    if (op == "in") {  // any of them is set
      std::vector<FlagsCondition> wanted;
      for (unsigned bit = 1; bit < 256; bit <<= 1) {
        if ((*bits & bit) != 0) wanted.push_back({static_cast<std::uint8_t>(bit), static_cast<std::uint8_t>(bit)});
      }
      if (!rule.flags.empty()) return refuse("two conditions on TCP flags");
      rule.flags = std::move(wanted);
      return;
    }
    if (op != "==" && op != "!=") return refuse("not yet: this match of TCP flags");
    return narrow_flags(rule, {0xff, *bits}, op == "!=");
  }
  if ((protocol == "icmp" || protocol == "icmpv6") && (field == "type" || field == "code")) {
    narrow_family(rule, protocol == "icmp" ? wire::Family::kIpv4 : wire::Family::kIpv6);
    narrow_protocols(rule, {icmp_of(protocol == "icmp" ? wire::Family::kIpv4 : wire::Family::kIpv6)});
    return narrow_icmp(rule, field == "code", op, right);
  }
  refuse("not yet: a match of '" + shown(protocol + " " + field) + "'");
}

void NftRule::narrow_meta(FilterRule& rule, const std::string& key, const std::string& op, const json& right) {
  if (key == "iifname" || key == "iif") return narrow_interface(rule.in, op, right);
  if (key == "oifname" || key == "oif") return narrow_interface(rule.out, op, right);
  if (key == "l4proto") return narrow_protocol(rule, op, right);
  if (key == "nfproto" || key == "protocol") {
    const bool v4 = right == "ipv4" || right == "ip";
    if ((!v4 && right != "ipv6" && right != "ip6") || !is_equal(op)) return refuse("not yet: this match of a protocol");
    return narrow_family(rule, v4 ? wire::Family::kIpv4 : wire::Family::kIpv6);
  }
  refuse(key == "mark" ? "packets carry no marks here; pf has tags" : "not yet: a match of 'meta " + shown(key) + "'");
}

void NftRule::narrow_states(FilterRule& rule, const std::string& op, const json& right) {
  std::uint8_t states = 0;
  for (const Element& element : elements_of(right)) {
    const auto bits = bits_of(kStateNames, element.value);
    if (!bits) return refuse("not yet: this state of connections");
    states |= *bits;
  }
  if (op == "!=")
    states = static_cast<std::uint8_t>(~states & (kNew | kEstablished | kRelated | kInvalid | kUntracked));
  if (!is_equal(op) && op != "!=") return refuse("not yet: this match of states");
  rule.states = rule.states == 0 ? states : rule.states & states;
  rule.never = rule.never || rule.states == 0;
}

void NftRule::narrow_address(AddressCondition& side, const std::string& op, const json& right) {
  if (!side.is_any()) return refuse("two conditions on one address");
  if (!is_equal(op) && op != "!=") return refuse("pf does not compare addresses");
  side.negated = op == "!=";
  if (right.is_string() && right.get_ref<const std::string&>().starts_with('@')) {
    const auto found = sets_.find(right.get_ref<const std::string&>().substr(1));
    if (found == sets_.end() || found->second.table.empty())
      return refuse("not yet: the set '" + shown(right.get_ref<const std::string&>()) + "'");
    side.tables = {found->second.table};
    return;
  }
  for (const Element& element : elements_of(right)) {
    const std::vector<wire::Prefix> prefixes = nft_prefixes(element.value);
    if (prefixes.empty()) return refuse("not yet: this form of an address");
    side.prefixes.insert(side.prefixes.end(), prefixes.begin(), prefixes.end());
  }
}

void NftRule::narrow_port(FilterRule& rule, PortRanges FilterRule::* side, const std::string& op, const json& right) {
  PortRanges ports;
  for (const Element& element : elements_of(right)) {
    const auto range = port_range(element.value);
    if (!range) return refuse("not yet: this form of a port");
    ports.push_back(*range);
  }
  if (!is_equal(op) && op != "!=" && ports.size() != 1) return refuse("not yet: this comparison of ports");
  constexpr std::uint16_t kLast = 0xffff;
  const std::uint16_t first = ports.empty() ? 0 : ports.front().first;
  if (op == "!=") {
    ports = complement_of(ports);
  } else if (op == "<") {
    ports = first == 0 ? PortRanges{} : PortRanges{{0, static_cast<std::uint16_t>(first - 1)}};
  } else if (op == "<=") {
    ports = {{0, first}};
  } else if (op == ">") {
    ports = first == kLast ? PortRanges{} : PortRanges{{static_cast<std::uint16_t>(first + 1), kLast}};
  } else if (op == ">=") {
    ports = {{first, kLast}};
  } else if (!is_equal(op)) {
    return refuse("not yet: this comparison of ports");
  }
  if (rule.protocols.empty()) narrow_protocols(rule, {kTcp, kUdp});
  for (const std::uint8_t protocol : rule.protocols) {
    if (protocol != kTcp && protocol != kUdp) return refuse("pf knows ports of TCP and UDP only");
  }
  narrow_ports(rule, side, ports);
}

void NftRule::narrow_interface(InterfaceCondition& side, const std::string& op, const json& right) {
  if (!side.names.empty()) return refuse("two conditions on one interface");
  if (!is_equal(op) && op != "!=") return refuse("not yet: this comparison of interfaces");
  side.negated = op == "!=";
  for (const Element& element : elements_of(right)) {
    if (!element.value.is_string()) return refuse("an interface that is gone");
    if (element.value.get_ref<const std::string&>().ends_with('*')) {
      return refuse("pf has no names with a wildcard: name the interfaces, or give them a group");
    }
    side.names.push_back(element.value.get<std::string>());
  }
  if (side.names.empty()) refuse("an empty set of interfaces");
}

void NftRule::narrow_tcp_flags(FilterRule& rule, const json& left, const std::string& op, const json& right) {
  narrow_protocols(rule, {kTcp});
  const auto mask = bits_of(kFlagNames, left);
  const auto value = bits_of(kFlagNames, right);
  if (!mask || !value || (op != "==" && op != "!=")) return refuse("not yet: this match of TCP flags");
  if ((*value & ~*mask) != 0) {
    rule.never = rule.never || op == "==";
    return;
  }
  narrow_flags(rule, {*mask, *value}, op == "!=");
}

void NftRule::narrow_icmp(FilterRule& rule, bool is_code, const std::string& op, const json& right) {
  if (!is_equal(op)) return refuse("pf has no rules for all ICMP types but one");
  const bool v4 = rule.family == wire::Family::kIpv4;
  if (is_code) {
    const auto code = v4 ? number_of(kIcmpCodes, right) : number_of(kIcmp6Codes, right);
    if (!code || rule.icmp.size() != 1) return refuse("not yet: ICMP codes without their type");
    rule.icmp.front().code = *code;
    return;
  }
  if (!rule.icmp.empty()) return refuse("two conditions on the ICMP type");
  for (const Element& element : elements_of(right)) {
    const auto type = v4 ? number_of(kIcmpNames, element.value) : number_of(kIcmp6Names, element.value);
    if (!type) return refuse("not yet: this ICMP type");
    rule.icmp.push_back({.type = *type});
  }
}

void NftRule::narrow_protocol(FilterRule& rule, const std::string& op, const json& right) {
  if (!is_equal(op)) return refuse("pf has no rules for all protocols but one");
  std::vector<std::uint8_t> protocols;
  for (const Element& element : elements_of(right)) {
    std::optional<std::uint8_t> protocol;
    if (element.value.is_string()) protocol = firewall::find_protocol(element.value.get_ref<const std::string&>());
    if (element.value.is_number_unsigned() && element.value.get<std::uint64_t>() <= 255)
      protocol = element.value.get<std::uint8_t>();
    if (!protocol) return refuse("not yet: this protocol");
    protocols.push_back(*protocol);
  }
  narrow_protocols(rule, std::move(protocols));
}

}  // namespace ringplane::translate
