// PlainHeaders: what the burst path asks of most frames (Ethernet without tags, IPv4 without options and not in
// fragments, TCP or UDP, nothing wrong with it), read from up to 64 of them at a time and laid out side by side:
// element i of every array speaks of frame i. The rest of a Packet is read (PlainIpv4, decode.h) only for the few that
// are asked more: those without a flow, and those that open or close one.
//
// A frame is plain by exactly the conditions of PlainIpv4; a frame that fails any takes the long way, which finds out
// what is wrong. All widths of vectors give the same (plain_headers_test.cc holds each to decode_any).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/vector_width.h"
#include "wire/flow_key.h"

namespace ringplane::wire {

/// Where the frames are.
struct FrameBytes {
  static constexpr std::size_t kCapacity = 64;

  std::uint32_t count = 0;
  std::array<const std::uint8_t*, kCapacity> data;
  alignas(64) std::array<std::uint32_t, kCapacity> length;
  alignas(64) std::array<std::uint32_t, kCapacity> zone;  ///< of an untagged frame: make_zone(domain, 0, 0)
};

struct PlainHeaders {
  static constexpr std::size_t kCapacity = FrameBytes::kCapacity;
  template <class T>
  using Lanes = std::array<T, kCapacity>;

  // Of frames in `plain`; the other elements hold whatever was read.
  alignas(64) Lanes<std::uint64_t> addresses;       ///< of the canonical key: endpoint 0 in the upper half
  alignas(64) Lanes<std::uint64_t> ports_and_zone;  ///< as they lie in FlowKey
  alignas(64) Lanes<std::uint32_t> ip_length;
  alignas(64) Lanes<std::uint32_t> seq;  ///< of TCP, as all that follows
  alignas(64) Lanes<std::uint32_t> end;  ///< seq + payload
  alignas(64) Lanes<std::uint32_t> ack;
  alignas(64) Lanes<std::uint32_t> window;  ///< unscaled

  // Bit i: of frame i.
  std::uint64_t plain = 0;
  std::uint64_t udp = 0;         ///< plain and UDP; plain and not UDP: TCP
  std::uint64_t ordinary = 0;    ///< plain TCP with ACK, without SYN, FIN and RST
  std::uint64_t from_upper = 0;  ///< the sender is endpoint 1 of the key

  static constexpr std::size_t kGroup = 16;

  /// Forgets what was read.
  void clear() noexcept { plain = udp = ordinary = from_upper = 0; }
  /// Fills in what belongs to frames [first, first + kGroup) of `frames`, from their first bytes; of short ones nothing
  /// is read. `first` is a multiple of kGroup; frames after the last are none.
  void read(const FrameBytes& frames, std::size_t first, base::VectorWidth width) noexcept;
  /// hashes[i] = FlowKey::hash() of the key of frame i, for each of these that is plain.
  void hash_plain(std::size_t first, const base::HashSecret& secret, std::uint64_t* hashes) const noexcept;
};

}  // namespace ringplane::wire
