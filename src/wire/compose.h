// Whole frames from header values: what answers (reply.h) and whatever makes traffic of its own (tests, benchmarks,
// generators) put together. Lengths and checksums are filled in.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/bytes.h"
#include "wire/ethernet.h"
#include "wire/icmp.h"
#include "wire/ip_address.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace ringplane::wire {

/// The layers below the transport header. `family` decides the IP header; addresses are of that family.
struct Envelope {
  EthernetHeader ethernet;  ///< ether_type is filled in
  Family family = Family::kIpv4;
  IpAddress source;
  IpAddress destination;
  std::uint8_t ttl = 64;
  std::uint8_t tos = 0;
};

/// IP packet of `protocol` around `payload`, whose checksum, if it has one, is already right.
[[nodiscard]] std::vector<std::uint8_t> compose_ip(const Envelope& envelope, std::uint8_t protocol, Bytes payload);
/// `options` is padded to a multiple of 4 by the caller; at most 40 bytes.
[[nodiscard]] std::vector<std::uint8_t> compose_tcp(const Envelope& envelope, TcpHeader header, Bytes options = {},
                                                    Bytes payload = {});
[[nodiscard]] std::vector<std::uint8_t> compose_udp(const Envelope& envelope, UdpHeader header, Bytes payload = {});
/// ICMP or ICMPv6, by the envelope's family.
[[nodiscard]] std::vector<std::uint8_t> compose_icmp(const Envelope& envelope, IcmpHeader header, Bytes payload = {});

}  // namespace ringplane::wire
