// Packets for the tests, the fuzzer and the benchmark of this folder: values as decode() would leave them, without
// bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "flow/flow.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {

/// When a test begins.
inline constexpr std::uint64_t kStart = 1000 * base::kNanosPerSecond;

/// The packet of conversation `number` that its lower (or upper) endpoint sends: all fields of the key depend on the
/// number, different numbers below 2^32 give different keys.
[[nodiscard]] inline wire::Packet packet_of(std::uint32_t number, wire::Family family, std::uint8_t protocol,
                                            bool from_upper = false) noexcept {
  wire::Packet packet;
  packet.kind = wire::PacketKind::kFlow;
  packet.family = family;
  packet.protocol = protocol;
  packet.from_upper = from_upper;
  packet.ip_length = 60;
  packet.key.family = family;
  packet.key.protocol = protocol;
  packet.key.zone = wire::make_zone(0, static_cast<std::uint16_t>(number % 3), 0);
  packet.key.port = {static_cast<std::uint16_t>(1024 + number % 50'000), 443};
  if (family == wire::Family::kIpv4) {
    packet.key.address = {wire::IpAddress::from_ipv4(number), wire::IpAddress::from_ipv4(0xffff'ff00)};
  } else {
    for (unsigned i = 0; i < 4; ++i) {
      packet.key.address[0].bytes[8 + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
    }
    packet.key.address[0].bytes[0] = 0x20;
    packet.key.address[1].bytes = {0x30, 1};
  }
  return packet;
}

[[nodiscard]] inline wire::Packet syn_of(std::uint32_t number, wire::Family family = wire::Family::kIpv4) noexcept {
  wire::Packet packet = packet_of(number, family, wire::protocol::kTcp);
  packet.tcp_flags = wire::tcp_flag::kSyn;
  packet.tcp_seq = number * 7919;
  packet.tcp_window = 64'240;
  return packet;
}

/// The three segments that establish conversation `number`.
[[nodiscard]] inline std::array<wire::Packet, 3> handshake_of(std::uint32_t number,
                                                              wire::Family family = wire::Family::kIpv4) noexcept {
  std::array<wire::Packet, 3> segments{syn_of(number, family), syn_of(number, family), syn_of(number, family)};
  segments[1].from_upper = true;
  segments[1].tcp_flags = wire::tcp_flag::kSyn | wire::tcp_flag::kAck;
  segments[1].tcp_seq = number * 104'729;
  segments[1].tcp_ack = segments[0].tcp_seq + 1;
  segments[2].tcp_flags = wire::tcp_flag::kAck;
  segments[2].tcp_seq = segments[0].tcp_seq + 1;
  segments[2].tcp_ack = segments[1].tcp_seq + 1;
  return segments;
}

/// What conntrack believes of both ends: "ESTABLISHED:SYN_SENT", the sender of the first packet before the colon.
[[nodiscard]] inline std::string states_of(const Flow& flow) {
  return std::string(state_name(flow, wire::Direction::kOriginal)) + ":" +
         std::string(state_name(flow, wire::Direction::kReply));
}

}  // namespace ringplane::flow
