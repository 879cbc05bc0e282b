#include "firewall/rule_tuples.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "firewall/compiled_rule.h"
#include "firewall/match_key.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

/// Rules of one key; where there are more, lengths are no longer rounded.
constexpr std::uint32_t kCrowdOfTuple = 8;

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

}  // namespace

RuleTuples::Words RuleTuples::words_of(const MatchKey& key) noexcept {
  return {.source = {load_be64(key.source.bytes.data()), load_be64(key.source.bytes.data() + 8)},
          .destination = {load_be64(key.destination.bytes.data()), load_be64(key.destination.bytes.data() + 8)},
          .source_port = key.source_port,
          .destination_port = key.destination_port,
          .protocol = key.protocol};
}

RuleTuples::Words RuleTuples::words_of(const CompiledRule& rule) noexcept {
  return {.source = {load_be64(rule.source.data()), load_be64(rule.source.data() + 8)},
          .destination = {load_be64(rule.destination.data()), load_be64(rule.destination.data() + 8)},
          .source_port = rule.source_port_low,
          .destination_port = rule.destination_port_low,
          .protocol = rule.protocol,
          .source_table = table_of(rule.source),
          .destination_table = table_of(rule.destination)};
}

std::uint32_t RuleTuples::hash_of(const Words& words, const Tuple& tuple) noexcept {
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
  if (tuple.with_source_table || tuple.with_destination_table) {
    const std::uint64_t source_table = tuple.with_source_table ? std::uint64_t{words.source_table} + 1 : 0;
    const std::uint64_t destination_table =
        tuple.with_destination_table ? std::uint64_t{words.destination_table} + 1 : 0;
    state ^= std::rotl(
        base::fold_multiply(source_table ^ 0x2d358dccaa6c78a5ULL, destination_table ^ 0x8bb84b93962eacc9ULL), 41);
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

RuleTuples::Tuple RuleTuples::tuple_of(const CompiledRule& rule, wire::Family family, bool by_table,
                                       bool exact) noexcept {
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
  tuple.with_source_table = by_table && (rule.bits & (kSourceTable | kSourceNegated)) == kSourceTable;
  tuple.with_destination_table =
      by_table && (rule.bits & (kDestinationTable | kDestinationNegated)) == kDestinationTable;
  if ((rule.bits & (kSourcePort | kSourcePortNegated)) == kSourcePort) {
    tuple.source_port_bits = port_bits(rule.source_port_low, rule.source_port_high);
  }
  if ((rule.bits & (kDestinationPort | kDestinationPortNegated)) == kDestinationPort) {
    tuple.destination_port_bits = port_bits(rule.destination_port_low, rule.destination_port_high);
  }
  tuple.with_protocol = (rule.bits & kProtocol) != 0;
  return tuple;
}

void RuleTuples::build(std::span<const Member> members, wire::Family family, bool by_table) {
  std::vector<Entry> entries;
  entries.reserve(members.size());
  std::unordered_map<std::uint32_t, std::uint32_t> crowd;
  crowd.reserve(members.size());
  for (const Member& member : members) {
    const Tuple tuple = tuple_of(*member.compiled, family, by_table, false);
    const std::uint32_t hash = hash_of(words_of(*member.compiled), tuple);
    ++crowd[hash];
    entries.push_back({.tuple = tuple, .hash = hash, .order = member.order, .rule = member.rule});
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    Entry& entry = entries[i];
    if (crowd[entry.hash] <= kCrowdOfTuple) continue;
    entry.tuple = tuple_of(*members[i].compiled, family, by_table, true);
    entry.hash = hash_of(words_of(*members[i].compiled), entry.tuple);
  }
  order_tuples(entries);
  fill(entries);
}

void RuleTuples::order_tuples(std::span<const Entry> entries) {
  std::map<Tuple, std::uint32_t> best;
  for (const Entry& entry : entries) {
    const auto known = best.try_emplace(entry.tuple, entry.order).first;
    known->second = std::min(known->second, entry.order);
  }
  for (const auto& [tuple, order] : best) {
    tuples_.push_back({.tuple = tuple, .best = order});
    asks_source_tables_ |= tuple.with_source_table;
    asks_destination_tables_ |= tuple.with_destination_table;
  }
  std::ranges::sort(tuples_, {}, &OrderedTuple::best);
}

void RuleTuples::fill(std::vector<Entry>& entries) {
  if (entries.empty()) return;
  std::ranges::sort(
      entries, [](const Entry& a, const Entry& b) { return a.hash != b.hash ? a.hash < b.hash : a.order < b.order; });
  slots_.resize(std::bit_ceil(entries.size() * 2));
  const std::size_t mask = slots_.size() - 1;
  rules_.reserve(entries.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i == 0 || entries[i - 1].hash != entries[i].hash) {
      at = entries[i].hash & mask;
      while (slots_[at].count != 0) at = (at + 1) & mask;
      slots_[at] = {.hash = entries[i].hash, .first = static_cast<std::uint32_t>(i)};
    }
    ++slots_[at].count;
    rules_.push_back(entries[i].rule);
  }
}

std::size_t RuleTuples::memory_bytes() const noexcept {
  return tuples_.capacity() * sizeof(OrderedTuple) + slots_.capacity() * sizeof(Slot) +
         rules_.capacity() * sizeof(std::uint32_t);
}

}  // namespace ringplane::firewall
