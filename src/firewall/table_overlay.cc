#include "firewall/table_overlay.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <span>

#include "base/hash.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

TableOverlay::TableOverlay(std::size_t limit, const base::HashSecret& secret)
    : slots_(std::bit_ceil(std::max<std::size_t>(limit, 1) * 2)),
      secret_(secret),
      limit_(std::max<std::size_t>(limit, 1)) {}

std::size_t TableOverlay::find(const Slot& wanted) const noexcept {
  std::size_t at = home(wanted);
  while (!is_free(slots_[at]) && slots_[at] != wanted) at = (at + 1) & (slots_.size() - 1);
  return at;
}

TableOverlay::Inserted TableOverlay::insert(TableId table, const wire::HostAddress& host) noexcept {
  const Slot wanted = slot_of(table, host.family, host.address);
  Slot& slot = slots_[find(wanted)];
  if (!is_free(slot)) return Inserted::kPresent;
  if (size_ == limit_) return Inserted::kFull;
  slot = wanted;
  ++size_;
  return Inserted::kNew;
}

bool TableOverlay::erase(TableId table, const wire::HostAddress& host) noexcept {
  std::size_t hole = find(slot_of(table, host.family, host.address));
  if (is_free(slots_[hole])) return false;
  --size_;
  // Close the gap: move back every later slot of the run whose home does not lie behind the hole.
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t next = (hole + 1) & mask; !is_free(slots_[next]); next = (next + 1) & mask) {
    if (((next - home(slots_[next])) & mask) < ((next - hole) & mask)) continue;
    slots_[hole] = slots_[next];
    hole = next;
  }
  slots_[hole] = Slot{};
  return true;
}

void TableOverlay::clear() noexcept {
  if (size_ == 0) return;
  size_ = 0;
  if (++epoch_ == 0) std::ranges::fill(slots_, Slot{});
}

std::size_t TableOverlay::tables_of(const wire::HostAddress& host, std::span<TableId> tables) const noexcept {
  std::size_t count = 0;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = home(slot_of(0, host.family, host.address)); !is_free(slots_[at]); at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.address != host.address || slot.family != host.family) continue;
    if (count < tables.size()) tables[count] = slot.table;
    ++count;
  }
  return count;
}

bool TableOverlay::contains(TableId table, wire::Family family, const wire::IpAddress& address) const noexcept {
  if (size_ == 0) return false;
  return !is_free(slots_[find(slot_of(table, family, address))]);
}

}  // namespace ringplane::firewall
