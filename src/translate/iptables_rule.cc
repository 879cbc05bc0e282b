#include "translate/iptables_rule.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "firewall/address_range.h"
#include "firewall/names.h"
#include "translate/filter.h"
#include "translate/lines.h"
#include "wire/ip_address.h"

namespace ringplane::translate {
namespace {

struct Reason {
  std::string_view word;
  std::string_view sentence;
};

/// Matches without an equal, and what to write instead.
constexpr Reason kMatchReasons[] = {
    {"mac", "pf rules do not ask for Ethernet addresses"},
    {"mark", "packets carry no marks here; pf has tags"},
    {"connmark", "connections carry no marks here; pf has tags"},
    {"owner", "packets between ports belong to no local user"},
    {"connlimit", "write 'keep state (max-src-conn N)' in the rule that lets the connections pass"},
    {"recent", "write 'keep state (max-src-conn-rate N/SECONDS, overload <table>)' in the rule that lets them pass"},
    {"addrtype", "the firewall has no addresses and no routes of its own"},
    {"time", "not yet: rules that hold at certain times"},
    {"sctp", "pf knows ports of TCP and UDP only"},
    {"dccp", "pf knows ports of TCP and UDP only"},
    {"dscp", "pf's 'tos' asks for the whole byte, with the two bits of ECN"},
};

constexpr std::string_view kKnownMatches[] = {"tcp",       "udp",     "icmp",    "icmp6",   "conntrack",
                                              "state",     "set",     "iprange", "limit",   "hashlimit",
                                              "multiport", "comment", "tos",     "physdev", "statistic"};

struct RejectWord {
  std::string_view word;
  std::uint8_t code;
};
constexpr RejectWord kRejectWords[] = {{"icmp-net-unreachable", 0},   {"icmp-host-unreachable", 1},
                                       {"icmp-proto-unreachable", 2}, {"icmp-port-unreachable", 3},
                                       {"icmp-net-prohibited", 9},    {"icmp-host-prohibited", 10},
                                       {"icmp-admin-prohibited", 13}};
constexpr RejectWord kRejectWords6[] = {{"icmp6-no-route", 0},         {"icmp6-adm-prohibited", 1},
                                        {"icmp6-addr-unreachable", 3}, {"icmp6-port-unreachable", 4},
                                        {"icmp6-policy-fail", 5},      {"icmp6-reject-route", 6}};

struct FlagWord {
  std::string_view word;
  std::uint8_t flags;
};
constexpr FlagWord kFlagWords[] = {{"FIN", 1},  {"SYN", 2},  {"RST", 4},  {"PSH", 8},
                                   {"ACK", 16}, {"URG", 32}, {"ALL", 63}, {"NONE", 0}};

std::vector<std::string_view> pieces_of(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (;;) {
    const std::size_t end = text.find(separator);
    pieces.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return pieces;
    text.remove_prefix(end + 1);
  }
}

std::optional<std::uint8_t> flags_in(std::string_view text) {
  std::uint8_t flags = 0;
  for (const std::string_view piece : pieces_of(text, ',')) {
    const auto* const found = std::ranges::find(kFlagWords, piece, &FlagWord::word);
    if (found == std::end(kFlagWords)) return std::nullopt;
    flags |= found->flags;
  }
  return flags;
}

std::optional<PortRanges> ports_in(std::string_view text) {
  PortRanges ports;
  for (const std::string_view piece : pieces_of(text, ',')) {
    const std::size_t colon = piece.find(':');
    const auto low = colon == 0 ? std::optional<std::uint32_t>(0) : number_in(piece.substr(0, colon), 0xffff);
    const auto high = colon == std::string_view::npos ? low
                      : colon + 1 == piece.size()     ? std::optional<std::uint32_t>(0xffff)
                                                      : number_in(piece.substr(colon + 1), 0xffff);
    if (!low || !high || *low > *high) return std::nullopt;
    ports.emplace_back(static_cast<std::uint16_t>(*low), static_cast<std::uint16_t>(*high));
  }
  return sorted(std::move(ports));
}

}  // namespace

const IptablesRule::Option IptablesRule::kOptions[] = {
    {"-m", &IptablesRule::read_match},
    {"-p", &IptablesRule::read_protocol},
    {"-s", &IptablesRule::read_source},
    {"-d", &IptablesRule::read_destination},
    {"-i", &IptablesRule::read_in},
    {"-o", &IptablesRule::read_out},
    {"-f", &IptablesRule::read_fragment},
    {"-j", &IptablesRule::read_target},
    {"-g", &IptablesRule::read_goto},
    {"--src-range", &IptablesRule::read_source_range},
    {"--dst-range", &IptablesRule::read_destination_range},
    {"--physdev-in", &IptablesRule::read_in},
    {"--physdev-out", &IptablesRule::read_out},
    {"--sport", &IptablesRule::read_source_ports},
    {"--sports", &IptablesRule::read_source_ports},
    {"--dport", &IptablesRule::read_destination_ports},
    {"--dports", &IptablesRule::read_destination_ports},
    {"--ports", &IptablesRule::read_both_ports},
    {"--tcp-flags", &IptablesRule::read_flags},
    {"--syn", &IptablesRule::read_syn},
    {"--icmp-type", &IptablesRule::read_icmp},
    {"--icmpv6-type", &IptablesRule::read_icmp},
    {"--ctstate", &IptablesRule::read_states},
    {"--state", &IptablesRule::read_states},
    {"--match-set", &IptablesRule::read_set},
    {"--tos", &IptablesRule::read_tos},
    {"--comment", &IptablesRule::read_comment},
    {"--mode", &IptablesRule::read_ignored},
    {"--probability", &IptablesRule::read_probability},
    {"--limit", &IptablesRule::read_rate},
    {"--limit-burst", &IptablesRule::read_ignored},
    {"--hashlimit-upto", &IptablesRule::read_rate},
    {"--hashlimit-burst", &IptablesRule::read_ignored},
    {"--hashlimit-mode", &IptablesRule::read_rate_mode},
    {"--hashlimit-name", &IptablesRule::read_ignored},
    {"--reject-with", &IptablesRule::read_reject_with},
    {"--log-prefix", &IptablesRule::read_log_prefix},
    {"--log-level", &IptablesRule::read_ignored},
    {"--nflog-prefix", &IptablesRule::read_log_prefix},
    {"--nflog-group", &IptablesRule::read_ignored},
};

IptablesRule::IptablesRule(std::vector<std::string> words, wire::Family family) : words_(std::move(words)) {
  rule_.family = family;
}

std::string IptablesRule::read() {
  while (at_ < words_.size() && error_.empty() && refusal_.empty()) {
    option_ = words_[at_++];
    const bool negated = option_ == "!";
    if (negated) option_ = value();
    if (!error_.empty()) break;
    const auto* const found = std::ranges::find(kOptions, option_, &Option::name);
    if (found != std::end(kOptions)) {
      (this->*found->read)(negated);
    } else if (option_.starts_with('-')) {
      refuse("not yet: " + option_);
    } else {
      wrong("'" + shown(option_) + "' is no option");
    }
  }
  if (error_.empty() && refusal_.empty()) finish();
  return error_;
}

void IptablesRule::refuse(std::string reason) {
  if (refusal_.empty()) refusal_ = std::move(reason);
}

void IptablesRule::wrong(std::string sentence) {
  if (error_.empty()) error_ = std::move(sentence);
}

std::string IptablesRule::value() {
  if (at_ < words_.size()) return words_[at_++];
  wrong("'" + shown(option_) + "' lacks its value");
  return {};
}

void IptablesRule::read_ignored(bool /*negated*/) {
  (void)value();
}

void IptablesRule::read_match(bool /*negated*/) {
  const std::string name = value();
  if (std::ranges::find(kKnownMatches, name) != std::end(kKnownMatches)) return;
  const auto* const found = std::ranges::find(kMatchReasons, name, &Reason::word);
  refuse("match '" + shown(name) + "': " + std::string(found != std::end(kMatchReasons) ? found->sentence : "not yet"));
}

void IptablesRule::read_protocol(bool negated) {
  const std::string name = value();
  if (name == "all") return;
  if (negated) return refuse("pf has no rules for all protocols but one");
  const auto protocol = firewall::find_protocol(name);
  if (!protocol) return wrong("'" + shown(name) + "' is no protocol");
  rule_.protocols = {*protocol};
}

void IptablesRule::read_source(bool negated) {
  read_address(rule_.source, negated);
}

void IptablesRule::read_destination(bool negated) {
  read_address(rule_.destination, negated);
}

void IptablesRule::read_address(AddressCondition& side, bool negated) {
  const std::string text = value();
  if (!error_.empty()) return;
  if (!side.is_any()) return refuse("two conditions on one address");
  if (const auto prefix = wire::parse_prefix(text)) {
    if (prefix->family != rule_.family) return wrong("'" + shown(text) + "' is no address of this family");
    side = {.prefixes = {*prefix}, .tables = {}, .negated = negated};
    return;
  }
  const std::size_t slash = text.find('/');
  if (slash != std::string::npos && wire::parse_host_address(text.substr(0, slash)) &&
      wire::parse_host_address(text.substr(slash + 1))) {
    return refuse("the mask of '" + shown(text) + "' is no prefix");
  }
  wrong("'" + shown(text) + "' is no address");
}

void IptablesRule::read_source_range(bool negated) {
  read_range(rule_.source, negated);
}

void IptablesRule::read_destination_range(bool negated) {
  read_range(rule_.destination, negated);
}

void IptablesRule::read_range(AddressCondition& side, bool negated) {
  const std::string text = value();
  if (!error_.empty()) return;
  if (!side.is_any()) return refuse("two conditions on one address");
  const std::size_t dash = text.find('-');
  const auto first = wire::parse_host_address(text.substr(0, dash));
  const auto last = dash == std::string::npos ? first : wire::parse_host_address(text.substr(dash + 1));
  if (!first || !last) return wrong("'" + shown(text) + "' is no range of addresses");
  side = {.prefixes = firewall::prefixes_of_range(*first, *last), .tables = {}, .negated = negated};
  if (side.prefixes.empty()) wrong("'" + shown(text) + "' is no range of addresses");
}

void IptablesRule::read_in(bool negated) {
  read_interface(rule_.in, negated);
}

void IptablesRule::read_out(bool negated) {
  read_interface(rule_.out, negated);
}

void IptablesRule::read_interface(InterfaceCondition& side, bool negated) {
  const std::string name = value();
  if (name.ends_with('+')) return refuse("pf has no names with a wildcard: name the interfaces, or give them a group");
  if (!side.names.empty()) return refuse("two conditions on one interface");
  side = {.names = {name}, .negated = negated};
}

void IptablesRule::read_source_ports(bool negated) {
  read_ports(&FilterRule::source_ports, negated);
}

void IptablesRule::read_destination_ports(bool negated) {
  read_ports(&FilterRule::destination_ports, negated);
}

void IptablesRule::read_both_ports(bool /*negated*/) {
  (void)value();
  refuse("'--ports' asks for either port; pf rules ask for one or both: write two rules");
}

void IptablesRule::read_ports(PortRanges FilterRule::* side, bool negated) {
  const std::string text = value();
  if (!error_.empty()) return;
  const auto ports = ports_in(text);
  if (!ports) return wrong("'" + shown(text) + "' are no ports");
  if (rule_.protocols.empty() || (rule_.protocols[0] != kTcp && rule_.protocols[0] != kUdp)) {
    return refuse("pf knows ports of TCP and UDP only");
  }
  narrow_ports(rule_, side, negated ? complement_of(*ports) : *ports);
}

void IptablesRule::read_flags(bool negated) {
  const std::string mask_text = value();
  const std::string value_text = value();
  if (!error_.empty()) return;
  const auto mask = flags_in(mask_text);
  const auto wanted = flags_in(value_text);
  if (!mask || !wanted) return wrong("'" + shown(mask_text + " " + value_text) + "' are no TCP flags");
  if ((*wanted & ~*mask) != 0) {
    rule_.never = rule_.never || !negated;
    return;
  }
  narrow_flags(rule_, {*mask, *wanted}, negated);
}

void IptablesRule::read_syn(bool negated) {
  narrow_flags(rule_, {.mask = 1 | 2 | 4 | 16, .value = 2}, negated);
}

void IptablesRule::read_icmp(bool negated) {
  const std::string text = value();
  if (!error_.empty()) return;
  if (negated) return refuse("pf has no rules for all ICMP types but one");
  if (text == "any" || text == "255") return;
  const std::size_t slash = text.find('/');
  const auto type = firewall::find_icmp_type(text.substr(0, slash), rule_.family);
  const auto code = slash == std::string::npos ? std::nullopt : number_in(text.substr(slash + 1), 255);
  if (!type || (slash != std::string::npos && !code)) return wrong("'" + shown(text) + "' is no ICMP type");
  rule_.icmp.push_back({.type = *type, .code = static_cast<std::int16_t>(code ? static_cast<int>(*code) : -1)});
}

void IptablesRule::read_states(bool negated) {
  constexpr std::array<std::string_view, 5> kNames = {"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"};
  const std::string text = value();
  if (!error_.empty()) return;
  std::uint8_t states = 0;
  for (const std::string_view piece : pieces_of(text, ',')) {
    const auto* const found = std::ranges::find(kNames, piece);
    if (found == kNames.end()) {
      if (piece == "SNAT" || piece == "DNAT") return refuse("not yet: NAT");
      return wrong("'" + shown(piece) + "' is no state of a connection");
    }
    states |= static_cast<std::uint8_t>(1U << static_cast<unsigned>(found - kNames.begin()));
  }
  constexpr unsigned kAll = kNew | kEstablished | kRelated | kInvalid | kUntracked;
  const auto wanted = static_cast<std::uint8_t>(negated ? kAll & ~states : states);
  rule_.states = rule_.states == 0 ? wanted : rule_.states & wanted;
  rule_.never = rule_.never || rule_.states == 0;
}

void IptablesRule::read_fragment(bool negated) {
  if (negated) return refuse("pf has no rules for all packets but fragments");
  rule_.fragment = true;
}

void IptablesRule::read_set(bool negated) {
  const std::string name = value();
  const std::string way = value();
  if (!error_.empty()) return;
  if (way != "src" && way != "dst") return refuse("sets of more than addresses have no equal in pf's tables");
  if (!is_table_name(name)) return wrong("'" + shown(name) + "' is no name of a set");
  AddressCondition& side = way == "src" ? rule_.source : rule_.destination;
  if (!side.is_any()) return refuse("two conditions on one address");
  side = {.prefixes = {}, .tables = {name}, .negated = negated};
}

void IptablesRule::read_tos(bool negated) {
  const std::string text = value();
  if (!error_.empty()) return;
  const std::size_t slash = text.find('/');
  const auto wanted = number_in(text.substr(0, slash), 255);
  const auto mask =
      slash == std::string::npos ? std::optional<std::uint32_t>(255) : number_in(text.substr(slash + 1), 255);
  if (!wanted || !mask) return wrong("'" + shown(text) + "' is no type of service");
  if (negated || *mask != 255) return refuse("pf's 'tos' asks for the whole byte");
  rule_.tos = static_cast<std::int16_t>(*wanted);
}

void IptablesRule::read_comment(bool /*negated*/) {
  rule_.label = value();
}

void IptablesRule::read_probability(bool negated) {
  const std::string text = value();
  if (!error_.empty()) return;
  double share = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), share);
  if (error != std::errc{} || end != text.data() + text.size() || !(share >= 0 && share <= 1)) {
    return wrong("'" + shown(text) + "' is no probability");
  }
  if (negated) return refuse("not yet: a negated probability");
  std::array<char, 32> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), std::round(share * 1e6) / 1e4);
  rule_.probability = std::string(digits.data(), written.ptr) + "%";
}

