// The answers of a middlebox that rejects a packet: TCP reset, ICMP unreachable. The rejected frame itself turns round:
// its bytes are rewritten in place, so rejecting takes no frame from the pool and cannot amplify.
#pragma once

#include <cstdint>

#include "wire/bytes.h"
#include "wire/packet.h"

namespace ringplane::wire {

/// Whether answering `packet` is allowed at all: never an ICMP error or a RST, never to or about multicast or
/// broadcast, never a later fragment (RFC 1122 3.2.2, RFC 4443 2.4(e)). `frame` are its bytes.
[[nodiscard]] bool may_answer(Bytes frame, const Packet& packet) noexcept;

/// Turns the TCP segment in `frame` into the reset its sender expects (RFC 9293 3.10.7.1), seemingly sent by its
/// destination with `ttl`. `frame` is the packet's bytes; returns the new length in bytes, never more than 74.
/// The buffer must have room for 82 bytes from the frame's start.
[[nodiscard]] std::uint32_t turn_into_tcp_reset(MutableBytes room, const Packet& packet, std::uint8_t ttl) noexcept;

/// Turns the frame into ICMP destination unreachable (ICMPv4 type 3, ICMPv6 type 1) with `code`, seemingly sent by
/// the packet's destination, quoting as much of it as fits `room` and the family's limit (RFC 1812 4.3.2.3: 576 bytes,
/// RFC 4443 3.1: 1280). `room` is the buffer from the frame's first byte on, at least 128 bytes. Returns the new
/// length.
[[nodiscard]] std::uint32_t turn_into_unreachable(MutableBytes room, const Packet& packet, std::uint8_t code) noexcept;

}  // namespace ringplane::wire
