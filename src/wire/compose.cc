#include "wire/compose.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/icmp.h"
#include "wire/ip_address.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/packet.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace ringplane::wire {
namespace {

void append(std::vector<std::uint8_t>& to, Bytes bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

/// Puts the checksum of `segment`, its own field being zero, at `field`. A UDP checksum of 0 means none (RFC 768).
void seal(const Envelope& envelope, std::uint8_t protocol, std::vector<std::uint8_t>& segment, std::size_t field) {
  const bool plain = protocol == protocol::kIcmp;
  const std::uint64_t start = plain ? 0
                                    : pseudo_header_sum(envelope.family, envelope.source, envelope.destination,
                                                        protocol, static_cast<std::uint32_t>(segment.size()));
  std::uint16_t sum = checksum_finish(checksum_add(segment, start));
  if (sum == 0 && protocol == protocol::kUdp) sum = 0xffff;
  header_at<Be16>(MutableBytes(segment).subspan(field)) = sum;
}

}  // namespace

std::vector<std::uint8_t> compose_ip(const Envelope& envelope, std::uint8_t protocol, Bytes payload) {
  EthernetHeader ethernet = envelope.ethernet;
  const bool ipv4 = envelope.family == Family::kIpv4;
  ethernet.ether_type = ipv4 ? ether_type::kIpv4 : ether_type::kIpv6;
  const std::size_t ip_bytes = ipv4 ? Ipv4Header::kBytes : Ipv6Header::kBytes;
  std::vector<std::uint8_t> frame(ethernet.bytes() + ip_bytes);
  ethernet.emit(frame);
  const MutableBytes ip = MutableBytes(frame).subspan(ethernet.bytes());
  if (ipv4) {
    Ipv4Header{.tos = envelope.tos,
               .total_length = static_cast<std::uint16_t>(ip_bytes + payload.size()),
               .dont_fragment = true,
               .ttl = envelope.ttl,
               .protocol = protocol,
               .source = envelope.source,
               .destination = envelope.destination}
        .emit(ip);
  } else {
    Ipv6Header{.traffic_class = envelope.tos,
               .payload_length = static_cast<std::uint16_t>(payload.size()),
               .next_header = protocol,
               .hop_limit = envelope.ttl,
               .source = envelope.source,
               .destination = envelope.destination}
        .emit(ip);
  }
  append(frame, payload);
  return frame;
}

std::vector<std::uint8_t> compose_tcp(const Envelope& envelope, TcpHeader header, Bytes options, Bytes payload) {
  std::vector<std::uint8_t> segment(TcpHeader::kBytes);
  header.checksum = 0;
  header.emit(segment);
  segment[12] = static_cast<std::uint8_t>((TcpHeader::kBytes + options.size()) / 4 << 4);
  append(segment, options);
  append(segment, payload);
  seal(envelope, protocol::kTcp, segment, 16);
  return compose_ip(envelope, protocol::kTcp, segment);
}

std::vector<std::uint8_t> compose_udp(const Envelope& envelope, UdpHeader header, Bytes payload) {
  std::vector<std::uint8_t> datagram(UdpHeader::kBytes);
  header.length = static_cast<std::uint16_t>(UdpHeader::kBytes + payload.size());
  header.checksum = 0;
  header.emit(datagram);
  append(datagram, payload);
  seal(envelope, protocol::kUdp, datagram, 6);
  return compose_ip(envelope, protocol::kUdp, datagram);
}

std::vector<std::uint8_t> compose_icmp(const Envelope& envelope, IcmpHeader header, Bytes payload) {
  std::vector<std::uint8_t> message(IcmpHeader::kBytes);
  header.checksum = 0;
  header.emit(message);
  append(message, payload);
  const std::uint8_t protocol = envelope.family == Family::kIpv4 ? protocol::kIcmp : protocol::kIcmp6;
  seal(envelope, protocol, message, 2);
  return compose_ip(envelope, protocol, message);
}

}  // namespace ringplane::wire
