// How a Classifier is made: conditions to numbers, rules to tables and tuples.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "firewall/classifier.h"
#include "firewall/compiled_rule.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/rule_record.h"
#include "firewall/rule_tables.h"
#include "firewall/ruleset.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {
namespace {

struct PortRange {
  std::uint16_t low = 0;
  std::uint16_t high = 0xffff;
  bool negated = false;
};

constexpr PortRange kNoPort{.low = 1, .high = 0};

PortRange range_of(const PortMatch& match) noexcept {
  using Operator = PortMatch::Operator;
  const std::uint16_t first = match.first;
  const std::uint16_t second = match.second;
  const auto below = static_cast<std::uint16_t>(first - 1);
  const auto above = static_cast<std::uint16_t>(first + 1);
  switch (match.op) {
    case Operator::kAny: return {};
    case Operator::kEqual: return {.low = first, .high = first};
    case Operator::kNotEqual: return {.low = first, .high = first, .negated = true};
    case Operator::kLess: return first == 0 ? kNoPort : PortRange{.low = 0, .high = below};
    case Operator::kLessOrEqual: return {.low = 0, .high = first};
    case Operator::kGreater: return first == 0xffff ? kNoPort : PortRange{.low = above, .high = 0xffff};
    case Operator::kGreaterOrEqual: return {.low = first, .high = 0xffff};
    case Operator::kInside:
      if (second <= first || second - first < 2) return kNoPort;
      return {.low = above, .high = static_cast<std::uint16_t>(second - 1)};
    case Operator::kOutside:
      if (first > second) return {.low = 1, .high = 0, .negated = true};
      return {.low = first, .high = second, .negated = true};
    case Operator::kRange:
      if (first > second) return kNoPort;
      return {.low = first, .high = second};
  }
  return {};
}

/// Leading bits that all ports of the range share.
unsigned common_bits(std::uint16_t low, std::uint16_t high) noexcept {
  return low > high ? 0 : static_cast<unsigned>(std::countl_zero(static_cast<std::uint16_t>(low ^ high)));
}

/// The next lower of a few prefix lengths, so that there are few tuples.
unsigned coarse_length(unsigned length, wire::Family family) noexcept {
  static constexpr std::array<unsigned, 5> kIpv4Steps = {32, 24, 16, 8, 0};
  static constexpr std::array<unsigned, 6> kIpv6Steps = {128, 64, 48, 32, 16, 0};
  const std::span<const unsigned> steps =
      family == wire::Family::kIpv4 ? std::span<const unsigned>(kIpv4Steps) : std::span<const unsigned>(kIpv6Steps);
  return *std::ranges::find_if(steps, [length](unsigned step) { return step <= length; });
}

bool changes_flow(const Rule& rule) noexcept {
  return rule.tag != kNoTag || rule.tagged != kNoTag || rule.probability != 0;
}

void put_address(const AddressMatch& match, std::array<std::uint8_t, 16>& bytes, std::uint8_t& length,
                 std::uint32_t& bits, RuleBit prefix, RuleBit table, RuleBit negated) noexcept {
  if (match.kind == AddressMatch::Kind::kPrefix) {
    bytes = match.prefix.address.bytes;
    length = match.prefix.length;
    bits |= prefix;
  } else if (match.kind == AddressMatch::Kind::kTable) {
    std::memcpy(bytes.data(), &match.table, sizeof match.table);
    bits |= table;
  }
  if (match.negated) bits |= negated;
}

}  // namespace

Classifier::Classifier(const Ruleset& ruleset) : ruleset_(&ruleset) {
  compile_rules();
  build_tables();
  for (const Way way : {Way::kIn, Way::kOut}) {
    build_space(way, wire::Family::kIpv4);
    build_space(way, wire::Family::kIpv6);
  }
  drop_plain_rules();
  tables_say_all_ = std::ranges::all_of(spaces_, [](const Space& space) { return space.slots.empty(); });
  is_plain_ = tables_say_all_ && impure_.empty() && ruleset_->options.skip == 0;
  is_pure_ = {};
  in_tables_ = {};
  in_wide_tables_ = {};
}

