#include "firewall/classifier.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/hash.h"
#include "base/ids.h"
#include "firewall/compiled_rule.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "firewall/match_key.h"
#include "firewall/rule_filter.h"
#include "firewall/rule_record.h"
#include "firewall/rule_tables.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {
namespace {

bool prefix_holds(const std::uint8_t* prefix, unsigned length, const wire::IpAddress& address) noexcept {
  const std::uint64_t upper = load_be64(prefix) ^ load_be64(address.bytes.data());
  if (length <= 64) return (upper & top_bits(length)) == 0;
  const std::uint64_t lower = load_be64(prefix + 8) ^ load_be64(address.bytes.data() + 8);
  return upper == 0 && (lower & top_bits(length - 64)) == 0;
}

/// The IPv4 headers of a block that has others too, all open.
void open_narrow(const KeyBlock& from, HeaderBlock<1>& to) noexcept {
  std::uint32_t next_wide = 0;
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < from.count; ++i) {
    if (next_wide < from.wide_count && from.wide_slots[next_wide] == i) {
      ++next_wide;
      continue;
    }
    const KeyRow& row = from.rows[i];
    to.source[0][count] = row.source;
    to.destination[0][count] = row.destination;
    to.ports[count] = row.ports;
    to.traits[count] = row.traits;
    to.slot[count] = i;
    to.best[count++] = RuleTables<HotRule>::kNone;
  }
  to.count = count;
}

/// The IPv6 headers of a block, all open.
void open_wide(const KeyBlock& from, HeaderBlock<4>& to) noexcept {
  to.count = from.wide_count;
  for (std::uint32_t n = 0; n < from.wide_count; ++n) {
    const std::uint32_t i = from.wide_slots[n];
    const MatchKey& key = from.keys[i];
    for (unsigned word = 0; word < 4; ++word) {
      to.source[word][n] = load_be32(&key.source.bytes[std::size_t{word} * 4]);
      to.destination[word][n] = load_be32(&key.destination.bytes[std::size_t{word} * 4]);
    }
    to.ports[n] = from.rows[i].ports;
    to.traits[n] = from.rows[i].traits;
    to.slot[n] = i;
    to.best[n] = RuleTables<WideRule>::kNone;
  }
}

}  // namespace

std::uint32_t Classifier::rank_of(std::uint32_t rule) const noexcept {
  if (ruleset_->rules[rule].quick) return rule;
  const auto count = static_cast<std::uint32_t>(ruleset_->rules.size());
  return count + (count - 1 - rule);
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
    const auto port_matches = [bits](std::uint16_t port, std::uint16_t low, std::uint16_t high, RuleBit given,
                                     RuleBit negated) {
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
  std::uint32_t best_rank = best == Rule::kNone ? kNoRank : rank_of(best);
  const KeyWords words = words_of(key);
  const std::size_t mask = space.slots.size() - 1;
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

struct Classifier::Question {
  const Classifier* classifier;
  std::span<const Outcome> outcomes;  // of the family that is asked about
  const KeyBlock* block;
  std::uint32_t end;
  const TableOverlay* overlay;

  static bool holds(const void* context, std::uint32_t index, std::uint32_t slot) noexcept {
    const auto& self = *static_cast<const Question*>(context);
    const std::uint32_t rule = self.outcomes[index].rule;
    if (rule >= self.end) return false;
    return self.classifier->compiled_at_[rule] == kNoRank ||
           self.classifier->matches(rule, self.block->keys[slot], kNoTag, self.overlay);
  }
};

void Classifier::ask_tables(const KeyBlock& block, std::uint32_t end, const TableOverlay* overlay,
                            Answers& answers) const noexcept {
  const bool is_cut = end < compiled_at_.size();
  std::ranges::fill(std::span(answers.index).first(block.count), kNoRank);
  Question question{.classifier = this, .outcomes = outcomes_, .block = &block, .end = end, .overlay = overlay};
  const MoreConditions more{.always = is_cut, .context = &question, .hold = &Question::holds};
  if (block.wide_count < block.count && !tables_.empty()) {
    HeaderBlock<1> open;
    open.rows = block.rows.data();
    open.count = block.count;
    if (block.wide_count == 0) {
      rule_filter<1>(width_).open(open);
    } else {
      open_narrow(block, open);
    }
    tables_.lookup(open, more, width_, answers.index);
  }
  if (block.wide_count != 0 && !wide_tables_.empty()) {
    HeaderBlock<4> open;
    open_wide(block, open);
    question.outcomes = wide_outcomes_;
    wide_tables_.lookup(open, more, width_, answers.index);
  }
}

std::uint32_t Classifier::best_pure(const MatchKey& key, std::uint32_t end,
                                    const TableOverlay* overlay) const noexcept {
  KeyBlock block;
  block.add(key);
  Answers answers;
  ask_tables(block, end, overlay, answers);
  const std::uint32_t rule = outcome_of(key.family, answers.index[0]).rule;
  return tables_say_all_ ? rule : best_by_tuples(key, end, rule, overlay);
}

std::uint32_t Classifier::merge_impure(const MatchKey& key, std::uint32_t winner, const TableOverlay* overlay,
                                       Decision& decision) const noexcept {
  const bool is_quick = winner != Rule::kNone && ruleset_->rules[winner].quick;
  const std::uint32_t end = is_quick ? winner : static_cast<std::uint32_t>(compiled_at_.size());
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
  KeyBlock block;
  block.add(key);
  Decision decision;
  classify_block(block, {&decision, 1}, overlay);
  return decision;
}

void Classifier::classify_block(const KeyBlock& block, std::span<Decision> decisions,
                                const TableOverlay* overlay) const noexcept {
  Answers answers;
  ask_tables(block, static_cast<std::uint32_t>(compiled_at_.size()), overlay, answers);
  if (!is_plain_ || block.wide_count != 0) {
    decide_with_care(block, answers, decisions, overlay);
    return;
  }
  for (std::uint32_t i = 0; i < block.count; ++i) {
    answers.index[i] = std::min(answers.index[i], static_cast<std::uint32_t>(outcomes_.size() - 1));
    __builtin_prefetch(&outcomes_[answers.index[i]]);
  }
  for (std::uint32_t i = 0; i < block.count; ++i) {
    const Outcome& outcome = outcomes_[answers.index[i]];
    // In place: a copy would wait for the single bytes to be written.
    decisions[i] = Decision{.tag = block.tags[i]};
    apply_rule(outcome.verdict, base::RuleId{outcome.rule}, block.keys[i], decisions[i]);
  }
}

void Classifier::decide_with_care(const KeyBlock& block, const Answers& answers, std::span<Decision> decisions,
                                  const TableOverlay* overlay) const noexcept {
  for (std::uint32_t i = 0; i < block.count; ++i) {
    const MatchKey& key = block.keys[i];
    Decision decision{.tag = key.tag};
    if (is_skipped(key)) {
      decision.skipped = true;
    } else {
      std::uint32_t winner = outcome_of(key.family, answers.index[i]).rule;
      if (!tables_say_all_) winner = best_by_tuples(key, Rule::kNone, winner, overlay);
      if (!impure_.empty()) winner = merge_impure(key, winner, overlay, decision);
      if (winner != Rule::kNone) {
        apply_rule(verdict_of(ruleset_->rules[winner]), base::RuleId{winner}, key, decision);
      }
    }
    decisions[i] = decision;
  }
}

}  // namespace ringplane::firewall
