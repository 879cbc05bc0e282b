#include "flow/source_table.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/hash.h"
#include "base/ids.h"
#include "wire/ip_address.h"

namespace ringplane::flow {

SourceTable::SourceTable(std::size_t capacity, const base::HashSecret& secret)
    : slots_(std::bit_ceil(2 * std::max<std::size_t>(capacity, 1))),
      secret_(secret),
      capacity_(std::max<std::size_t>(capacity, 1)) {}

std::size_t SourceTable::find(const Key& key) const noexcept {
  std::size_t slot = home(key);
  while (!is_free(slots_[slot]) && slots_[slot].key != key) slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

SourceTable::Begun SourceTable::begin_flow(base::RuleId rule, const wire::HostAddress& host, const SourceLimits& limits,
                                           std::uint32_t sources) noexcept {
  const Key key = key_of(rule, host);
  Slot& slot = slots_[find(key)];
  if (!is_free(slot)) {
    if (limits.max_flows != 0 && slot.flows >= limits.max_flows) return Begun::kLimit;
    ++slot.flows;
    return Begun::kAnother;
  }
  if (limits.max_sources != 0 && sources >= limits.max_sources) return Begun::kLimit;
  if (size_ == capacity_) return Begun::kFull;
  slot = Slot{.key = key, .flows = 1};
  ++size_;
  return Begun::kFirst;
}

bool SourceTable::begin_connection(base::RuleId rule, const wire::HostAddress& host, const SourceLimits& limits,
                                   std::uint64_t now_ns) noexcept {
  constexpr std::uint64_t kOne = 1000;
  Slot& slot = slots_[find(key_of(rule, host))];
  if (is_free(slot)) return false;
  ++slot.connections;
  bool beyond = limits.max_connections != 0 && slot.connections > limits.max_connections;
  if (limits.rate_count != 0 && limits.rate_seconds != 0) {
    // A window that forgets evenly: after rate_seconds of silence nothing is left (as pf counts).
    const std::uint64_t window_ns = limits.rate_seconds * base::kNanosPerSecond;
    const std::uint64_t passed_ns = std::min(now_ns - slot.rate_last_ns, window_ns);
    slot.rate_thousandths -=
        slot.rate_thousandths * (passed_ns / base::kNanosPerMilli) / (window_ns / base::kNanosPerMilli);
    slot.rate_thousandths += kOne;
    slot.rate_last_ns = now_ns;
    beyond = beyond || slot.rate_thousandths > limits.rate_count * kOne;
  }
  return beyond;
}

bool SourceTable::end_flow(base::RuleId rule, const wire::HostAddress& host, bool was_connection) noexcept {
  const std::size_t at = find(key_of(rule, host));
  Slot& slot = slots_[at];
  if (is_free(slot)) return false;
  if (was_connection && slot.connections > 0) --slot.connections;
  if (--slot.flows > 0) return false;
  remove(at);
  return true;
}

void SourceTable::remove(std::size_t slot) noexcept {
  // Backward shift: later entries of the run move up, so that no tombstones are needed.
  const std::size_t mask = slots_.size() - 1;
  --size_;
  for (std::size_t next = (slot + 1) & mask; !is_free(slots_[next]); next = (next + 1) & mask) {
    const std::size_t wanted = home(slots_[next].key);
    if (((next - wanted) & mask) < ((next - slot) & mask)) continue;  // would move before its home
    slots_[slot] = slots_[next];
    slot = next;
  }
  slots_[slot] = Slot{};
}

void SourceTable::clear() noexcept {
  if (size_ == 0) return;
  size_ = 0;
  if (++epoch_ == 0) std::ranges::fill(slots_, Slot{});
}

}  // namespace ringplane::flow
