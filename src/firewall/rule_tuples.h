// RuleTuples: rules by hash of the parts of a packet that they fix, each key with the list of all rules that share it.
//
// A tuple says which parts those are: how many leading bits of both addresses and both ports, protocol, and, of an
// address that is given by a table, the table: a packet has, for each address, the set of tables that may hold it
// (table_finder.h). One hash table serves all tuples. Who finds a list checks its rules in full, so that a hash
// collision costs time, never correctness.
//
// Immutable after build(); any thread. Nothing on the lookup path allocates or throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "firewall/compiled_rule.h"
#include "firewall/match_key.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

class RuleTuples {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  /// Which parts of a packet make the key.
  struct Tuple {
    std::uint8_t source_length = 0;
    std::uint8_t destination_length = 0;
    std::uint8_t source_port_bits = 0;
    std::uint8_t destination_port_bits = 0;
    bool with_protocol = false;
    bool with_source_table = false;
    bool with_destination_table = false;
    [[nodiscard]] auto operator<=>(const Tuple&) const noexcept = default;
  };
  /// Those parts; addresses as integers, left-aligned.
  struct Words {
    std::array<std::uint64_t, 2> source{};
    std::array<std::uint64_t, 2> destination{};
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint8_t protocol = 0;
    TableId source_table = 0;
    TableId destination_table = 0;
  };
  struct Member {
    std::uint32_t rule = 0;
    std::uint32_t order = 0;  ///< in which lists are sorted; no two members have the same
    const CompiledRule* compiled = nullptr;
  };

  /// Takes the members in, once. `by_table`: rules of different tables have different keys.
  void build(std::span<const Member> members, wire::Family family, bool by_table);

  [[nodiscard]] static Words words_of(const MatchKey& key) noexcept;
  [[nodiscard]] bool empty() const noexcept { return tuples_.empty(); }
  [[nodiscard]] std::size_t tuple_count() const noexcept { return tuples_.size(); }
  [[nodiscard]] bool asks_source_tables() const noexcept { return asks_source_tables_; }
  [[nodiscard]] bool asks_destination_tables() const noexcept { return asks_destination_tables_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

  /// Calls visit(list) with each list of rules that the packet may match, sorted by order; tuples come in the order of
  /// the best of their rules, until wants(order of that one) says false.
  template <class Wants, class Visit>
  void for_each_list(Words words, std::span<const TableId> source_tables, std::span<const TableId> destination_tables,
                     Wants&& wants, Visit&& visit) const noexcept {
    static constexpr std::array<TableId, 1> kNoMatter = {0};
    for (const OrderedTuple& one : tuples_) {
      if (!wants(one.best)) return;
      const std::span<const TableId> sources = one.tuple.with_source_table ? source_tables : kNoMatter;
      const std::span<const TableId> destinations = one.tuple.with_destination_table ? destination_tables : kNoMatter;
      for (const TableId source : sources) {
        for (const TableId destination : destinations) {
          words.source_table = source;
          words.destination_table = destination;
          const std::span<const std::uint32_t> list = list_of(hash_of(words, one.tuple));
          if (!list.empty()) visit(list);
        }
      }
    }
  }

 private:
  struct OrderedTuple {
    Tuple tuple;
    std::uint32_t best = kNone;
  };
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t first = 0;  // into rules_
    std::uint32_t count = 0;  // 0: empty slot
  };
  struct Entry {
    Tuple tuple;
    std::uint32_t hash = 0;
    std::uint32_t order = 0;
    std::uint32_t rule = 0;
  };

  [[nodiscard]] static std::uint32_t hash_of(const Words& words, const Tuple& tuple) noexcept;
  [[nodiscard]] static Words words_of(const CompiledRule& rule) noexcept;
  [[nodiscard]] static Tuple tuple_of(const CompiledRule& rule, wire::Family family, bool by_table,
                                      bool exact) noexcept;
  void order_tuples(std::span<const Entry> entries);
  void fill(std::vector<Entry>& entries);
  [[nodiscard]] std::span<const std::uint32_t> list_of(std::uint32_t hash) const noexcept {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask; slots_[at].count != 0; at = (at + 1) & mask) {
      if (slots_[at].hash == hash) return std::span(rules_).subspan(slots_[at].first, slots_[at].count);
    }
    return {};
  }

  std::vector<OrderedTuple> tuples_;  // by `best`
  std::vector<Slot> slots_;           // a power of two, or none
  std::vector<std::uint32_t> rules_;  // the lists
  bool asks_source_tables_ = false;
  bool asks_destination_tables_ = false;
};

}  // namespace ringplane::firewall
