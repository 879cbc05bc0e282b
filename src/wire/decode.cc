#include "wire/decode.h"

#include <cstddef>
#include <cstdint>
#include <expected>

#include "base/drop_reason.h"
#include "wire/arp.h"
#include "wire/bytes.h"
#include "wire/ethernet.h"
#include "wire/flow_key.h"
#include "wire/icmp.h"
#include "wire/ip_address.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/packet.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace ringplane::wire {
namespace {

using base::DropReason;

constexpr std::uint8_t kProtocolIgmp = 2;
/// What RFC 792 promises of the quoted packet's transport header: enough for ports and the sequence number.
constexpr std::size_t kQuotedTransportBytes = 8;

struct Endpoints {
  IpAddress source;
  IpAddress destination;
};

bool possible_addresses_ipv4(std::uint32_t source, std::uint32_t destination) noexcept {
  constexpr std::uint32_t kLoopback = 127;
  constexpr std::uint32_t kFirstMulticast = 0xe0000000;
  constexpr std::uint32_t kFirstReserved = 0xf0000000;
  const bool multicast = source >= kFirstMulticast && source < kFirstReserved;
  return !multicast && source != 0xffffffff && source >> 24 != kLoopback && destination >> 24 != kLoopback &&
         source != destination;
}

bool is_mapped_or_loopback(const IpAddress& address) noexcept {
  for (unsigned i = 0; i < 10; ++i) {
    if (address.bytes[i] != 0) return false;
  }
  const bool mapped = address.bytes[10] == 0xff && address.bytes[11] == 0xff;
  const bool zero_middle = address.bytes[10] == 0 && address.bytes[11] == 0;
  return mapped || (zero_middle && address.ipv4() == 0 && address.bytes[12] == 0 && address.bytes[13] == 0 &&
                    address.bytes[14] == 0 && address.bytes[15] == 1);
}

bool possible_addresses_ipv6(const IpAddress& source, const IpAddress& destination) noexcept {
  return source.bytes[0] != 0xff && !is_mapped_or_loopback(source) && !is_mapped_or_loopback(destination) &&
         source != destination;
}

bool possible_tcp_flags(std::uint8_t flags) noexcept {
  if ((flags & tcp_flag::kSyn) != 0) return (flags & (tcp_flag::kFin | tcp_flag::kRst)) == 0;
  return (flags & (tcp_flag::kAck | tcp_flag::kRst)) != 0;
}

/// Puts the conversation's key into `packet`; `reversed`: the key is of a quoted packet, which went the other way.
void set_key(Packet& packet, const Endpoints& ends, std::uint16_t source_port, std::uint16_t destination_port,
             std::uint8_t protocol, bool reversed) noexcept {
  packet.key.address = {ends.source, ends.destination};
  packet.key.port = {source_port, destination_port};
  packet.key.protocol = protocol;
  packet.key.family = packet.family;
  packet.from_upper = canonicalize(packet.key) != reversed;
}

DropReason decode_tcp(Bytes segment, Packet& packet) noexcept {
  const auto tcp = TcpView::parse(segment);
  // A first fragment too short for the header would slip ports or flags past the rules (RFC 1858, RFC 3128).
  if (!tcp) return packet.more_fragments ? DropReason::fragment_malformed : tcp.error();
  packet.tcp_flags = tcp->flags();
  if (!possible_tcp_flags(packet.tcp_flags)) return DropReason::tcp_bad_flags;
  packet.source_port = tcp->source_port();
  packet.destination_port = tcp->destination_port();
  packet.tcp_seq = tcp->seq();
  packet.tcp_ack = tcp->ack();
  packet.tcp_window = tcp->window();
  if ((packet.tcp_flags & tcp_flag::kSyn) != 0) packet.tcp_window_scale = tcp->window_scale();
  packet.payload_offset = static_cast<std::uint16_t>(packet.l4_offset + tcp->header_bytes());
  packet.payload_length = static_cast<std::uint16_t>(segment.size() - tcp->header_bytes());
  return DropReason::none;
}

DropReason decode_udp(Bytes datagram, Packet& packet) noexcept {
  const auto udp = UdpView::parse(datagram, !packet.more_fragments);
  if (!udp) return udp.error();
  packet.source_port = udp->source_port();
  packet.destination_port = udp->destination_port();
  packet.payload_offset = static_cast<std::uint16_t>(packet.l4_offset + UdpHeader::kBytes);
  packet.payload_length = static_cast<std::uint16_t>(datagram.size() - UdpHeader::kBytes);
  return DropReason::none;
}

struct Quoted {
  Endpoints ends;
  std::uint8_t protocol = 0;
  bool later_fragment = false;
  Bytes transport;
};

std::expected<Quoted, DropReason> parse_quoted(Family family, Bytes bytes) noexcept {
  if (family == Family::kIpv4) {
    const auto ip = Ipv4View::parse_quoted(bytes);
    if (!ip) return std::unexpected(ip.error());
    return Quoted{{ip->source(), ip->destination()}, ip->protocol(), ip->fragment_offset_bytes() > 0, ip->payload()};
  }
  const auto ip = Ipv6View::parse_quoted(bytes);
  if (!ip) return std::unexpected(ip.error());
  return Quoted{{ip->source(), ip->destination()}, ip->protocol(), ip->fragment_offset_bytes() > 0, ip->payload()};
}

/// An ICMP error belongs to the conversation of the packet it quotes.
DropReason decode_icmp_error(Bytes quoted_bytes, Packet& packet) noexcept {
  const auto quoted = parse_quoted(packet.family, quoted_bytes);
  if (!quoted) return quoted.error();
  // Sent to somebody who cannot have sent the quoted packet: a forgery, or meant for a NAT that is not ours.
  if (quoted->ends.source != packet.destination) return DropReason::icmp_bad_header;
  if (quoted->later_fragment) {
    packet.kind = PacketKind::kIcmpOther;  // no ports to find a flow by: the rules decide
    return DropReason::none;
  }
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  const bool is_icmp = quoted->protocol == (packet.family == Family::kIpv4 ? protocol::kIcmp : protocol::kIcmp6);
  if (quoted->protocol == protocol::kTcp || quoted->protocol == protocol::kUdp || is_icmp) {
    if (quoted->transport.size() < kQuotedTransportBytes) return DropReason::icmp_bad_header;
    source_port = header_at<Be16>(quoted->transport);
    destination_port = header_at<Be16>(quoted->transport.subspan(2));
    if (quoted->protocol == protocol::kTcp) packet.tcp_seq = header_at<Be32>(quoted->transport.subspan(4));
  }
  if (is_icmp) {
    const std::uint8_t quoted_type = quoted->transport[0];
    if (is_icmp_error(packet.family, quoted_type)) return DropReason::icmp_bad_header;  // RFC 1122 3.2.2
    if (!is_icmp_query(packet.family, quoted_type)) {
      packet.kind = PacketKind::kIcmpOther;
      return DropReason::none;
    }
    source_port = destination_port = header_at<Be16>(quoted->transport.subspan(4));
  }
  packet.kind = PacketKind::kIcmpError;
  set_key(packet, quoted->ends, source_port, destination_port, quoted->protocol, true);
  return DropReason::none;
}

DropReason decode_icmp(Bytes message, Packet& packet) noexcept {
  const auto icmp = IcmpView::parse(message);
  if (!icmp) return icmp.error();
  packet.icmp_type = icmp->type();
  packet.icmp_code = icmp->code();
  packet.payload_offset = static_cast<std::uint16_t>(packet.l4_offset + IcmpHeader::kBytes);
  packet.payload_length = static_cast<std::uint16_t>(message.size() - IcmpHeader::kBytes);
  if (is_icmp_query(packet.family, packet.icmp_type)) {
    packet.source_port = packet.destination_port = icmp->identifier();
  } else {
    packet.kind = PacketKind::kIcmpOther;
  }
  return DropReason::none;
}

/// From the transport header on; addresses, protocol, family and offsets are set.
DropReason decode_transport(Bytes payload, Packet& packet) noexcept {
  packet.kind = PacketKind::kFlow;
  packet.payload_offset = packet.l4_offset;
  packet.payload_length = static_cast<std::uint16_t>(payload.size());
  DropReason reason = DropReason::none;
  const std::uint8_t own_icmp = packet.family == Family::kIpv4 ? protocol::kIcmp : protocol::kIcmp6;
  if (packet.protocol == protocol::kTcp) {
    reason = decode_tcp(payload, packet);
  } else if (packet.protocol == protocol::kUdp) {
    reason = decode_udp(payload, packet);
  } else if (packet.protocol == own_icmp) {
    reason = decode_icmp(payload, packet);
  }
  if (reason != DropReason::none) return reason;
  set_key(packet, {packet.source, packet.destination}, packet.source_port, packet.destination_port, packet.protocol,
          false);
  if (packet.protocol == own_icmp && is_icmp_error(packet.family, packet.icmp_type)) {
    return decode_icmp_error(payload.subspan(IcmpHeader::kBytes), packet);
  }
  return DropReason::none;
}

DropReason decode_later_fragment(std::uint16_t offset_bytes, Packet& packet) noexcept {
  packet.kind = PacketKind::kFragment;
  packet.payload_offset = packet.l4_offset;
  // A second fragment at offset 8 overwrites the TCP flags of the first (RFC 1858 3).
  if (packet.protocol == protocol::kTcp && offset_bytes < TcpHeader::kBytes) return DropReason::fragment_malformed;
  set_key(packet, {packet.source, packet.destination}, 0, 0, packet.protocol, false);
  return DropReason::none;
}

DropReason decode_ipv4(Bytes bytes, Packet& packet) noexcept {
  const auto ip = Ipv4View::parse(bytes);
  if (!ip) return ip.error();
  packet.family = Family::kIpv4;
  packet.source = ip->source();
  packet.destination = ip->destination();
  packet.protocol = ip->protocol();
  packet.ip_tos = ip->tos();
  packet.ip_ttl = ip->ttl();
  packet.ip_length = ip->total_length();
  packet.more_fragments = ip->more_fragments();
  packet.l4_offset = static_cast<std::uint16_t>(packet.l3_offset + ip->header_bytes());
  // Group membership reports carry the router alert by protocol (RFC 2236 2): not an option anybody chose.
  packet.has_ip_options = ip->has_options() && !(packet.protocol == kProtocolIgmp && ip->only_router_alert());
  if (!possible_addresses_ipv4(packet.source.ipv4(), packet.destination.ipv4())) return DropReason::bad_address;
  if (ip->fragment_offset_bytes() > 0) return decode_later_fragment(ip->fragment_offset_bytes(), packet);
  return decode_transport(ip->payload(), packet);
}

bool is_listener_discovery(const Packet& packet) noexcept {
  return packet.protocol == protocol::kIcmp6 &&
         ((packet.icmp_type >= icmp6_type::kListenerQuery && packet.icmp_type <= icmp6_type::kListenerDone) ||
          packet.icmp_type == icmp6_type::kListenerReport2);
}

DropReason decode_ipv6(Bytes bytes, Packet& packet) noexcept {
  const auto ip = Ipv6View::parse(bytes);
  if (!ip) return ip.error();
  packet.family = Family::kIpv6;
  packet.source = ip->source();
  packet.destination = ip->destination();
  packet.protocol = ip->protocol();
  packet.ip_tos = ip->traffic_class();
  packet.ip_ttl = ip->hop_limit();
  packet.ip_length = static_cast<std::uint16_t>(Ipv6Header::kBytes + ip->payload_length());
  packet.more_fragments = ip->more_fragments();
  packet.l4_offset = static_cast<std::uint16_t>(packet.l3_offset + ip->header_bytes());
  packet.has_ip_options = ip->has_options();
  if (!possible_addresses_ipv6(packet.source, packet.destination)) return DropReason::bad_address;
  if (ip->fragment_offset_bytes() > 0) return decode_later_fragment(ip->fragment_offset_bytes(), packet);
  const DropReason reason = decode_transport(ip->payload(), packet);
  if (ip->only_hop_by_hop() && is_listener_discovery(packet)) packet.has_ip_options = false;
  return reason;
}

}  // namespace

DropReason decode_any(Bytes frame, std::uint8_t domain, Packet& packet) noexcept {
  packet = Packet{};
  if (frame.size() > kMaxFrameBytes) return DropReason::frame_too_long;
  const auto ethernet = EthernetView::parse(frame);
  if (!ethernet) return ethernet.error();
  packet.ether_type = ethernet->ether_type();
  packet.l3_offset = static_cast<std::uint16_t>(ethernet->header_bytes());
  packet.key.zone = make_zone(domain, ethernet->outer_vlan(), ethernet->inner_vlan());
  switch (packet.ether_type) {
    case ether_type::kIpv4: return decode_ipv4(ethernet->payload(), packet);
    case ether_type::kIpv6: return decode_ipv6(ethernet->payload(), packet);
    case ether_type::kArp: {
      const auto arp = ArpView::parse(ethernet->payload());
      return arp ? DropReason::none : arp.error();
    }
    default: return DropReason::none;
  }
}

}  // namespace ringplane::wire
