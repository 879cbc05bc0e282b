// TableOverlay: the addresses that `overload <table>` has put into tables since the rules were compiled. One per
// worker, owned and used by its thread only; bounded: when it is full, insert() says so and changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/hash.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

/// Index into Ruleset::tables.
using TableId = std::uint32_t;
inline constexpr TableId kNoTable = 0xffffffff;

class TableOverlay {
 public:
  enum class Inserted : std::uint8_t { kNew, kPresent, kFull };

  /// Room for `limit` addresses (at least 1) over all tables; all memory is taken here.
  TableOverlay(std::size_t limit, const base::HashSecret& secret);

  Inserted insert(TableId table, const wire::HostAddress& host) noexcept;
  /// False if it was not there.
  bool erase(TableId table, const wire::HostAddress& host) noexcept;
  /// Forgets all, in constant time: a reload comes here between two bursts. (Once in 65,536 calls it walks the slots.)
  void clear() noexcept;
  [[nodiscard]] bool contains(TableId table, wire::Family family, const wire::IpAddress& address) const noexcept;
  /// Which tables hold the address here: as many of them as fit go into `tables`; returns how many there are.
  std::size_t tables_of(const wire::HostAddress& host, std::span<TableId> tables) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return slots_.size() * sizeof(Slot); }

 private:
  struct Slot {
    wire::IpAddress address;
    TableId table = kNoTable;  // kNoTable: empty; so it is if it is of an earlier epoch
    wire::Family family = wire::Family::kNone;
    std::uint8_t zero = 0;
    std::uint16_t epoch = 0;
    [[nodiscard]] bool operator==(const Slot& other) const noexcept = default;
  };
  static_assert(sizeof(Slot) == 24);
  /// Of the address alone, so that all tables that hold it are found in one run of slots.
  [[nodiscard]] std::size_t home(const Slot& slot) const noexcept {
    const Slot hashed{.address = slot.address, .table = 0, .family = slot.family};
    return base::keyed_hash<24>(&hashed, secret_) & (slots_.size() - 1);
  }
  [[nodiscard]] Slot slot_of(TableId table, wire::Family family, const wire::IpAddress& address) const noexcept {
    return {.address = address, .table = table, .family = family, .epoch = epoch_};
  }
  [[nodiscard]] bool is_free(const Slot& slot) const noexcept { return slot.table == kNoTable || slot.epoch != epoch_; }
  /// The slot that holds `wanted`, or the empty one where it would go.
  [[nodiscard]] std::size_t find(const Slot& wanted) const noexcept;

  std::vector<Slot> slots_;  // a power of two, at least twice the limit
  base::HashSecret secret_;
  std::size_t limit_;
  std::size_t size_ = 0;
  std::uint16_t epoch_ = 0;  // clear() begins a new one
};

}  // namespace ringplane::firewall
