// decode: bytes of a frame -> Packet. Step 4 of a packet's way: every header is read once, here, and judged; what
// the stages behind it get is values. Stateless.
#pragma once

#include <cstdint>

#include "base/drop_reason.h"
#include "wire/bytes.h"
#include "wire/packet.h"
#include "wire/plain_ipv4.h"

namespace ringplane::wire {

/// No ring delivers more in one frame, and every offset in Packet fits 16 bits with room to spare.
inline constexpr std::size_t kMaxFrameBytes = 16384;

/// Fills `packet` from the frame's bytes (Ethernet header first, no FCS). `domain` is the forwarding domain of the
/// port it came from (see Zone). Returns DropReason::none, or why the frame must be dropped; then `packet` holds what
/// was read up to there.
///
/// Judged here: lengths, versions, IPv4 checksum, options, extension headers, fragment geometry (RFC 1858, RFC 3128,
/// RFC 7112), impossible TCP flags, addresses that cannot be on a wire, and that an ICMP error quotes a packet its
/// receiver can have sent. Not judged: transport checksums (the hosts do, and offloads leave them unfinished).
[[nodiscard]] inline base::DropReason decode(Bytes frame, std::uint8_t domain, Packet& packet) noexcept;

/// The long way alone: what decode() does with a frame that is not plain. Gives the same for those that are.
[[nodiscard]] base::DropReason decode_any(Bytes frame, std::uint8_t domain, Packet& packet) noexcept;

inline base::DropReason decode(Bytes frame, std::uint8_t domain, Packet& packet) noexcept {
  if (PlainIpv4::decode(frame, domain, packet)) [[likely]]
    return base::DropReason::none;
  return decode_any(frame, domain, packet);
}

}  // namespace ringplane::wire
