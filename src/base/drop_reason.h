// The one list of reasons for which a packet is dropped. Every drop has exactly one; it is counted per worker and
// shown by `ringplane show drops`, in the logs and by `ringplane replay`. docs/reference/drop-reasons.md is checked
// against this list by `ctest -R tree`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

// X(name, sentence)
#define RINGPLANE_DROP_REASONS(X)                                                                          \
  X(none, "not dropped")                                                                                   \
  /* wire: the bytes are not what they claim to be */                                                      \
  X(frame_too_short, "shorter than the headers it claims to have")                                         \
  X(frame_too_long, "longer than one frame buffer or the MTU of the port it has to leave by")              \
  X(vlan_too_deep, "more than two VLAN tags")                                                              \
  X(non_ip, "neither IP nor ARP, and the bridge is told to keep such frames out")                          \
  X(arp_malformed, "ARP that is truncated or not Ethernet/IPv4")                                           \
  X(ipv4_bad_version, "EtherType IPv4 but the version field is not 4")                                     \
  X(ipv4_bad_header_length, "IPv4 header length below 20 bytes or beyond the packet")                      \
  X(ipv4_bad_total_length, "IPv4 total length beyond the frame or below the header length")                \
  X(ipv4_bad_checksum, "IPv4 header checksum is wrong")                                                    \
  X(ipv4_bad_option, "IPv4 option list is malformed")                                                      \
  X(ipv6_bad_version, "EtherType IPv6 but the version field is not 6")                                     \
  X(ipv6_bad_length, "IPv6 payload length beyond the frame")                                               \
  X(ipv6_bad_extension, "IPv6 extension header malformed, out of order or too many")                       \
  X(fragment_malformed, "fragment offset or length impossible, or too short to hold the transport header") \
  X(tcp_bad_header, "TCP header truncated or data offset impossible")                                      \
  X(tcp_bad_flags, "TCP flags that no TCP sends together, such as SYN+FIN")                                \
  X(udp_bad_length, "UDP header truncated or length impossible")                                           \
  X(transport_bad_checksum, "the NIC found the TCP or UDP checksum wrong")                                 \
  X(icmp_bad_header, "ICMP or ICMPv6 truncated, or an error that quotes no usable packet")                 \
  X(bad_address,                                                                                           \
    "addresses no packet on a wire has: loopback, multicast source, IPv4-mapped, or source = destination") \
  /* flow: the packet does not fit what is known of its connection */                                      \
  X(tcp_out_of_window, "TCP segment outside the window of its flow")                                       \
  X(tcp_bad_rst, "RST that does not match the flow's sequence number (RFC 5961)")                          \
  X(tcp_bad_syn, "SYN inside an established flow (RFC 5961)")                                              \
  X(tcp_bad_state, "TCP segment that the flow's state does not allow")                                     \
  X(icmp_mismatch,                                                                                         \
    "ICMP that its flow cannot have: an error about a packet never sent, or a query from the wrong side")  \
  X(wrong_side, "of a known flow, but it came in on the side of its receiver: a forged sender, or a loop") \
  X(flow_table_full, "no room for a new flow, and no half-open flow to evict")                             \
  /* firewall: the rules decided */                                                                        \
  X(rule_block, "a block rule of the ruleset")                                                             \
  X(ip_options, "IPv4 options or IPv6 routing headers, and the rule has no allow-opts")                    \
  X(state_limit, "the rule's max states are reached")                                                      \
  X(source_limit, "the source's max-src-* limit of the rule is reached")                                   \
  /* worker: the packet had nowhere to go */                                                               \
  X(no_egress, "no port to forward to")                                                                    \
  X(egress_down, "the port to forward to is down")                                                         \
  X(tx_ring_full, "the transmit ring of the port to forward to is full")                                   \
  X(mailbox_full, "the mailbox of the worker that owns the flow is full")

namespace ringplane::base {

enum class DropReason : std::uint8_t {
#define RINGPLANE_X(name, sentence) name,
  RINGPLANE_DROP_REASONS(RINGPLANE_X)
#undef RINGPLANE_X
};

struct DropReasonText {
  std::string_view name;
  std::string_view sentence;
};

inline constexpr auto kDropReasonTexts = std::to_array<DropReasonText>({
#define RINGPLANE_X(name, sentence) {#name, sentence},
    RINGPLANE_DROP_REASONS(RINGPLANE_X)
#undef RINGPLANE_X
});
inline constexpr std::size_t kDropReasonCount = kDropReasonTexts.size();

[[nodiscard]] constexpr std::string_view name_of(DropReason reason) noexcept {
  return kDropReasonTexts[static_cast<std::size_t>(reason)].name;
}

}  // namespace ringplane::base
