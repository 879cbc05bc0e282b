// Wire integers as types made of bytes: any alignment, network order inside, host order at the border.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace ringplane::wire {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

template <class Integer>
class BigEndian {
 public:
  constexpr BigEndian() noexcept = default;
  constexpr BigEndian(Integer host) noexcept {
    *this = host;
  }  // NOLINT(google-explicit-constructor): reads like an integer
  constexpr BigEndian& operator=(Integer host) noexcept {
    bytes_ = std::bit_cast<Storage>(to_wire(host));
    return *this;
  }
  constexpr operator Integer() const noexcept { return to_wire(std::bit_cast<Integer>(bytes_)); }  // NOLINT

 private:
  struct Storage {
    std::uint8_t byte[sizeof(Integer)];
  };
  static constexpr Integer to_wire(Integer value) noexcept {
    if constexpr (std::endian::native == std::endian::little) return std::byteswap(value);
    return value;
  }
  Storage bytes_{};
};

using Be16 = BigEndian<std::uint16_t>;
using Be32 = BigEndian<std::uint32_t>;
static_assert(sizeof(Be16) == 2 && alignof(Be16) == 1 && sizeof(Be32) == 4 && alignof(Be32) == 1);

/// A header struct over bytes that the caller has checked to hold at least sizeof(Header). Headers are made of
/// byte-aligned members only, so any address will do.
template <class Header>
[[nodiscard]] const Header& header_at(Bytes bytes) noexcept {
  static_assert(alignof(Header) == 1 && std::is_trivially_copyable_v<Header>);
  return *reinterpret_cast<const Header*>(bytes.data());
}
template <class Header>
[[nodiscard]] Header& header_at(MutableBytes bytes) noexcept {
  static_assert(alignof(Header) == 1 && std::is_trivially_copyable_v<Header>);
  return *reinterpret_cast<Header*>(bytes.data());
}

}  // namespace ringplane::wire
