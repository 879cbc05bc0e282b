// Sequence numbers live on a circle of 2^32 (RFC 9293 3.4): "before" and "after" are signs of a difference, never of
// the numbers themselves. Two numbers further apart than 2^31 have no order; no window is that large (RFC 7323 2.3).
#pragma once

#include <cstdint>

namespace ringplane::flow {

class SeqNum {
 public:
  constexpr explicit SeqNum(std::uint32_t value) noexcept : value_(value) {}

  [[nodiscard]] constexpr std::uint32_t value() const noexcept { return value_; }
  [[nodiscard]] constexpr SeqNum operator+(std::uint32_t bytes) const noexcept { return SeqNum(value_ + bytes); }
  [[nodiscard]] constexpr SeqNum operator-(std::uint32_t bytes) const noexcept { return SeqNum(value_ - bytes); }
  /// Bytes from `other` up to this; negative if this comes before.
  [[nodiscard]] constexpr std::int32_t operator-(SeqNum other) const noexcept {
    return static_cast<std::int32_t>(value_ - other.value_);
  }
  [[nodiscard]] constexpr bool operator==(const SeqNum&) const noexcept = default;
  [[nodiscard]] constexpr bool operator<(SeqNum other) const noexcept { return *this - other < 0; }
  [[nodiscard]] constexpr bool operator>(SeqNum other) const noexcept { return *this - other > 0; }
  [[nodiscard]] constexpr bool operator<=(SeqNum other) const noexcept { return *this - other <= 0; }
  [[nodiscard]] constexpr bool operator>=(SeqNum other) const noexcept { return *this - other >= 0; }

 private:
  std::uint32_t value_;
};

}  // namespace ringplane::flow
