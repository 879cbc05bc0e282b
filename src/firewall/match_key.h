// MatchKey: everything that a rule may look at of one packet, gathered once. The linear evaluator and the classifier
// see nothing else, so the same key gives the same decision, in the data plane, in `replay` and in `explain`.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {

/// On which side of a port the packet is looked at: `kIn` when it was received, `kOut` before it is sent.
enum class Way : std::uint8_t { kIn = 0, kOut = 1 };

/// Index into Ruleset::tags; 0: the packet carries no tag.
using TagId = std::uint16_t;
inline constexpr TagId kNoTag = 0;

struct MatchKey {
  wire::IpAddress source{};
  wire::IpAddress destination{};
  std::uint16_t source_port = 0;  ///< TCP and UDP only, else 0
  std::uint16_t destination_port = 0;
  base::PortId port{};
  Way way = Way::kIn;
  wire::Family family = wire::Family::kNone;
  std::uint8_t protocol = 0;
  std::uint8_t tcp_flags = 0;
  std::uint8_t icmp_type = 0;
  std::uint8_t icmp_code = 0;
  std::uint8_t ip_tos = 0;
  bool is_fragment = false;  ///< not the first fragment: rules on ports, TCP flags or ICMP types do not match
  bool has_ip_options = false;
  TagId tag = kNoTag;        ///< that an earlier evaluation (on the ingress port) has left
  std::uint32_t random = 0;  ///< uniform; decides rules with `probability`. One draw per packet is enough.
};

/// `packet` has family IPv4 or IPv6. An ICMP error is keyed as the ICMP packet it is, not by what it quotes.
[[nodiscard]] inline MatchKey match_key_of(const wire::Packet& packet, base::PortId port, Way way) noexcept {
  MatchKey key{.source = packet.source,
               .destination = packet.destination,
               .port = port,
               .way = way,
               .family = packet.family,
               .protocol = packet.protocol,
               .ip_tos = packet.ip_tos,
               .is_fragment = packet.kind == wire::PacketKind::kFragment,
               .has_ip_options = packet.has_ip_options};
  if (key.is_fragment) return key;
  switch (packet.protocol) {
    case wire::protocol::kTcp: key.tcp_flags = packet.tcp_flags; [[fallthrough]];
    case wire::protocol::kUdp:
      key.source_port = packet.source_port;
      key.destination_port = packet.destination_port;
      break;
    case wire::protocol::kIcmp:
    case wire::protocol::kIcmp6:
      key.icmp_type = packet.icmp_type;
      key.icmp_code = packet.icmp_code;
      break;
    default: break;
  }
  return key;
}

}  // namespace ringplane::firewall
