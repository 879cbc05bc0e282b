#include "firewall/classifier.h"

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

#include "base/hash.h"
#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/match_key.h"
#include "firewall/rule_tables.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {
namespace {

enum Bit : std::uint32_t {
  kWayIn = 1U << 0,
  kWayOut = 1U << 1,
  kIpv4 = 1U << 2,
  kIpv6 = 1U << 3,
  kProtocol = 1U << 4,
  kSourcePrefix = 1U << 5,
  kSourceTable = 1U << 6,
  kSourceNegated = 1U << 7,
  kDestinationPrefix = 1U << 8,
  kDestinationTable = 1U << 9,
  kDestinationNegated = 1U << 10,
  kSourcePort = 1U << 11,
  kSourcePortNegated = 1U << 12,
  kDestinationPort = 1U << 13,
  kDestinationPortNegated = 1U << 14,
  kIcmpType = 1U << 15,
  kIcmpCode = 1U << 16,
  kTos = 1U << 17,
  kFragment = 1U << 18,
  kNoIcmpReply = 1U << 19,
  kTaggedNegated = 1U << 20,
  kQuick = 1U << 21,
};

constexpr std::uint32_t kLastRef = 1U << 31;

std::uint64_t load_be64(const std::uint8_t* from) noexcept {
  std::uint64_t value = base::load64(from);
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  return value;
}

constexpr std::uint64_t top_bits(unsigned count) noexcept {
  if (count == 0) return 0;
  return count >= 64 ? ~std::uint64_t{0} : ~std::uint64_t{0} << (64 - count);
}

bool prefix_holds(const std::uint8_t* prefix, unsigned length, const wire::IpAddress& address) noexcept {
  const std::uint64_t upper = load_be64(prefix) ^ load_be64(address.bytes.data());
  if (length <= 64) return (upper & top_bits(length)) == 0;
  const std::uint64_t lower = load_be64(prefix + 8) ^ load_be64(address.bytes.data() + 8);
  return upper == 0 && (lower & top_bits(length - 64)) == 0;
}

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
                 std::uint32_t& bits, Bit prefix, Bit table, Bit negated) noexcept {
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
  is_pure_ = {};
  in_tables_ = {};
}