void Classifier::compile_rules() {
  const std::vector<Rule>& rules = ruleset_->rules;
  rules_.reserve(rules.size());
  compiled_at_.reserve(rules.size());
  is_pure_.assign(rules.size(), false);
  std::vector<bool> walked(rules.size(), false);
  for (std::uint32_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    CompiledRule compiled = compile(rule);
    const bool inside_walked = rule.parent != Rule::kNone && walked[rule.parent];
    const bool is_match = rule.action == Action::kMatch && !rule.is_anchor();
    walked[i] = inside_walked || changes_flow(rule) || (rule.is_anchor() && rule.quick) ||
                (is_match && (rule.log != LogKind::kNone || rule.quick));
    is_pure_[i] = !walked[i] && !rule.is_anchor() && !is_match;
    if (walked[i]) impure_.push_back(i);
    if (inside_walked) compiled.parent = Rule::kNone;  // the walk itself has tested the anchor
    rules_.push_back(compiled);
    compiled_at_.push_back(i);
  }
  impure_after_.resize(impure_.size());
  for (std::size_t at = 0; at < impure_.size(); ++at) {
    const Rule& rule = rules[impure_[at]];
    if (!rule.is_anchor()) continue;
    impure_after_[at] = static_cast<std::uint32_t>(
        std::distance(impure_.begin(), std::lower_bound(impure_.begin(), impure_.end(), rule.anchor_end)));
  }
}

CompiledRule Classifier::compile(const Rule& rule) {
  CompiledRule out;
  put_address(rule.source, out.source, out.source_length, out.bits, kSourcePrefix, kSourceTable, kSourceNegated);
  put_address(rule.destination, out.destination, out.destination_length, out.bits, kDestinationPrefix,
              kDestinationTable, kDestinationNegated);
  if (rule.way != RuleWay::kOut) out.bits |= kWayIn;
  if (rule.way != RuleWay::kIn) out.bits |= kWayOut;
  if (rule.family != wire::Family::kIpv6) out.bits |= kIpv4;
  if (rule.family != wire::Family::kIpv4) out.bits |= kIpv6;
  if (rule.protocol >= 0) out.bits |= kProtocol;
  out.protocol = static_cast<std::uint8_t>(rule.protocol);
  if (rule.source_port.op != PortMatch::Operator::kAny) {
    const PortRange range = range_of(rule.source_port);
    out.bits |= kSourcePort | (range.negated ? kSourcePortNegated : 0U);
    out.source_port_low = range.low;
    out.source_port_high = range.high;
  }
  if (rule.destination_port.op != PortMatch::Operator::kAny) {
    const PortRange range = range_of(rule.destination_port);
    out.bits |= kDestinationPort | (range.negated ? kDestinationPortNegated : 0U);
    out.destination_port_low = range.low;
    out.destination_port_high = range.high;
  }
  out.tcp_flags = rule.tcp_flags;
  out.tcp_flags_mask = rule.tcp_flags_mask;
  if (rule.icmp_type >= 0) out.bits |= kIcmpType;
  if (rule.icmp_type >= 0 && rule.icmp_code >= 0) out.bits |= kIcmpCode;
  if (rule.tos >= 0) out.bits |= kTos;
  out.icmp_type = static_cast<std::uint8_t>(rule.icmp_type);
  out.icmp_code = static_cast<std::uint8_t>(rule.icmp_code);
  out.tos = static_cast<std::uint8_t>(rule.tos);
  if (rule.fragment) out.bits |= kFragment;
  if (rule.quick) out.bits |= kQuick;
  if (rule.state == StateKind::kKeep) out.bits |= kNoIcmpReply;
  out.tagged = rule.tagged;
  if (rule.tagged_negated) out.bits |= kTaggedNegated;
  out.probability = rule.probability;
  out.parent = rule.parent;
  auto set = std::ranges::find(port_sets_, rule.ports);
  if (set == port_sets_.end()) set = port_sets_.insert(set, rule.ports);
  out.port_set = static_cast<std::uint16_t>(std::distance(port_sets_.begin(), set));
  return out;
}

