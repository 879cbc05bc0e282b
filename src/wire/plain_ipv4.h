// The short way of decode() for what most frames are: Ethernet without tags, IPv4 without options and not in fragments,
// TCP or UDP, nothing wrong with it. All conditions are computed and asked once, so that there is one branch to
// predict; a frame that fails any takes the long way, which finds out what is wrong. Both ways must agree on every frame
// that this one takes (decode_test.cc, decode_fuzz.cc).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "wire/bytes.h"
#include "wire/flow_key.h"
#include "wire/packet.h"
#include "wire/tcp.h"

namespace ringplane::wire {

class PlainIpv4 {
 public:
  /// Fills all of `packet` and returns true, or returns false and leaves it in any state.
  [[nodiscard]] static bool decode(Bytes frame, std::uint8_t domain, Packet& packet) noexcept {
    if (frame.size() < kTcpBytes || frame.size() > kMaxBytes) return false;
    const std::uint8_t* at = frame.data();
    const std::uint8_t protocol = at[kIp + 9];
    const std::size_t total = load<Be16>(at + kIp + 2);
    if (!is_plain_header(at, total, frame.size())) return false;
    if (protocol == protocol::kTcp) {
      if (!decode_tcp(at, total, packet)) return false;
    } else if (protocol == protocol::kUdp) {
      if (!decode_udp(at, total, packet)) return false;
    } else {
      return false;
    }
    fill(at, total, protocol, domain, packet);
    return true;
  }

 private:
  static constexpr std::size_t kIp = 14;
  static constexpr std::size_t kTransport = kIp + 20;
  static constexpr std::size_t kTcpBytes = kTransport + TcpHeader::kBytes;
  static constexpr std::size_t kMaxBytes = 16384;  // decode.h: kMaxFrameBytes

  template <class T>
  static T load(const std::uint8_t* at) noexcept {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }

  static bool is_plain_header(const std::uint8_t* at, std::size_t total, std::size_t frame_bytes) noexcept {
    // One's complement sums do not care about byte order (RFC 1071 2(B)); 20 bytes as words of 64 and 32 bits.
    const auto first = load<std::uint64_t>(at + kIp);
    const auto second = load<std::uint64_t>(at + kIp + 8);
    std::uint64_t sum = (first & 0xffff'ffff) + (first >> 32) + (second & 0xffff'ffff) + (second >> 32) +
                        load<std::uint32_t>(at + kIp + 16);
    sum = (sum & 0xffff'ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    const std::uint32_t source = load<Be32>(at + kIp + 12);
    const std::uint32_t destination = load<Be32>(at + kIp + 16);
    const bool type = load<Be16>(at + 12) == 0x0800 && at[kIp] == 0x45;
    const bool whole = (load<Be16>(at + kIp + 6) & 0x3fff) == 0 && total + kIp <= frame_bytes;
    const bool multicast = source >> 28 == 0xe;
    const bool possible = !multicast & (source != 0xffff'ffff) & (source >> 24 != 127) & (destination >> 24 != 127) &
                          (source != destination);
    return type & whole & (sum == 0xffff) & possible;
  }

  static bool decode_tcp(const std::uint8_t* at, std::size_t total, Packet& packet) noexcept {
    const std::uint8_t* tcp = at + kTransport;
    const std::size_t header_bytes = std::size_t{4} * (tcp[12] >> 4);
    const std::uint8_t flags = tcp[13];
    const bool fits = (header_bytes >= TcpHeader::kBytes) & (header_bytes + 20 <= total);
    const bool segment = (flags & tcp_flag::kSyn) == 0 && (flags & (tcp_flag::kAck | tcp_flag::kRst)) != 0;
    const bool handshake = flags == tcp_flag::kSyn || flags == (tcp_flag::kSyn | tcp_flag::kAck);
    if (!fits || !(segment || handshake)) return false;
    packet.tcp_window_scale = Packet::kNoWindowScale;
    if (handshake) {
      packet.tcp_window_scale = TcpView::window_scale_of({tcp + TcpHeader::kBytes, header_bytes - TcpHeader::kBytes});
    }
    packet.tcp_flags = flags;
    packet.tcp_window = load<Be16>(tcp + 14);
    packet.tcp_seq = load<Be32>(tcp + 4);
    packet.tcp_ack = load<Be32>(tcp + 8);
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

  static void fill(const std::uint8_t* at, std::size_t total, std::uint8_t protocol, std::uint8_t domain,
                   Packet& packet) noexcept {
    const auto source = load<std::uint32_t>(at + kIp + 12);  // in network order, as IpAddress holds it
    const auto destination = load<std::uint32_t>(at + kIp + 16);
    const std::uint16_t source_port = load<Be16>(at + kTransport);
    const std::uint16_t destination_port = load<Be16>(at + kTransport + 2);
    // canonicalize() for this family, without a branch: which side is the upper one is as good as random.
    const std::uint64_t low_end = (std::uint64_t{source} << 16) | source_port;
    const std::uint64_t high_end = (std::uint64_t{destination} << 16) | destination_port;
    const auto upper = static_cast<std::uint32_t>((high_end - low_end) >> 63);
    const std::uint32_t exchange = 0 - upper;
    const std::uint32_t addresses = (source ^ destination) & exchange;
    const std::uint32_t ports = (source_port ^ destination_port) & exchange;
    set(packet.key.address[0], source ^ addresses);
    set(packet.key.address[1], destination ^ addresses);
    packet.key.port[0] = static_cast<std::uint16_t>(source_port ^ ports);
    packet.key.port[1] = static_cast<std::uint16_t>(destination_port ^ ports);
    packet.key.zone = make_zone(domain, 0, 0);
    packet.key.protocol = protocol;
    packet.key.family = Family::kIpv4;
    packet.key.zero = {};
    packet.l3_offset = kIp;
    packet.l4_offset = kTransport;
    packet.ip_length = static_cast<std::uint16_t>(total);
    packet.ether_type = 0x0800;
    packet.kind = PacketKind::kFlow;
    packet.family = Family::kIpv4;
    packet.protocol = protocol;
    packet.from_upper = upper != 0;
    packet.has_ip_options = false;
    packet.more_fragments = false;
    packet.ip_tos = at[kIp + 1];
    packet.ip_ttl = at[kIp + 8];
    packet.icmp_type = 0;
    packet.icmp_code = 0;
    packet.source_port = source_port;
    packet.destination_port = destination_port;
    set(packet.source, source);
    set(packet.destination, destination);
  }

  static void set(IpAddress& address, std::uint32_t ipv4) noexcept {
    const std::uint64_t words[2] = {ipv4, 0};
    static_assert(std::endian::native == std::endian::little, "the address is in the first four bytes");
    std::memcpy(address.bytes.data(), words, sizeof words);
  }
};

}  // namespace ringplane::wire