void Classifier::compile_rules() {
  const std::vector<Rule>& rules = ruleset_->rules;
  rules_.reserve(rules.size());
  compiled_at_.reserve(rules.size());
  verdicts_.reserve(rules.size());
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
    verdicts_.push_back(verdict_of(rule));
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

std::uint32_t Classifier::rank_of(std::uint32_t rule) const noexcept {
  if (ruleset_->rules[rule].quick) return rule;
  const auto count = static_cast<std::uint32_t>(ruleset_->rules.size());
  return count + (count - 1 - rule);
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

Classifier::KeyWords Classifier::words_of(const MatchKey& key) noexcept {
  return {.source = {load_be64(key.source.bytes.data()), load_be64(key.source.bytes.data() + 8)},
          .destination = {load_be64(key.destination.bytes.data()), load_be64(key.destination.bytes.data() + 8)},
          .source_port = key.source_port,
          .destination_port = key.destination_port,
          .protocol = key.protocol};
}

std::uint32_t Classifier::hash_of(const KeyWords& words, const Tuple& tuple) noexcept {
  const unsigned source = tuple.source_length;
  const unsigned destination = tuple.destination_length;
  std::uint64_t state = base::fold_multiply((words.source[0] & top_bits(source)) ^ 0xa0761d6478bd642fULL,
                                            (words.destination[0] & top_bits(destination)) ^ 0xe7037ed1a0b428dbULL);
  if (source > 64 || destination > 64) {
    const unsigned low_source = source > 64 ? source - 64 : 0;
    const unsigned low_destination = destination > 64 ? destination - 64 : 0;
    state ^= std::rotl(base::fold_multiply((words.source[1] & top_bits(low_source)) ^ 0x8ebc6af09c88c6e3ULL,
                                           (words.destination[1] & top_bits(low_destination)) ^ 0x589965cc75374cc3ULL),
                       23);
  }
  const auto masked = [](std::uint16_t port, unsigned bits) {
    return std::uint64_t{static_cast<std::uint16_t>(port & (0xffff0000U >> bits))};
  };
  const std::uint64_t rest = (masked(words.source_port, tuple.source_port_bits) << 24) |
                             (masked(words.destination_port, tuple.destination_port_bits) << 8) |
                             (tuple.with_protocol ? words.protocol : 0U);
  const std::uint64_t shape = (std::uint64_t{tuple.source_length} << 40) |
                              (std::uint64_t{tuple.destination_length} << 32) |
                              (std::uint64_t{tuple.source_port_bits} << 24) |
                              (std::uint64_t{tuple.destination_port_bits} << 16) | (tuple.with_protocol ? 1U : 0U);
  const std::uint64_t mixed = base::fold_multiply(state ^ rest, shape ^ 0x1d8e4e27c47d124fULL);
  return static_cast<std::uint32_t>(mixed ^ (mixed >> 32));
}

HotRule Classifier::hot_rule_of(std::uint32_t index) const noexcept {
  const CompiledRule& rule = rules_[index];
  HotRule hot{.rank = rank_of(index), .tcp_flags = rule.tcp_flags, .tcp_flags_mask = rule.tcp_flags_mask};
  const auto address = [&rule](const auto& bytes, Bit prefix, Bit negated, unsigned length, std::uint32_t& value,
                               std::uint32_t& mask) {
    if ((rule.bits & (prefix | negated)) != prefix) return;
    mask = static_cast<std::uint32_t>(top_bits(length) >> 32);
    value = static_cast<std::uint32_t>(load_be64(bytes.data()) >> 32) & mask;
  };
  address(rule.source, kSourcePrefix, kSourceNegated, rule.source_length, hot.source, hot.source_mask);
  address(rule.destination, kDestinationPrefix, kDestinationNegated, rule.destination_length, hot.destination,
          hot.destination_mask);
  if ((rule.bits & kSourcePortNegated) == 0) {
    hot.source_port_low = rule.source_port_low;
    hot.source_port_high = rule.source_port_high;
  }
  if ((rule.bits & kDestinationPortNegated) == 0) {
    hot.destination_port_low = rule.destination_port_low;
    hot.destination_port_high = rule.destination_port_high;
  }
  constexpr std::uint32_t kMore = kSourceTable | kSourceNegated | kDestinationTable | kDestinationNegated |
                                  kSourcePortNegated | kDestinationPortNegated | kIcmpType | kIcmpCode | kTos |
                                  kFragment;
  const bool more =
      (rule.bits & kMore) != 0 || rule.parent != Rule::kNone || port_sets_[rule.port_set] != Rule::kEveryPort;
  const auto want_if = [](bool condition, Want want) { return condition ? std::uint32_t{want} : 0U; };
  hot.protocol = (rule.bits & kProtocol) != 0 ? rule.protocol : 0;
  hot.wants = static_cast<std::uint8_t>(
      want_if((rule.bits & kWayOut) == 0, kWantIn) | want_if((rule.bits & kWayIn) == 0, kWantOut) |
      want_if((rule.bits & (kSourcePort | kDestinationPort)) != 0, kWantPorts) |
      want_if(rule.tcp_flags_mask != 0, kWantFlags) | want_if((rule.bits & kNoIcmpReply) != 0, kWantNoReply) |
      want_if(more, kWantMore) | want_if((rule.bits & kProtocol) != 0, kWantProtocol));
  return hot;
}

void Classifier::build_tables() {
  in_tables_.assign(rules_.size(), false);
  std::vector<HotRule> hot;
  for (std::uint32_t i = 0; i < rules_.size() && hot.size() < RuleTables::kMaxRules; ++i) {
    if (!is_pure_[i] || (rules_[i].bits & kIpv4) == 0) continue;
    hot.push_back(hot_rule_of(i));
    in_tables_[i] = true;
  }
  hot.shrink_to_fit();
  for (const std::uint32_t rank : tables_.build(std::move(hot))) in_tables_[rule_of_rank(rank)] = false;
}

/// Frees the cache line of each rule of which HotRule says all and that nothing else looks at.
void Classifier::drop_plain_rules() {
  std::vector<CompiledRule> kept;
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    const bool plain = in_tables_[i] && (rules_[i].bits & kIpv6) == 0 && (hot_rule_of(i).wants & kWantMore) == 0;
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
    if (family == wire::Family::kIpv4 && in_tables_[i]) continue;
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

bool Classifier::address_matches(const CompiledRule& rule, bool is_source, const MatchKey& key,
                                 const TableOverlay* overlay) const noexcept {
  const std::uint32_t prefix = is_source ? kSourcePrefix : kDestinationPrefix;
  const std::uint32_t table = is_source ? kSourceTable : kDestinationTable;
  const bool negated = (rule.bits & (is_source ? kSourceNegated : kDestinationNegated)) != 0;
  const auto& bytes = is_source ? rule.source : rule.destination;
  const wire::IpAddress& address = is_source ? key.source : key.destination;
  if ((rule.bits & prefix) != 0) {
    return prefix_holds(bytes.data(), is_source ? rule.source_length : rule.destination_length, address) != negated;
  }
  if ((rule.bits & table) == 0) return true;
  TableId id = kNoTable;
  std::memcpy(&id, bytes.data(), sizeof id);
  const bool holds = (overlay != nullptr && overlay->contains(id, key.family, address)) ||
                     ruleset_->tables[id].addresses.contains(key.family, address);
  return holds != negated;
}

bool Classifier::matches_own(const CompiledRule& rule, const MatchKey& key,
                             const TableOverlay* overlay) const noexcept {
  const std::uint32_t bits = rule.bits;
  const std::uint32_t wanted =
      (key.way == Way::kIn ? kWayIn : kWayOut) | (key.family == wire::Family::kIpv4 ? kIpv4 : kIpv6);
  if ((bits & wanted) != wanted) return false;
  if ((bits & kProtocol) != 0 && rule.protocol != key.protocol) return false;
  const std::uint64_t ports = port_sets_[rule.port_set];
  if (ports != Rule::kEveryPort && (key.port.value >= base::kMaxPorts || ((ports >> key.port.value) & 1U) == 0)) {
    return false;
  }
  if ((bits & (kSourcePort | kDestinationPort)) != 0) {
    if (key.is_fragment || (key.protocol != wire::protocol::kTcp && key.protocol != wire::protocol::kUdp)) return false;
    const auto port_matches = [bits](std::uint16_t port, std::uint16_t low, std::uint16_t high, Bit given,
                                     Bit negated) {
      return (bits & given) == 0 || (port >= low && port <= high) != ((bits & negated) != 0);
    };
    if (!port_matches(key.source_port, rule.source_port_low, rule.source_port_high, kSourcePort, kSourcePortNegated) ||
        !port_matches(key.destination_port, rule.destination_port_low, rule.destination_port_high, kDestinationPort,
                      kDestinationPortNegated)) {
      return false;
    }
  }
  if (rule.tcp_flags_mask != 0 && key.protocol == wire::protocol::kTcp &&
      (key.is_fragment || (key.tcp_flags & rule.tcp_flags_mask) != rule.tcp_flags)) {
    return false;
  }
  if ((bits & kIcmpType) != 0 && (key.is_fragment || key.icmp_type != rule.icmp_type)) return false;
  if ((bits & kIcmpCode) != 0 && key.icmp_code != rule.icmp_code) return false;
  if ((bits & kTos) != 0 && key.ip_tos != rule.tos) return false;
  if ((bits & kFragment) != 0 && !key.is_fragment) return false;
  if ((bits & kNoIcmpReply) != 0 && is_icmp_query_reply(key)) return false;
  return address_matches(rule, true, key, overlay) && address_matches(rule, false, key, overlay);
}

bool Classifier::matches(std::uint32_t index, const MatchKey& key, TagId tag,
                         const TableOverlay* overlay) const noexcept {
  const CompiledRule& rule = compiled(index);
  if (!matches_own(rule, key, overlay)) return false;
  if (rule.probability != 0 && !probability_holds(ruleset_->rules[index], index, key.random)) return false;
  if (rule.tagged != kNoTag && (rule.tagged == tag) == ((rule.bits & kTaggedNegated) != 0)) return false;
  for (std::uint32_t parent = rule.parent; parent != Rule::kNone; parent = compiled(parent).parent) {
    if (!matches_own(compiled(parent), key, overlay)) return false;
  }
  return true;
}

std::uint32_t Classifier::best_by_tuples(const MatchKey& key, std::uint32_t end, std::uint32_t best,
                                         const TableOverlay* overlay) const noexcept {
  const Space& space = spaces_[space_index(key.way, key.family)];
  if (space.slots.empty()) return best;
  const KeyWords words = words_of(key);
  const std::size_t mask = space.slots.size() - 1;
  std::uint32_t best_rank = best == Rule::kNone ? kNoRank : rank_of(best);
  for (const RankedTuple& ranked : space.tuples) {
    if (ranked.best_rank >= best_rank) break;
    const std::uint32_t hash = hash_of(words, ranked.tuple);
    std::size_t at = hash & mask;
    while (space.slots[at].first != kNoRank && space.slots[at].hash != hash) at = (at + 1) & mask;
    if (space.slots[at].first == kNoRank) continue;
    for (std::uint32_t ref = space.slots[at].first;; ++ref) {
      const std::uint32_t rule = space.refs[ref] & ~kLastRef;
      const std::uint32_t rank = rank_of(rule);
      if (rank >= best_rank) break;
      if (rule < end && matches(rule, key, kNoTag, overlay)) {
        best = rule;
        best_rank = rank;
        break;
      }
      if ((space.refs[ref] & kLastRef) != 0) break;
    }
  }
  return best;
}

Classifier::ImpureResult Classifier::walk_impure(const MatchKey& key, std::uint32_t end, const TableOverlay* overlay,
                                                 Decision& decision) const noexcept {
  struct QuickAnchor {
    std::uint32_t end;
    std::uint32_t match_before;
  };
  // As deep as anchors nest; written before it is read.
  std::array<QuickAnchor, 64> open;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  std::size_t depth = 0;
  std::uint32_t last_match = Rule::kNone;
  for (std::size_t at = 0;;) {
    const std::uint32_t index = at < impure_.size() ? std::min(impure_[at], end) : end;
    for (; depth > 0 && open[depth - 1].end <= index; --depth) {
      if (open[depth - 1].match_before != last_match) return {last_match, open[depth - 1].end, true};
    }
    if (index >= end) return {last_match, end, false};
    const Rule& rule = ruleset_->rules[index];
    if (!matches(index, key, decision.tag, overlay)) {
      at = rule.is_anchor() ? impure_after_[at] : at + 1;
      continue;
    }
    ++at;
    if (rule.tag != kNoTag) decision.tag = rule.tag;
    if (rule.is_anchor()) {
      if (rule.quick && depth < open.size()) open[depth++] = {rule.anchor_end, last_match};
      continue;
    }
    if (rule.action == Action::kMatch) {
      decision.log = std::max(decision.log, rule.log);
    } else {
      last_match = index;
    }
    if (rule.quick) return {last_match, index + 1, true};
  }
}

/// `slots[i]`: the key of header i of the block.
struct Classifier::Question {
  const Classifier* classifier;
  std::span<const MatchKey> keys;
  std::array<std::uint8_t, HeaderBlock::kCapacity> slots;
  std::uint32_t end;
  const TableOverlay* overlay;

  static bool holds(const void* context, std::uint32_t rank, std::uint32_t index) noexcept {
    const auto& self = *static_cast<const Question*>(context);
    const std::uint32_t rule = self.classifier->rule_of_rank(rank);
    if (rule >= self.end) return false;
    return self.classifier->compiled_at_[rule] == kNoRank ||
           self.classifier->matches(rule, self.keys[self.slots[index]], kNoTag, self.overlay);
  }
};

void Classifier::add_header(const MatchKey& key, HeaderBlock& block) noexcept {
  const bool tcp = key.protocol == wire::protocol::kTcp;
  const bool ports = !key.is_fragment && (tcp || key.protocol == wire::protocol::kUdp);
  const std::uint32_t i = block.count++;
  block.source[i] = key.source.ipv4();
  block.destination[i] = key.destination.ipv4();
  block.ports[i] = ports ? (std::uint32_t{key.source_port} << 16) | key.destination_port : 0;
  block.protocol[i] = key.protocol;
  block.best[i] = kNoRank;
  block.tcp_flags[i] = key.tcp_flags;
  block.judged_flags[i] = tcp ? 0xff : 0;
  block.has[i] = static_cast<std::uint8_t>(kWantMore | kWantProtocol | (key.way == Way::kIn ? kWantIn : kWantOut) |
                                           (ports ? kWantPorts : 0) | (tcp && key.is_fragment ? 0 : kWantFlags) |
                                           (is_icmp_query_reply(key) ? 0 : kWantNoReply));
}

std::uint32_t Classifier::best_pure(const MatchKey& key, std::uint32_t end,
                                    const TableOverlay* overlay) const noexcept {
  std::uint32_t best = Rule::kNone;
  if (key.family == wire::Family::kIpv4 && !tables_.empty()) {
    HeaderBlock block;
    add_header(key, block);
    const Question question{.classifier = this, .keys = {&key, 1}, .slots = {}, .end = end, .overlay = overlay};
    tables_.lookup(block, {.always = end < verdicts_.size(), .context = &question, .hold = &Question::holds}, width_);
    if (block.best[0] != kNoRank) best = rule_of_rank(block.best[0]);
  }
  return best_by_tuples(key, end, best, overlay);
}

void Classifier::best_of_block(std::span<const MatchKey> keys, std::span<std::uint32_t> winners,
                               const TableOverlay* overlay) const noexcept {
  const auto count = static_cast<std::uint32_t>(verdicts_.size());
  HeaderBlock block;
  Question question{.classifier = this, .keys = keys, .slots = {}, .end = count, .overlay = overlay};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    winners[i] = Rule::kNone;
    if (keys[i].family != wire::Family::kIpv4) continue;
    question.slots[block.count] = static_cast<std::uint8_t>(i);
    add_header(keys[i], block);
  }
  tables_.lookup(block, {.context = &question, .hold = &Question::holds}, width_);
  for (std::uint32_t n = 0; n < block.count; ++n) {
    if (block.best[n] == kNoRank) continue;
    const std::uint32_t rule = rule_of_rank(block.best[n]);
    winners[question.slots[n]] = rule;
    __builtin_prefetch(&verdicts_[rule]);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) winners[i] = best_by_tuples(keys[i], count, winners[i], overlay);
}

std::uint32_t Classifier::merge_impure(const MatchKey& key, std::uint32_t winner, const TableOverlay* overlay,
                                       Decision& decision) const noexcept {
  const bool is_quick = winner != Rule::kNone && ruleset_->rules[winner].quick;
  const std::uint32_t end = is_quick ? winner : static_cast<std::uint32_t>(verdicts_.size());
  const ImpureResult impure = walk_impure(key, end, overlay, decision);
  // If an impure quick rule ended it first, only what stands before that counts.
  if (impure.is_ended) winner = best_pure(key, impure.stop, overlay);
  if (is_quick && !impure.is_ended) return winner;
  const bool impure_is_later =
      impure.last_match != Rule::kNone && (winner == Rule::kNone || impure.last_match > winner);
  return impure_is_later ? impure.last_match : winner;
}

bool Classifier::is_skipped(const MatchKey& key) const noexcept {
  return key.port.value < base::kMaxPorts && ((ruleset_->options.skip >> key.port.value) & 1U) != 0;
}

Decision Classifier::classify(const MatchKey& key, const TableOverlay* overlay) const noexcept {
  Decision decision;
  classify_burst({&key, 1}, {&decision, 1}, overlay);
  return decision;
}

void Classifier::classify_burst(std::span<const MatchKey> keys, std::span<Decision> decisions,
                                const TableOverlay* overlay) const noexcept {
  std::array<std::uint32_t, HeaderBlock::kCapacity> winners;
  for (std::size_t first = 0; first < keys.size(); first += HeaderBlock::kCapacity) {
    const auto some = keys.subspan(first, std::min<std::size_t>(HeaderBlock::kCapacity, keys.size() - first));
    best_of_block(some, winners, overlay);
    for (std::size_t i = 0; i < some.size(); ++i) {
      Decision& decision = decisions[first + i];
      decision = {.tag = some[i].tag};
      if (is_skipped(some[i])) {
        decision.skipped = true;
        continue;
      }
      const std::uint32_t winner = impure_.empty() ? winners[i] : merge_impure(some[i], winners[i], overlay, decision);
      if (winner != Rule::kNone) apply_rule(verdicts_[winner], base::RuleId{winner}, some[i], decision);
    }
  }
}

std::size_t Classifier::memory_bytes() const noexcept {
  std::size_t bytes = tables_.memory_bytes() + verdicts_.capacity() * sizeof(RuleVerdict) +
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