Classifier::Tuple Classifier::tuple_of(const CompiledRule& rule, wire::Family family, bool exact) noexcept {
  Tuple tuple;
  const auto length = [family, exact](unsigned own) {
    return static_cast<std::uint8_t>(exact ? own : coarse_length(own, family));
  };
  const auto port_bits = [exact](std::uint16_t low, std::uint16_t high) {
    const unsigned common = common_bits(low, high);
    return static_cast<std::uint8_t>(exact || common == 16 ? common : 0);
  };
  if ((rule.bits & (kSourcePrefix | kSourceNegated)) == kSourcePrefix) {
    tuple.source_length = length(rule.source_length);
  }
  if ((rule.bits & (kDestinationPrefix | kDestinationNegated)) == kDestinationPrefix) {
    tuple.destination_length = length(rule.destination_length);
  }
  if ((rule.bits & (kSourcePort | kSourcePortNegated)) == kSourcePort) {
    tuple.source_port_bits = port_bits(rule.source_port_low, rule.source_port_high);
  }
  if ((rule.bits & (kDestinationPort | kDestinationPortNegated)) == kDestinationPort) {
    tuple.destination_port_bits = port_bits(rule.destination_port_low, rule.destination_port_high);
  }
  tuple.with_protocol = (rule.bits & kProtocol) != 0;
  return tuple;
}

Classifier::KeyWords Classifier::words_of(const CompiledRule& rule) noexcept {
  return {.source = {load_be64(rule.source.data()), load_be64(rule.source.data() + 8)},
          .destination = {load_be64(rule.destination.data()), load_be64(rule.destination.data() + 8)},
          .source_port = rule.source_port_low,
          .destination_port = rule.destination_port_low,
          .protocol = rule.protocol};
}

/// What records of both families have beside addresses.
struct Classifier::Limits {
  std::uint32_t low_ports = 0;
  std::uint32_t high_ports = 0xffff'ffff;
  std::uint32_t traits = 0;
  std::uint32_t traits_mask = 0;
};

Classifier::Limits Classifier::limits_of(std::uint32_t index) const noexcept {
  const CompiledRule& rule = rules_[index];
  Limits limits;
  const auto put_ports = [&limits](std::uint32_t low, std::uint32_t high, int shift) {
    limits.low_ports |= low << shift;
    limits.high_ports &= ~(0xffffU << shift) | (high << shift);
  };
  if ((rule.bits & kSourcePortNegated) == 0) put_ports(rule.source_port_low, rule.source_port_high, 16);
  if ((rule.bits & kDestinationPortNegated) == 0) put_ports(rule.destination_port_low, rule.destination_port_high, 0);

  constexpr std::uint32_t kMore = kSourceTable | kSourceNegated | kDestinationTable | kDestinationNegated |
                                  kSourcePortNegated | kDestinationPortNegated | kIcmpCode | kTos | kFragment;
  const std::uint64_t ports = port_sets_[rule.port_set];
  const bool one_port = std::has_single_bit(ports);
  const bool opens =
      rule.tcp_flags == wire::tcp_flag::kSyn && rule.tcp_flags_mask == (wire::tcp_flag::kSyn | wire::tcp_flag::kAck);
  const bool more = (rule.bits & kMore) != 0 || rule.parent != Rule::kNone ||
                    (ports != Rule::kEveryPort && !one_port) || (rule.tcp_flags_mask != 0 && !opens);
  const auto want_if = [](bool condition, Want want) { return condition ? std::uint32_t{want} : 0U; };
  const std::uint32_t wants = want_if((rule.bits & kWayOut) == 0, kWantIn) |
                              want_if((rule.bits & kWayIn) == 0, kWantOut) |
                              want_if((rule.bits & (kSourcePort | kDestinationPort)) != 0, kWantPorts) |
                              want_if((rule.bits & kIcmpType) != 0, kWantWhole) | want_if(opens, kWantOpens) |
                              want_if((rule.bits & kNoIcmpReply) != 0, kWantNoReply) | want_if(more, kWantMore);
  const bool has_protocol = (rule.bits & kProtocol) != 0;
  const bool has_type = (rule.bits & kIcmpType) != 0;
  limits.traits =
      traits_of(has_protocol ? rule.protocol : 0, wants,
                one_port ? static_cast<std::uint32_t>(std::countr_zero(ports)) : 0, has_type ? rule.icmp_type : 0);
  limits.traits_mask = traits_of(has_protocol ? 0xff : 0, wants, one_port ? 0xff : 0, has_type ? 0xff : 0);
  return limits;
}

