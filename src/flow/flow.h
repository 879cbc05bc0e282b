// Flow: all that a packet of a known conversation needs, in one cache line: the key, the conntrack state of both
// peers, the counters of both directions, when it was last seen and which rule let it in. What only `show flows` and
// the timer wheel need lies elsewhere (flow_table.h), so that an established packet costs two lines: the index
// bucket and this.
//
// Peers are indexed by direction: [kOriginal] is the side that sent the flow's first packet.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "base/ids.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {

/// What is believed of one side. TCP: in the words of RFC 9293 3.3.2, as far as they fit one side seen from the middle.
enum class PeerState : std::uint8_t {
  kNoTraffic = 0,    ///< has sent nothing yet
  kSynSent = 1,      ///< TCP: sent its SYN, which is not acknowledged
  kEstablished = 2,  ///< TCP: its SYN is acknowledged (or the flow was picked up in the middle)
  kClosing = 3,      ///< TCP: sent its FIN, which is not acknowledged
  kFinWait2 = 4,     ///< TCP: its FIN is acknowledged
  kTimeWait = 5,     ///< TCP: reset
  kSingle = 6,       ///< others: has sent, and has had no answer since
  kMultiple = 7,     ///< others: has sent and was answered
};

/// Bits of Flow::flags.
namespace flow_flag {
inline constexpr std::uint8_t kLive = 0x01;           ///< the record holds a flow
inline constexpr std::uint8_t kOriginalUpper = 0x02;  ///< the original sender is endpoint 1 of the key
inline constexpr std::uint8_t kFirstPacket = 0x04;    ///< nothing but the first packet was seen
inline constexpr std::uint8_t kPickedUp = 0x08;       ///< TCP made from a segment that is no SYN: window scales unknown
inline constexpr std::uint8_t kExpendable = 0x10;     ///< linked in the wheel of flows that may be evicted
// The rest belongs to the worker; this folder only keeps them.
inline constexpr std::uint8_t kOriginalSecondPort = 0x20;  ///< the original side is at the domain's second port
inline constexpr std::uint8_t kConnectionCounted = 0x40;   ///< as an established one, in the SourceTable
inline constexpr std::uint8_t kLog = 0x80;                 ///< the rule logs every packet of the flow
inline constexpr std::uint8_t kWorkerFlags = kOriginalSecondPort | kConnectionCounted | kLog;
}  // namespace flow_flag

struct alignas(64) Flow {
  /// IPv4: both addresses, endpoint 0 in the upper half. IPv6: the hash of the whole key under the table's secret; the
  /// addresses themselves lie in the table's IPv6 array and are always compared too.
  std::uint64_t addresses = 0;
  std::array<std::uint16_t, 2> port{};  ///< as in the key, by endpoint
  wire::Zone zone = 0;
  std::uint8_t protocol = 0;
  wire::Family family = wire::Family::kNone;
  std::uint8_t flags = 0;
  std::uint8_t timeout_set = 0;  ///< index into the sets given to FlowTable::set_timeouts; 0: the global one
  std::uint16_t generation = 0;  ///< of the snapshot whose `path` this is; re-check when it is not the present one
  std::array<std::uint16_t, 2> packets{};  ///< low 16 bits; the carry is in the table
  /// Low nibble PeerState, high nibble window scale (15: none known).
  std::array<std::uint8_t, 2> peer{0xf0, 0xf0};
  std::array<std::uint16_t, 2> max_window{};  ///< largest window the side offered, in units of its scale, rounded up
  /// One past the highest sequence number that the side has sent.
  std::array<std::uint32_t, 2> sent_end{};
  /// One past the highest sequence number that the other side allows (its acknowledgment + its window). While the side
  /// is kSynSent: its initial sequence number + 1.
  std::array<std::uint32_t, 2> allowed_end{};
  std::array<std::uint32_t, 2> bytes{};  ///< IP bytes, low 32 bits; the carry is in the table
  Tick last_seen = 0;
  base::RulePathId path;  ///< the rules that let it pass, as the worker of `generation` numbers them

  [[nodiscard]] bool has(std::uint8_t flag) const noexcept { return (flags & flag) != 0; }
  [[nodiscard]] PeerState state(wire::Direction side) const noexcept {
    return static_cast<PeerState>(peer[static_cast<unsigned>(side)] & 0x0f);
  }
  void set_state(wire::Direction side, PeerState state) noexcept {
    auto& nibbles = peer[static_cast<unsigned>(side)];
    nibbles = static_cast<std::uint8_t>((nibbles & 0xf0) | static_cast<unsigned>(state));
  }
  /// Which way `packet`, which has this flow's key, goes.
  [[nodiscard]] wire::Direction direction_of(const wire::Packet& packet) const noexcept {
    return packet.from_upper == has(flow_flag::kOriginalUpper) ? wire::Direction::kOriginal : wire::Direction::kReply;
  }
};
// Ports and zone are compared as one word, in the key and here.
static_assert(offsetof(Flow, zone) == offsetof(Flow, port) + 4 &&
              offsetof(wire::FlowKey, zone) == offsetof(wire::FlowKey, port) + 4);
static_assert(sizeof(Flow) == 64 && alignof(Flow) == 64 && std::is_trivially_copyable_v<Flow>);

/// As `pfctl -ss` prints it, e.g. "ESTABLISHED", "SYN_SENT", "CLOSED", "SINGLE", "NO_TRAFFIC"; `show flows` joins those
/// of the original and the reply side with a colon.
[[nodiscard]] std::string_view state_name(std::uint8_t protocol, PeerState state) noexcept;
[[nodiscard]] inline std::string_view state_name(const Flow& flow, wire::Direction side) noexcept {
  return state_name(flow.protocol, flow.state(side));
}

}  // namespace ringplane::flow
