// Packet: what the stages know of one frame after decode() has read its headers once. Plain values, no pointers into
// the frame: offsets are relative to the first byte of the frame and were checked to lie inside it.
#pragma once

#include <cstdint>

#include "base/drop_reason.h"
#include "wire/flow_key.h"

namespace ringplane::wire {

/// IP protocol numbers (IANA) that the data plane treats specially.
namespace protocol {
inline constexpr std::uint8_t kIcmp = 1;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;
inline constexpr std::uint8_t kIcmp6 = 58;
}  // namespace protocol

/// TCP flag bits (RFC 9293 3.1), as they stand in the header.
namespace tcp_flag {
inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kRst = 0x04;
inline constexpr std::uint8_t kPsh = 0x08;
inline constexpr std::uint8_t kAck = 0x10;
inline constexpr std::uint8_t kUrg = 0x20;
inline constexpr std::uint8_t kEce = 0x40;
inline constexpr std::uint8_t kCwr = 0x80;
}  // namespace tcp_flag

enum class PacketKind : std::uint8_t {
  kNonIp,      ///< ARP and other EtherTypes; no key
  kFlow,       ///< belongs to a conversation of its own: TCP, UDP, ICMP query, any other protocol
  kIcmpError,  ///< `key` and `from_upper` are those of the conversation the error talks about (see below)
  kIcmpOther,  ///< ICMP that has no conversation: redirect, router and neighbour discovery; key has ports 0
  kFragment,   ///< not the first fragment: no ports; key has ports 0
};

struct Packet {
  /// Canonical. Of an ICMP error: the key of the packet it quotes.
  FlowKey key;

  // Where things are, in bytes from the start of the frame; 0 where there is none. Fields that mostly have the same
  // values stand side by side, so that they are written as one word.
  std::uint16_t l3_offset = 0;
  std::uint16_t l4_offset = 0;
  std::uint16_t ether_type = 0;  ///< after VLAN tags
  PacketKind kind = PacketKind::kNonIp;
  Family family = Family::kNone;

  std::uint16_t payload_offset = 0;
  /// Bytes after the transport header, by the IP length (Ethernet padding does not count).
  std::uint16_t payload_length = 0;
  /// Bytes from l3_offset on, by the IP header.
  std::uint16_t ip_length = 0;
  std::uint8_t ip_tos = 0;
  std::uint8_t ip_ttl = 0;

  bool has_ip_options = false;  ///< IPv4 options, or IPv6 hop-by-hop / routing headers
  bool more_fragments = false;  ///< the first fragment of several
  std::uint8_t icmp_type = 0;
  std::uint8_t icmp_code = 0;
  std::uint8_t protocol = 0;  ///< of this packet (an ICMP error: ICMP, while key.protocol is the quoted one's)
  /// The sender is endpoint 1 of `key`. An ICMP error travels against the packet it quotes, and counts as sent by
  /// the side that received the quoted packet, whoever really sent it.
  bool from_upper = false;

  // TCP (of an ICMP error: `tcp_seq` is the quoted segment's)
  std::uint8_t tcp_flags = 0;
  std::uint8_t tcp_window_scale = kNoWindowScale;  ///< option of a SYN, 0..14 (RFC 7323 2.3)
  std::uint32_t tcp_ack = 0;  ///< before tcp_seq: the pair is the header's, byte by byte turned round
  std::uint32_t tcp_seq = 0;
  std::uint16_t tcp_window = 0;  ///< unscaled

  // This packet's own addresses (of an ICMP error they differ from the key's)
  std::uint16_t unused = 0;
  std::uint16_t destination_port = 0;  ///< before source_port: likewise
  std::uint16_t source_port = 0;
  IpAddress source;
  IpAddress destination;

  static constexpr std::uint8_t kNoWindowScale = 0xff;

  [[nodiscard]] bool is_tcp() const noexcept { return kind == PacketKind::kFlow && protocol == protocol::kTcp; }
};

}  // namespace ringplane::wire