HotRule Classifier::record_of(const CompiledRule& rule, const Limits& limits, const HotRule*) const noexcept {
  HotRule record{.value = {.source = 0, .destination = 0, .ports = limits.low_ports, .traits = limits.traits},
                 .mask = {.source = 0, .destination = 0, .ports = limits.high_ports, .traits = limits.traits_mask}};
  const auto put = [&rule](const auto& bytes, RuleBit prefix, RuleBit negated, unsigned length, std::uint32_t& value,
                           std::uint32_t& mask) {
    if ((rule.bits & (prefix | negated)) != prefix) return;
    mask = static_cast<std::uint32_t>(top_bits(length) >> 32);
    value = load_be32(bytes.data()) & mask;
  };
  put(rule.source, kSourcePrefix, kSourceNegated, rule.source_length, record.value.source, record.mask.source);
  put(rule.destination, kDestinationPrefix, kDestinationNegated, rule.destination_length, record.value.destination,
      record.mask.destination);
  return record;
}

WideRule Classifier::record_of(const CompiledRule& rule, const Limits& limits, const WideRule*) const noexcept {
  WideRule record{.low_ports = limits.low_ports,
                  .high_ports = limits.high_ports,
                  .traits_value = limits.traits,
                  .traits_mask = limits.traits_mask};
  const auto put = [&rule](const auto& bytes, RuleBit prefix, RuleBit negated, std::uint8_t length,
                           std::array<std::uint32_t, 4>& words, std::uint8_t& own_length) {
    if ((rule.bits & (prefix | negated)) != prefix) return;
    own_length = length;
    for (std::size_t word = 0; word < words.size(); ++word) words[word] = load_be32(&bytes[word * 4]);
  };
  put(rule.source, kSourcePrefix, kSourceNegated, rule.source_length, record.source, record.source_length);
  put(rule.destination, kDestinationPrefix, kDestinationNegated, rule.destination_length, record.destination,
      record.destination_length);
  return record;
}

template <class Record>
void Classifier::fill_tables(RuleTables<Record>& tables, RuleBit family, std::vector<Outcome>& outcomes,
                             std::vector<bool>& is_in_tables) const {
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    if (is_pure_[i] && (rules_[i].bits & family) != 0) ranks.push_back(rank_of(i));
  }
  std::ranges::sort(ranks);
  if (ranks.size() > RuleTables<Record>::kMaxRules) ranks.resize(RuleTables<Record>::kMaxRules);
  is_in_tables.assign(rules_.size(), false);
  std::vector<Record> records;
  records.reserve(ranks.size());
  outcomes.clear();
  outcomes.reserve(ranks.size() + 1);
  for (const std::uint32_t rank : ranks) {
    const std::uint32_t rule = rule_of_rank(rank);
    records.push_back(record_of(rules_[rule], limits_of(rule), static_cast<const Record*>(nullptr)));
    outcomes.push_back({.rule = rule, .verdict = verdict_of(ruleset_->rules[rule])});
    is_in_tables[rule] = true;
  }
  outcomes.emplace_back();
  for (const std::uint32_t index : tables.build(std::move(records))) is_in_tables[outcomes[index].rule] = false;
}

void Classifier::build_tables() {
  fill_tables(tables_, kIpv4, outcomes_, in_tables_);
  fill_tables(wide_tables_, kIpv6, wide_outcomes_, in_wide_tables_);
}

