// ExpiryWheel: which flows to look at next. A circle of slots of 2^28 ns (0.27 s), each a list of the flows whose
// deadline falls into it; links are 8 bytes a flow and belong to the table, so that a flow can be in one of several
// wheels (never in two).
//
// Lazy: a deadline that moves back is not told to the wheel. When its slot has passed, the flow is taken out, its true
// deadline is computed, and it is linked anew if that lies ahead. Deadlines beyond the circle (18 minutes) go into the
// farthest slot. All operations take constant time; an empty stretch of slots is skipped by a bitmap.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "flow/timeouts.h"

namespace ringplane::flow {

/// A record number, or (at the ends of a list) kListEnd | slot.
struct WheelLinks {
  std::uint32_t next = 0;
  std::uint32_t previous = 0;
};

class ExpiryWheel {
 public:
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  static constexpr std::uint32_t kSlots = 4096;
  static constexpr unsigned kSlotTickShift = 4;
  static constexpr std::uint64_t kSlotNs = kTickNs << kSlotTickShift;

  /// Records are the indexes of `links`, below 2^30.
  ExpiryWheel(std::span<WheelLinks> links, Tick now) noexcept;

  /// Adds a record that is in no wheel.
  void link(std::uint32_t record, Tick deadline) noexcept;
  /// Removes a record that is in this wheel.
  void unlink(std::uint32_t record) noexcept;
  /// A record of a slot that has wholly passed at `now`, or kNone. It stays linked.
  [[nodiscard]] std::uint32_t first_due(Tick now) noexcept;
  /// A record of the earliest slot that has any, longest there first; or kNone. It stays linked.
  [[nodiscard]] std::uint32_t earliest() const noexcept;
  /// The record behind `record`, which is in this wheel, in the same slot; or kNone.
  [[nodiscard]] std::uint32_t behind(std::uint32_t record) const noexcept {
    const std::uint32_t next = links_[record].next;
    return (next & kListEnd) != 0 ? kNone : next;
  }
  [[gnu::always_inline]] void prefetch(std::uint32_t record) const noexcept { __builtin_prefetch(&links_[record], 1); }
  /// Whether a record with this deadline would be linked in a later slot than that of earliest(), which is not kNone.
  [[nodiscard]] bool later_than_earliest(Tick deadline) const noexcept;

 private:
  static constexpr std::uint32_t kListEnd = 0x8000'0000;
  static constexpr std::uint32_t kWords = kSlots / 64;
  static_assert(kWords == 64, "one word sums up the words of the bitmap");

  struct Slot {
    std::uint32_t head;
    std::uint32_t tail;
  };
  [[nodiscard]] std::uint32_t cursor_slot() const noexcept { return (cursor_ >> kSlotTickShift) % kSlots; }
  /// Slots from the cursor to the first that is not empty; kSlots if all are.
  [[nodiscard]] std::uint32_t distance_to_first() const noexcept;
  [[nodiscard]] std::uint32_t slots_ahead(Tick deadline) const noexcept;

  std::span<WheelLinks> links_;
  Tick cursor_;  ///< first tick of the slot that passes next
  std::uint64_t nonempty_words_ = 0;
  std::array<std::uint64_t, kWords> nonempty_{};
  std::array<Slot, kSlots> slots_;
};

}  // namespace ringplane::flow
