#include "wire/reply.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/ip_address.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/packet.h"
#include "wire/tcp.h"

namespace ringplane::wire {
namespace {

constexpr std::uint8_t kTtl = 64;
constexpr std::size_t kIpv4ErrorBytes = 576;
constexpr std::size_t kIpv6ErrorBytes = 1280;

bool is_group_or_nobody(Family family, const IpAddress& address) noexcept {
  if (family == Family::kIpv6) return address.bytes[0] == 0xff || address == IpAddress{};
  return address.ipv4() >= 0xe0000000 || address.ipv4() == 0;
}

void swap_macs(MutableBytes frame) noexcept {
  std::swap_ranges(frame.begin(), frame.begin() + 6, frame.begin() + 6);
}

std::size_t ip_header_bytes(Family family) noexcept {
  return family == Family::kIpv4 ? Ipv4Header::kBytes : Ipv6Header::kBytes;
}

/// From the packet's destination to its source, without options.
void emit_ip(MutableBytes at, const Packet& packet, std::uint8_t protocol, std::size_t payload_bytes,
             std::uint8_t ttl) noexcept {
  if (packet.family == Family::kIpv4) {
    Ipv4Header{.total_length = static_cast<std::uint16_t>(Ipv4Header::kBytes + payload_bytes),
               .dont_fragment = true,
               .ttl = ttl,
               .protocol = protocol,
               .source = packet.destination,
               .destination = packet.source}
        .emit(at);
  } else {
    Ipv6Header{.payload_length = static_cast<std::uint16_t>(payload_bytes),
               .next_header = protocol,
               .hop_limit = ttl,
               .source = packet.destination,
               .destination = packet.source}
        .emit(at);
  }
}

std::uint64_t reply_pseudo_sum(const Packet& packet, std::uint8_t protocol, std::size_t bytes) noexcept {
  return pseudo_header_sum(packet.family, packet.destination, packet.source, protocol,
                           static_cast<std::uint32_t>(bytes));
}

}  // namespace

bool may_answer(Bytes frame, const Packet& packet) noexcept {
  const bool link_group = (frame[0] & 1) != 0;
  if (link_group || is_group_or_nobody(packet.family, packet.destination) ||
      is_group_or_nobody(packet.family, packet.source)) {
    return false;
  }
  switch (packet.kind) {
    case PacketKind::kFlow: return !(packet.is_tcp() && (packet.tcp_flags & tcp_flag::kRst) != 0);
    case PacketKind::kIcmpOther:
    case PacketKind::kNonIp:
    case PacketKind::kIcmpError:
    case PacketKind::kFragment: return false;
  }
  return false;
}

std::uint32_t turn_into_tcp_reset(MutableBytes room, const Packet& packet, std::uint8_t ttl) noexcept {
  TcpHeader reset{.source_port = packet.destination_port, .destination_port = packet.source_port};
  if ((packet.tcp_flags & tcp_flag::kAck) != 0) {
    reset.seq = packet.tcp_ack;
    reset.flags = tcp_flag::kRst;
  } else {
    const bool syn = (packet.tcp_flags & tcp_flag::kSyn) != 0;
    const bool fin = (packet.tcp_flags & tcp_flag::kFin) != 0;
    reset.ack = packet.tcp_seq + packet.payload_length + (syn ? 1 : 0) + (fin ? 1 : 0);
    reset.flags = tcp_flag::kRst | tcp_flag::kAck;
  }
  swap_macs(room);
  const MutableBytes ip = room.subspan(packet.l3_offset);
  emit_ip(ip, packet, protocol::kTcp, TcpHeader::kBytes, ttl);
  const MutableBytes tcp = ip.subspan(ip_header_bytes(packet.family), TcpHeader::kBytes);
  reset.emit(tcp);
  reset.checksum = checksum_finish(checksum_add(tcp, reply_pseudo_sum(packet, protocol::kTcp, TcpHeader::kBytes)));
  reset.emit(tcp);
  return static_cast<std::uint32_t>(packet.l3_offset + ip_header_bytes(packet.family) + TcpHeader::kBytes);
}

std::uint32_t turn_into_unreachable(MutableBytes room, const Packet& packet, std::uint8_t code) noexcept {
  const bool ipv4 = packet.family == Family::kIpv4;
  const std::size_t header_bytes = ip_header_bytes(packet.family) + IcmpHeader::kBytes;
  const std::size_t limit = std::min(ipv4 ? kIpv4ErrorBytes : kIpv6ErrorBytes, room.size() - packet.l3_offset);
  const std::size_t quoted_bytes = std::min<std::size_t>(packet.ip_length, limit - header_bytes);
  swap_macs(room);
  const MutableBytes ip = room.subspan(packet.l3_offset);
  std::memmove(ip.data() + header_bytes, ip.data(), quoted_bytes);
  const std::uint8_t protocol = ipv4 ? protocol::kIcmp : protocol::kIcmp6;
  const std::size_t message_bytes = IcmpHeader::kBytes + quoted_bytes;
  emit_ip(ip, packet, protocol, message_bytes, kTtl);
  const MutableBytes message = ip.subspan(ip_header_bytes(packet.family), message_bytes);
  IcmpHeader error{.type = ipv4 ? icmp_type::kUnreachable : icmp6_type::kUnreachable, .code = code};
  error.emit(message);
  error.checksum = checksum_finish(checksum_add(message, ipv4 ? 0 : reply_pseudo_sum(packet, protocol, message_bytes)));
  error.emit(message);
  return static_cast<std::uint32_t>(packet.l3_offset + header_bytes + quoted_bytes);
}

}  // namespace ringplane::wire
