// The short way of decode() for what most frames are: Ethernet without tags, IPv4 without options and not in fragments,
// TCP or UDP, nothing wrong with it. All conditions are computed and asked once, so that there is one branch to
// predict; a frame that fails any takes the long way, which finds out what is wrong. Both ways must agree on every
// frame that this one takes (decode_test.cc, decode_fuzz.cc).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/branchless.h"
#include "wire/bytes.h"
#include "wire/flow_key.h"
#include "wire/packet.h"
#include "wire/tcp.h"

namespace ringplane::wire {

class PlainIpv4 {
 public:
  /// A plain frame is at least this long, and no longer than that; nothing behind the first kReadBytes but the options
  /// of a SYN is read.
  static constexpr std::size_t kReadBytes = 54;
  static constexpr std::size_t kMaxBytes = 16384;  // decode.h: kMaxFrameBytes

  /// Fills all of `packet` and returns true, or returns false and leaves it in any state.
  [[nodiscard]] static bool decode(Bytes frame, std::uint8_t domain, Packet& packet) noexcept {
    if (frame.size() < kReadBytes || frame.size() > kMaxBytes) return false;
    const std::uint8_t* at = frame.data();
    const auto type_to_total = load<std::uint64_t>(at + 12);  // EtherType, version, TOS, total length, identification
    const auto offset_to_protocol = load<std::uint32_t>(at + kIp + 6);  // fragment offset, TTL, protocol
    const std::size_t total = std::byteswap(static_cast<std::uint16_t>(type_to_total >> 32));
    const bool plain =
        base::all_hold((type_to_total & 0xff'ffff) == 0x45'0008, (offset_to_protocol & 0xff3f) == 0,
                       total + kIp <= frame.size(), has_checksum(at), is_possible(load<std::uint64_t>(at + kIp + 12)));
    if (!plain) return false;
    const auto protocol = static_cast<std::uint8_t>(offset_to_protocol >> 24);
    if (protocol == protocol::kTcp) {
      if (!decode_tcp(at, total, packet)) return false;
    } else if (protocol != protocol::kUdp || !decode_udp(at, total, packet)) {
      return false;
    }
    packet.l3_offset = kIp;
    packet.l4_offset = kTransport;
    packet.ether_type = 0x0800;
    packet.kind = PacketKind::kFlow;
    packet.family = Family::kIpv4;
    packet.ip_length = static_cast<std::uint16_t>(total);
    packet.ip_tos = static_cast<std::uint8_t>(type_to_total >> 24);
    packet.ip_ttl = static_cast<std::uint8_t>(offset_to_protocol >> 16);
    packet.has_ip_options = false;
    packet.more_fragments = false;
    packet.icmp_type = 0;
    packet.icmp_code = 0;
    packet.protocol = protocol;
    set_ends(at, protocol, domain, packet);
    return true;
  }

 private:
  static constexpr std::size_t kIp = 14;
  static constexpr std::size_t kTransport = kIp + 20;
  static_assert(kTransport + TcpHeader::kBytes == kReadBytes);
  static_assert(std::endian::native == std::endian::little, "words are taken apart from their low end");
  static_assert(offsetof(Packet, tcp_seq) == offsetof(Packet, tcp_ack) + 4);
  static_assert(offsetof(Packet, source_port) == offsetof(Packet, destination_port) + 2);

  template <class T>
  static T load(const std::uint8_t* at) noexcept {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }

  static bool has_checksum(const std::uint8_t* at) noexcept {
    // One's complement sums do not care about byte order (RFC 1071 2(B)); 20 bytes as words of 64 and 32 bits, carries
    // brought round at the end.
    const auto first = load<std::uint64_t>(at + kIp);
    const auto second = load<std::uint64_t>(at + kIp + 8);
    std::uint64_t sum = (first & 0xffff'ffff) + (first >> 32) + (second & 0xffff'ffff) + (second >> 32) +
                        load<std::uint32_t>(at + kIp + 16);
    sum = (sum & 0xffff'ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff || sum == 0x1'fffe;
  }

  /// Both addresses as they lie in the header.
  static bool is_possible(std::uint64_t addresses) noexcept {
    const auto source = static_cast<std::uint32_t>(addresses);
    const auto destination = static_cast<std::uint32_t>(addresses >> 32);
    return ((source & 0xf0) != 0xe0) & (source != 0xffff'ffff) & ((source & 0xff) != 127) &
           ((destination & 0xff) != 127) & (source != destination);
  }

  static bool decode_tcp(const std::uint8_t* at, std::size_t total, Packet& packet) noexcept {
    const auto offset_to_window = load<std::uint32_t>(at + kTransport + 12);
    const std::size_t header_bytes = (offset_to_window >> 2) & 0x3c;
    const auto flags = static_cast<std::uint8_t>(offset_to_window >> 8);
    const bool fits = (header_bytes >= TcpHeader::kBytes) & (header_bytes + 20 <= total);
    const bool segment = ((flags & tcp_flag::kSyn) == 0) & ((flags & (tcp_flag::kAck | tcp_flag::kRst)) != 0);
    packet.tcp_window_scale = Packet::kNoWindowScale;
    if (!(fits & segment)) {
      const bool handshake = flags == tcp_flag::kSyn || flags == (tcp_flag::kSyn | tcp_flag::kAck);
      if (!fits || !handshake) return false;
      packet.tcp_window_scale = TcpView::window_scale_of({at + kReadBytes, header_bytes - TcpHeader::kBytes});
    }
    const std::uint64_t seq_and_ack = std::byteswap(load<std::uint64_t>(at + kTransport + 4));
    std::memcpy(&packet.tcp_ack, &seq_and_ack, sizeof seq_and_ack);
    packet.tcp_flags = flags;
    packet.tcp_window = std::byteswap(static_cast<std::uint16_t>(offset_to_window >> 16));
    packet.payload_offset = static_cast<std::uint16_t>(kTransport + header_bytes);
    packet.payload_length = static_cast<std::uint16_t>(total - 20 - header_bytes);
    return true;
  }

  static bool decode_udp(const std::uint8_t* at, std::size_t total, Packet& packet) noexcept {
    const std::size_t length = load<Be16>(at + kTransport + 4);
    if (length < 8 || total < 28 || length > total - 20) return false;
    packet.tcp_window_scale = Packet::kNoWindowScale;
    packet.tcp_flags = 0;
    packet.tcp_window = 0;
    packet.tcp_seq = 0;
    packet.tcp_ack = 0;
    packet.payload_offset = kTransport + 8;
    packet.payload_length = static_cast<std::uint16_t>(total - 28);
    return true;
  }

  /// Key, addresses and ports. canonicalize() for this family without a branch: which side is the upper one is as good
  /// as random.
  static void set_ends(const std::uint8_t* at, std::uint8_t protocol, std::uint8_t domain, Packet& packet) noexcept {
    const auto source = load<std::uint32_t>(at + kIp + 12);  // in network order, as IpAddress holds it
    const auto destination = load<std::uint32_t>(at + kIp + 16);
    const std::uint32_t ports = std::byteswap(load<std::uint32_t>(at + kTransport));
    const std::uint64_t source_end = (std::uint64_t{source} << 16) | (ports >> 16);
    const std::uint64_t destination_end = (std::uint64_t{destination} << 16) | (ports & 0xffff);
    const std::uint64_t upper = (destination_end - source_end) >> 63;
    const std::uint64_t exchange = (source_end ^ destination_end) & (0 - upper);
    const std::uint64_t low = source_end ^ exchange;
    const std::uint64_t high = destination_end ^ exchange;
    set(packet.key.address[0], low >> 16);
    set(packet.key.address[1], high >> 16);
    const std::uint64_t key_ports_and_zone =
        (low & 0xffff) | ((high & 0xffff) << 16) | (std::uint64_t{make_zone(domain, 0, 0)} << 32);
    std::memcpy(packet.key.port.data(), &key_ports_and_zone, sizeof key_ports_and_zone);
    const std::uint64_t protocol_and_family = protocol | (std::uint64_t{static_cast<std::uint8_t>(Family::kIpv4)} << 8);
    std::memcpy(&packet.key.protocol, &protocol_and_family, sizeof protocol_and_family);
    packet.from_upper = upper != 0;
    std::memcpy(&packet.destination_port, &ports, sizeof ports);
    set(packet.source, source);
    set(packet.destination, destination);
  }

  static void set(IpAddress& address, std::uint64_t ipv4) noexcept {
    const std::uint64_t words[2] = {ipv4, 0};
    std::memcpy(address.bytes.data(), words, sizeof words);
  }
};

}  // namespace ringplane::wire
