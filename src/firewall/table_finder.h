// TableFinder: which of many tables may hold an address, without asking each: one lookup per length of prefix that any
// of them has. It knows the tables as they were when it was made, and says too much rather than too little: of the
// prefixes it looks at those that are not negated, whatever a longer one says.
//
// Immutable; any thread. Lookups neither allocate nor throw.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "firewall/compiled_rule.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

class TableFinder {
 public:
  /// Room for what is found; where it is too small, all tables are an answer that is right too.
  using Found = std::array<TableId, 64>;
  /// Prefixes that are indexed, smallest tables first; tables beyond that are part of every answer.
  static constexpr std::size_t kMaxPrefixes = std::size_t{1} << 18;

  TableFinder() = default;
  /// Of the tables `used`, ascending and each once.
  TableFinder(const TableList& tables, std::vector<TableId> used);

  /// All tables that hold the address, and perhaps others, each once; `changed` are those that have other contents now
  /// than when this was made. The answer lies in `found` or in this object.
  [[nodiscard]] std::span<const TableId> find(wire::Family family, const wire::IpAddress& address,
                                              const TableOverlay* overlay, std::span<const TableId> changed,
                                              Found& found) const noexcept;
  [[nodiscard]] bool has(TableId table) const noexcept { return std::ranges::binary_search(used_, table); }
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

 private:
  struct Slot {
    wire::IpAddress address;
    std::uint32_t first = 0;  // into refs_
    std::uint32_t count = 0;  // 0: empty slot
  };
  struct Level {
    std::uint8_t length = 0;
    std::size_t mask = 0;  // slots - 1
    std::size_t first_slot = 0;
  };
  struct Entry {
    std::uint8_t length;
    wire::IpAddress address;
    TableId table;
  };
  void add_levels(std::vector<Entry>& entries, std::vector<Level>& levels);
  void add_level(std::span<const Entry> entries, std::vector<Level>& levels);
  [[nodiscard]] std::span<const TableId> tables_of(const Level& level, const wire::IpAddress& address) const noexcept;

  std::vector<TableId> used_;
  std::vector<TableId> always_;
  std::vector<Level> ipv4_levels_;
  std::vector<Level> ipv6_levels_;
  std::vector<Slot> slots_;
  std::vector<TableId> refs_;
};

}  // namespace ringplane::firewall