void IptablesRule::read_rate(bool negated) {
  rate_ = value();
  has_rate_ = true;
  if (negated) refuse("not yet: a negated rate");
}

void IptablesRule::read_rate_mode(bool /*negated*/) {
  rate_by_source_ = value() == "srcip";
}

void IptablesRule::read_goto(bool /*negated*/) {
  rule_.verdict = Verdict::kGoto;
  rule_.target = value();
}

void IptablesRule::read_target(bool /*negated*/) {
  const std::string name = value();
  if (!error_.empty()) return;
  if (rule_.verdict != Verdict::kNone) return wrong("a second target");
  if (name == "ACCEPT") {
    rule_.verdict = Verdict::kAccept;
  } else if (name == "DROP") {
    rule_.verdict = Verdict::kDrop;
  } else if (name == "REJECT") {
    rule_.verdict = Verdict::kReject;
  } else if (name == "RETURN") {
    rule_.verdict = Verdict::kReturn;
  } else if (name == "LOG" || name == "NFLOG") {
    rule_.log = true;
  } else {
    rule_.verdict = Verdict::kJump;
    rule_.target = name;
  }
}

void IptablesRule::read_reject_with(bool /*negated*/) {
  const std::string word = value();
  if (!error_.empty()) return;
  if (word == "tcp-reset") {
    rule_.answer.kind = Answer::Kind::kReset;
    return;
  }
  if (const auto* const found = std::ranges::find(kRejectWords, word, &RejectWord::word);
      found != std::end(kRejectWords)) {
    rule_.answer.code = found->code;
  } else if (const auto* const found6 = std::ranges::find(kRejectWords6, word, &RejectWord::word);
             found6 != std::end(kRejectWords6)) {
    rule_.answer.code6 = found6->code;
  } else {
    wrong("'" + shown(word) + "' is no answer of REJECT");
  }
}

void IptablesRule::read_log_prefix(bool /*negated*/) {
  rule_.label = value();
}

/// What only shows when all is read.
void IptablesRule::finish() {
  if (!has_rate_ || (rule_.log && rule_.verdict == Verdict::kNone)) return;  // all are logged
  const std::size_t slash = rate_.find('/');
  const auto count = number_in(std::string_view(rate_).substr(0, slash), 1'000'000);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kUnits = {
      {{"sec", "1"}, {"min", "60"}, {"hour", "3600"}, {"day", "86400"}}};
  const auto* const unit = std::ranges::find(
      kUnits, slash == std::string::npos ? std::string_view{} : std::string_view(rate_).substr(slash + 1),
      &std::pair<std::string_view, std::string_view>::first);
  if (!rate_by_source_ || rule_.verdict != Verdict::kAccept || rule_.protocols != std::vector<std::uint8_t>{kTcp} ||
      !count || *count == 0 || unit == kUnits.end()) {
    return refuse("pf limits connections, not packets: see 'max-src-conn-rate' in the options of keep state");
  }
  rule_.limit = "max-src-conn-rate " + std::to_string(*count) + "/" + std::string(unit->second);
}

}  // namespace ringplane::translate
