// How a RuleIndex is made: conditions to numbers, rules to tables and tuples.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/piece_list.h"
#include "firewall/compiled_rule.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/rule_index.h"
#include "firewall/rule_record.h"
#include "firewall/rule_tables.h"
#include "firewall/rule_tuples.h"
#include "firewall/ruleset.h"
#include "firewall/table_finder.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {
namespace {

bool depends_on_the_past(const Rule& rule) noexcept {
  return rule.tag != kNoTag || rule.tagged != kNoTag || rule.probability != 0;
}

}  // namespace

CompiledAnchors::CompiledAnchors(const Ruleset& ruleset) {
  for (const Anchor& anchor : ruleset.anchors) {
    const Rule& rule = ruleset.rules[anchor.rule];
    const bool inside_walked = walks(rule.parent);
    is_walked.push_back(inside_walked || depends_on_the_past(rule) || rule.quick);
    conditions.push_back(compile(rule));
  }
}

RuleIndex::RuleIndex(base::PieceList<Rule> rules, std::shared_ptr<const CompiledAnchors> anchors,
                     const TableList* tables)
    : list_(std::move(rules)), anchors_(std::move(anchors)) {
  compile_rules();
  fill_tables(tables_, kIpv4, outcomes_, in_tables_);
  fill_tables(wide_tables_, kIpv6, wide_outcomes_, in_wide_tables_);
  for (const Outcome& outcome : outcomes_) {
    if (outcome.rule == Rule::kNone || (rules_[outcome.rule].bits & kQuick) == 0) break;
    ++quick_outcomes_;
  }
  for (const Way way : {Way::kIn, Way::kOut}) {
    build_tuples(way, wire::Family::kIpv4, tables != nullptr);
    build_tuples(way, wire::Family::kIpv6, tables != nullptr);
  }
  if (tables != nullptr) make_finder(*tables);
  tables_say_all_ = std::ranges::all_of(plain_tuples_, [](const RuleTuples& tuples) { return tuples.empty(); });
  drop_plain_rules();
  is_plain_ = {};
  in_tables_ = {};
  in_wide_tables_ = {};
}

void RuleIndex::compile_rules() {
  rules_.reserve(list_.size());
  compiled_at_.reserve(list_.size());
  is_plain_.reserve(list_.size());
  std::uint32_t i = 0;
  for (const Rule& rule : list_) {
    CompiledRule compiled = compile(rule);
    const bool inside_walked = anchors_->walks(rule.parent);
    const bool is_match = rule.action == Action::kMatch && !rule.is_anchor();
    const bool is_walked = inside_walked || depends_on_the_past(rule) || (rule.is_anchor() && rule.quick) ||
                           (is_match && (rule.log != LogKind::kNone || rule.quick));
    is_plain_.push_back(!is_walked && !rule.is_anchor() && !is_match);
    if (is_walked) walked_.push_back(i);
    if (inside_walked) compiled.parent = Rule::kNone;  // whether it is open is for the walk to find out
    rules_.push_back(compiled);
    compiled_at_.push_back(i++);
  }
}

/// What records of both families have beside addresses.
struct RuleIndex::Limits {
  std::uint32_t low_ports = 0;
  std::uint32_t high_ports = 0xffff'ffff;
  std::uint32_t traits = 0;
  std::uint32_t traits_mask = 0;
};

RuleIndex::Limits RuleIndex::limits_of(const CompiledRule& rule) const noexcept {
  Limits limits;
  const auto put_ports = [&limits](std::uint32_t low, std::uint32_t high, int shift) {
    limits.low_ports |= low << shift;
    limits.high_ports &= ~(0xffffU << shift) | (high << shift);
  };
  if ((rule.bits & kSourcePortNegated) == 0) put_ports(rule.source_port_low, rule.source_port_high, 16);
  if ((rule.bits & kDestinationPortNegated) == 0) put_ports(rule.destination_port_low, rule.destination_port_high, 0);

  constexpr std::uint32_t kMore = kSourceTable | kSourceNegated | kDestinationTable | kDestinationNegated |
                                  kSourcePortNegated | kDestinationPortNegated | kIcmpCode | kTos | kFragment;
  const bool one_port = std::has_single_bit(rule.ports);
  const bool opens =
      rule.tcp_flags == wire::tcp_flag::kSyn && rule.tcp_flags_mask == (wire::tcp_flag::kSyn | wire::tcp_flag::kAck);
  const bool more = (rule.bits & kMore) != 0 || rule.parent != Rule::kNone ||
                    (rule.ports != Rule::kEveryPort && !one_port) || (rule.tcp_flags_mask != 0 && !opens);
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
                one_port ? static_cast<std::uint32_t>(std::countr_zero(rule.ports)) : 0, has_type ? rule.icmp_type : 0);
  limits.traits_mask = traits_of(has_protocol ? 0xff : 0, wants, one_port ? 0xff : 0, has_type ? 0xff : 0);
  return limits;
}

