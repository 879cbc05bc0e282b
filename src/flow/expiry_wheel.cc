#include "flow/expiry_wheel.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

#include "flow/timeouts.h"

namespace ringplane::flow {

ExpiryWheel::ExpiryWheel(std::span<WheelLinks> links, Tick now) noexcept
    : links_(links), cursor_(now >> kSlotTickShift << kSlotTickShift) {
  slots_.fill(Slot{kNone, kNone});
}

std::uint32_t ExpiryWheel::slots_ahead(Tick deadline) const noexcept {
  const auto ticks = static_cast<std::int32_t>(deadline - cursor_);
  if (ticks < 0) return 0;
  return std::min(static_cast<std::uint32_t>(ticks) >> kSlotTickShift, kSlots - 1);
}

void ExpiryWheel::link(std::uint32_t record, Tick deadline) noexcept {
  const std::uint32_t number = (cursor_slot() + slots_ahead(deadline)) % kSlots;
  Slot& slot = slots_[number];
  WheelLinks& links = links_[record];
  links.next = kListEnd | number;
  if (slot.tail == kNone) {
    links.previous = kListEnd | number;
    slot.head = record;
    nonempty_[number / 64] |= std::uint64_t{1} << (number % 64);
    nonempty_words_ |= std::uint64_t{1} << (number / 64);
  } else {
    links.previous = slot.tail;
    links_[slot.tail].next = record;
  }
  slot.tail = record;
}

void ExpiryWheel::unlink(std::uint32_t record) noexcept {
  const WheelLinks links = links_[record];
  const bool first = (links.previous & kListEnd) != 0;
  const bool last = (links.next & kListEnd) != 0;
  if (first && last) {
    const std::uint32_t number = links.next & ~kListEnd;
    slots_[number] = Slot{kNone, kNone};
    nonempty_[number / 64] &= ~(std::uint64_t{1} << (number % 64));
    if (nonempty_[number / 64] == 0) nonempty_words_ &= ~(std::uint64_t{1} << (number / 64));
    return;
  }
  if (first) {
    slots_[links.previous & ~kListEnd].head = links.next;
  } else {
    links_[links.previous].next = links.next;
  }
  if (last) {
    slots_[links.next & ~kListEnd].tail = links.previous;
  } else {
    links_[links.next].previous = links.previous;
  }
}

std::uint32_t ExpiryWheel::distance_to_first() const noexcept {
  if (nonempty_words_ == 0) return kSlots;
  const std::uint32_t from = cursor_slot();
  const std::uint32_t from_word = from / 64;
  const std::uint64_t rest = nonempty_[from_word] >> (from % 64);
  if (rest != 0) return static_cast<std::uint32_t>(std::countr_zero(rest));
  // The words after this one, then around to the part of this one that lies before the cursor.
  const std::uint64_t turned = std::rotr(nonempty_words_, static_cast<int>(from_word + 1));
  const std::uint32_t word = (from_word + 1 + static_cast<std::uint32_t>(std::countr_zero(turned))) % kWords;
  const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(nonempty_[word]));
  return (slot - from) % kSlots;
}

std::uint32_t ExpiryWheel::first_due(Tick now) noexcept {
  const std::int32_t passed = static_cast<std::int32_t>(now - cursor_) >> kSlotTickShift;
  if (passed <= 0) return kNone;
  const std::uint32_t distance = distance_to_first();
  if (distance == kSlots || distance >= static_cast<std::uint32_t>(passed)) {
    cursor_ += static_cast<std::uint32_t>(passed) << kSlotTickShift;
    return kNone;
  }
  cursor_ += distance << kSlotTickShift;
  return slots_[cursor_slot()].head;
}

std::uint32_t ExpiryWheel::earliest() const noexcept {
  const std::uint32_t distance = distance_to_first();
  return distance == kSlots ? kNone : slots_[(cursor_slot() + distance) % kSlots].head;
}

bool ExpiryWheel::later_than_earliest(Tick deadline) const noexcept {
  return slots_ahead(deadline) > distance_to_first();
}

}  // namespace ringplane::flow