/// Frees the cache line of each rule of which its records say all and that nothing else looks at.
void Classifier::drop_plain_rules() {
  std::vector<CompiledRule> kept;
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    const std::uint32_t bits = rules_[i].bits;
    const bool found = (in_tables_[i] || (bits & kIpv4) == 0) && (in_wide_tables_[i] || (bits & kIpv6) == 0);
    const bool plain = is_pure_[i] && found && (limits_of(i).traits & kMoreTrait) == 0;
    compiled_at_[i] = plain ? kNoRank : static_cast<std::uint32_t>(kept.size());
    if (!plain) kept.push_back(rules_[i]);
  }
  kept.shrink_to_fit();
  rules_ = std::move(kept);
}

/// Rules that crowd one hash key because lengths were rounded get a tuple of their exact lengths.
void Classifier::refine(std::vector<Entry>& entries, std::span<const CompiledRule> rules, wire::Family family) {
  constexpr std::uint32_t kCrowd = 8;
  std::unordered_map<std::uint32_t, std::uint32_t> crowd;
  crowd.reserve(entries.size());
  for (const Entry& entry : entries) ++crowd[entry.hash];
  for (Entry& entry : entries) {
    if (crowd[entry.hash] <= kCrowd) continue;
    entry.tuple = tuple_of(rules[entry.rule], family, true);
    entry.hash = hash_of(words_of(rules[entry.rule]), entry.tuple);
  }
}

void Classifier::build_space(Way way, wire::Family family) {
  const std::uint32_t wanted = (way == Way::kIn ? kWayIn : kWayOut) | (family == wire::Family::kIpv4 ? kIpv4 : kIpv6);
  std::vector<Entry> entries;
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    if (!is_pure_[i] || (rules_[i].bits & wanted) != wanted) continue;
    if (family == wire::Family::kIpv4 ? in_tables_[i] : in_wide_tables_[i]) continue;
    const Tuple tuple = tuple_of(rules_[i], family, false);
    entries.push_back({.tuple = tuple, .hash = hash_of(words_of(rules_[i]), tuple), .rank = rank_of(i), .rule = i});
  }
  refine(entries, rules_, family);
  fill(spaces_[space_index(way, family)], entries);
}

void Classifier::fill(Space& space, std::vector<Entry>& entries) {
  if (entries.empty()) return;
  for (const Entry& entry : entries) {
    auto known = std::ranges::find(space.tuples, entry.tuple, &RankedTuple::tuple);
    if (known == space.tuples.end()) known = space.tuples.insert(known, {.tuple = entry.tuple});
    known->best_rank = std::min(known->best_rank, entry.rank);
  }
  std::ranges::sort(space.tuples, {}, &RankedTuple::best_rank);

  std::ranges::sort(
      entries, [](const Entry& a, const Entry& b) { return a.hash != b.hash ? a.hash < b.hash : a.rank < b.rank; });
  space.slots.resize(std::bit_ceil(entries.size() * 2));
  const std::size_t mask = space.slots.size() - 1;
  space.refs.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const bool is_first = i == 0 || entries[i - 1].hash != entries[i].hash;
    const bool is_last = i + 1 == entries.size() || entries[i + 1].hash != entries[i].hash;
    if (is_first) {
      std::size_t at = entries[i].hash & mask;
      while (space.slots[at].first != kNoRank) at = (at + 1) & mask;
      space.slots[at] = {.hash = entries[i].hash, .first = static_cast<std::uint32_t>(space.refs.size())};
    }
    space.refs.push_back(entries[i].rule | (is_last ? kLastRef : 0U));
  }
}

std::size_t Classifier::memory_bytes() const noexcept {
  std::size_t bytes = tables_.memory_bytes() + wide_tables_.memory_bytes() +
                      (outcomes_.capacity() + wide_outcomes_.capacity()) * sizeof(Outcome) +
                      compiled_at_.capacity() * sizeof(std::uint32_t) + rules_.capacity() * sizeof(CompiledRule) +
                      port_sets_.capacity() * sizeof(std::uint64_t) +
                      (impure_.capacity() + impure_after_.capacity()) * sizeof(std::uint32_t);
  for (const Space& space : spaces_) {
    bytes += space.tuples.capacity() * sizeof(RankedTuple) + space.slots.capacity() * sizeof(Slot) +
             space.refs.capacity() * sizeof(std::uint32_t);
  }
  return bytes;
}

}  // namespace ringplane::firewall