HotRule RuleIndex::record_of(const CompiledRule& rule, const Limits& limits, const HotRule*) const noexcept {
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

WideRule RuleIndex::record_of(const CompiledRule& rule, const Limits& limits, const WideRule*) const noexcept {
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
void RuleIndex::fill_tables(RuleTables<Record>& tables, RuleBit family, std::vector<Outcome>& outcomes,
                            std::vector<bool>& is_in_tables) const {
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    if (is_plain_[i] && (rules_[i].bits & family) != 0) ranks.push_back(rank_of(i));
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
    records.push_back(record_of(rules_[rule], limits_of(rules_[rule]), static_cast<const Record*>(nullptr)));
    outcomes.push_back({.rule = rule, .verdict = verdict_of(list_[rule])});
    is_in_tables[rule] = true;
  }
  outcomes.emplace_back();
  for (const std::uint32_t index : tables.build(std::move(records))) is_in_tables[outcomes[index].rule] = false;
}

/// Frees the cache line of each rule of which its records say all and that nothing else looks at.
void RuleIndex::drop_plain_rules() {
  std::vector<CompiledRule> kept;
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    const std::uint32_t bits = rules_[i].bits;
    const bool found = (in_tables_[i] || (bits & kIpv4) == 0) && (in_wide_tables_[i] || (bits & kIpv6) == 0);
    const bool said = is_plain_[i] && found && (limits_of(rules_[i]).traits & kMoreTrait) == 0;
    compiled_at_[i] = said ? kNoPlace : static_cast<std::uint32_t>(kept.size());
    if (!said) kept.push_back(rules_[i]);
  }
  kept.shrink_to_fit();
  rules_ = std::move(kept);
}

bool RuleIndex::leaves_to_tuples(std::uint32_t rule, wire::Family family) const noexcept {
  return is_plain_[rule] && !(family == wire::Family::kIpv4 ? in_tables_[rule] : in_wide_tables_[rule]);
}

void RuleIndex::build_tuples(Way way, wire::Family family, bool by_table) {
  const std::uint32_t wanted = (way == Way::kIn ? kWayIn : kWayOut) | (family == wire::Family::kIpv4 ? kIpv4 : kIpv6);
  std::vector<RuleTuples::Member> plain;
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    if ((rules_[i].bits & wanted) != wanted || !leaves_to_tuples(i, family)) continue;
    plain.push_back({.rule = i, .order = rank_of(i), .compiled = &rules_[i]});
  }
  plain_tuples_[space_of(way, family)].build(plain, family, by_table);
  if (walked_.size() < kFewWalked) return;
  std::vector<RuleTuples::Member> walked;
  for (const std::uint32_t i : walked_) {
    if ((rules_[i].bits & wanted) == wanted) walked.push_back({.rule = i, .order = i, .compiled = &rules_[i]});
  }
  walked_tuples_[space_of(way, family)].build(walked, family, by_table);
}

RuleIndex::Gone RuleIndex::without(std::span<const std::uint32_t> rules) const {
  Gone gone{.rules = std::vector<std::uint64_t>(rule_count() / 64 + 1),
            .outcomes = std::vector<std::uint64_t>(outcomes_.size() / 64 + 1),
            .wide_outcomes = std::vector<std::uint64_t>(wide_outcomes_.size() / 64 + 1)};
  const auto set = [](std::vector<std::uint64_t>& bits, std::size_t i) {
    bits[i / 64] |= std::uint64_t{1} << (i % 64);
  };
  // Outcomes lie in order of rank: quick rules first, ascending, then the others, descending.
  const auto set_outcome = [&](std::span<const Outcome> outcomes, std::vector<std::uint64_t>& bits,
                               std::uint32_t rank) {
    const auto rank_of_outcome = [this](const Outcome& outcome) {
      return outcome.rule == Rule::kNone ? kNone : rank_of(outcome.rule, list_[outcome.rule].quick);
    };
    const auto at = std::ranges::lower_bound(outcomes, rank, {}, rank_of_outcome);
    if (at != outcomes.end() && rank_of_outcome(*at) == rank)
      set(bits, static_cast<std::size_t>(at - outcomes.begin()));
  };
  for (const std::uint32_t rule : rules) {
    set(gone.rules, rule);
    const std::uint32_t rank = rank_of(rule, list_[rule].quick);
    set_outcome(outcomes_, gone.outcomes, rank);
    set_outcome(wide_outcomes_, gone.wide_outcomes, rank);
  }
  return gone;
}

/// Of the tables whose rules are in tuples.
void RuleIndex::make_finder(const TableList& tables) {
  std::vector<bool> is_used(tables.size());
  const auto use = [&](const CompiledRule& rule) {
    if ((rule.bits & (kSourceTable | kSourceNegated)) == kSourceTable) is_used[table_of(rule.source)] = true;
    if ((rule.bits & (kDestinationTable | kDestinationNegated)) == kDestinationTable) {
      is_used[table_of(rule.destination)] = true;
    }
  };
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    const std::uint32_t bits = rules_[i].bits;
    if (((bits & kIpv4) != 0 && leaves_to_tuples(i, wire::Family::kIpv4)) ||
        ((bits & kIpv6) != 0 && leaves_to_tuples(i, wire::Family::kIpv6))) {
      use(rules_[i]);
    }
  }
  if (walked_.size() >= kFewWalked) {
    for (const std::uint32_t i : walked_) use(rules_[i]);
  }
  std::vector<TableId> used;
  for (TableId id = 0; id < is_used.size(); ++id) {
    if (is_used[id]) used.push_back(id);
  }
  finder_ = TableFinder(tables, std::move(used));
}

}  // namespace ringplane::firewall
