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
#include "firewall/match_key.h"
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

/// Frees the cache line of each rule of which HotRule says all and that nothing else looks at.

/// Rules that crowd one hash key because lengths were rounded get a tuple of their exact lengths.

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

/// Without branches: what a stream of headers is made of cannot be guessed.
inline void Classifier::add_header(const MatchKey& key, HeaderBlock& block) noexcept {
  const unsigned whole = key.is_fragment ? 0 : 1;
  const unsigned tcp = key.protocol == wire::protocol::kTcp ? 1 : 0;
  const unsigned ports = whole & (tcp | (key.protocol == wire::protocol::kUdp ? 1U : 0U));
  const std::uint32_t both = (std::uint32_t{key.source_port} << 16) | key.destination_port;
  const std::uint32_t i = block.count++;
  block.source[i] = key.source.ipv4();
  block.destination[i] = key.destination.ipv4();
  block.ports[i] = both & (0U - ports);
  block.protocol[i] = key.protocol;
  block.best[i] = kNoRank;
  block.tcp_flags[i] = key.tcp_flags;
  block.judged_flags[i] = static_cast<std::uint8_t>(0U - tcp);
  block.has[i] = static_cast<std::uint8_t>(kWantMore | kWantProtocol | (key.way == Way::kIn ? kWantIn : kWantOut) |
                                           (kWantPorts & (0U - ports)) | (kWantFlags & (0U - ((tcp ^ 1U) | whole))) |
                                           (is_icmp_query_reply(key) ? 0U : std::uint32_t{kWantNoReply}));
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
  const bool tables_say_all = block.count == keys.size() &&
                              spaces_[space_index(Way::kIn, wire::Family::kIpv4)].slots.empty() &&
                              spaces_[space_index(Way::kOut, wire::Family::kIpv4)].slots.empty();
  if (tables_say_all) return;
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

}  // namespace ringplane::firewall
