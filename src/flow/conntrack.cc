#include "flow/conntrack.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/drop_reason.h"
#include "flow/established.h"
#include "flow/flow.h"
#include "flow/flow_phase.h"
#include "flow/seq_num.h"
#include "wire/flow_key.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

using base::DropReason;
using wire::Direction;

constexpr StepResult kPass{};
constexpr StepResult kRestart{DropReason::none, true};
constexpr std::uint8_t kMaxScale = 14;      // RFC 7323 2.3
constexpr std::uint8_t kUnknownScale = 15;  // the nibble of a side that has offered none
constexpr StepResult drop(DropReason reason) noexcept {
  return {reason, false};
}

/// What a segment says, and the two sides as the segment sees them.
struct Segment {
  Segment(Flow& its_flow, const wire::Packet& packet) noexcept
      : flow(its_flow),
        from(its_flow.direction_of(packet)),
        to(wire::opposite(from)),
        flags(packet.tcp_flags),
        raw_window(packet.tcp_window),
        scale_option(packet.tcp_window_scale),
        payload(packet.payload_length),
        seq(packet.tcp_seq),
        end(packet.tcp_seq + packet.payload_length + (has(wire::tcp_flag::kSyn) ? 1U : 0U) +
            (has(wire::tcp_flag::kFin) ? 1U : 0U)),
        ack(packet.tcp_ack) {}

  [[nodiscard]] bool has(std::uint8_t flag) const noexcept { return (flags & flag) != 0; }
  [[nodiscard]] bool syn() const noexcept { return has(wire::tcp_flag::kSyn); }
  [[nodiscard]] bool acks() const noexcept { return has(wire::tcp_flag::kAck); }

  Flow& flow;
  Direction from;
  Direction to;
  std::uint8_t flags;
  std::uint16_t raw_window;
  std::uint8_t scale_option;
  std::uint32_t payload;
  SeqNum seq;
  SeqNum end;  ///< one past the last sequence number it occupies, SYN and FIN counted
  SeqNum ack;
};

constexpr std::size_t index(Direction side) noexcept {
  return static_cast<std::size_t>(side);
}

SeqNum sent_end(const Flow& flow, Direction side) noexcept {
  return SeqNum(flow.sent_end[index(side)]);
}
SeqNum allowed_end(const Flow& flow, Direction side) noexcept {
  return SeqNum(flow.allowed_end[index(side)]);
}
void set_sent_end(Flow& flow, Direction side, SeqNum value) noexcept {
  flow.sent_end[index(side)] = value.value();
}
void set_allowed_end(Flow& flow, Direction side, SeqNum value) noexcept {
  flow.allowed_end[index(side)] = value.value();
}

std::uint8_t scale_nibble(const Flow& flow, Direction side) noexcept {
  return flow.peer[index(side)] >> 4;
}
unsigned scale_of(const Flow& flow, Direction side) noexcept {
  const std::uint8_t scale = scale_nibble(flow, side);
  return scale == kUnknownScale ? 0 : scale;
}
void set_scale(Flow& flow, Direction side, std::uint8_t scale) noexcept {
  auto& nibbles = flow.peer[index(side)];
  nibbles = static_cast<std::uint8_t>((nibbles & 0x0f) | (scale << 4));
}
/// A SYN's option as a nibble: above 14 counts as 14 (RFC 7323 2.3).
std::uint8_t offered_scale(const Segment& segment) noexcept {
  return segment.scale_option == wire::Packet::kNoWindowScale ? kUnknownScale
                                                              : std::min(segment.scale_option, kMaxScale);
}

/// The largest window the side has offered, in bytes; at least one, for window probes (RFC 9293 3.8.6.1) and
/// keep-alives (RFC 9293 3.8.4).
std::uint32_t window_of(const Flow& flow, Direction side) noexcept {
  return std::max(std::uint32_t{flow.max_window[index(side)]} << scale_of(flow, side), 1U);
}

/// How far the sender may go. A side whose SYN is not acknowledged may send (RFC 7413 4.2.2) into the window of the
/// other's SYN.
SeqNum limit_of(const Flow& flow, Direction side) noexcept {
  const SeqNum allowed = allowed_end(flow, side);
  return flow.state(side) == PeerState::kSynSent ? allowed + window_of(flow, wire::opposite(side)) : allowed;
}

/// The segment acknowledges the SYN of `side`, which is kSynSent, and nothing it has not sent: ISS < SEG.ACK <= SND.NXT
/// (RFC 9293 3.10.7.3).
bool acks_syn_of(const Segment& segment, Direction side) noexcept {
  return segment.acks() && segment.ack >= allowed_end(segment.flow, side) &&
         segment.ack <= sent_end(segment.flow, side);
}

/// `side` sees its SYN acknowledged, with `window` bytes granted.
void establish(Flow& flow, Direction side, SeqNum ack, std::uint32_t window) noexcept {
  flow.set_state(side, PeerState::kEstablished);
  set_allowed_end(flow, side, ack + std::max(window, 1U));
}

void close_both(Flow& flow) noexcept {
  flow.set_state(Direction::kOriginal, PeerState::kTimeWait);
  flow.set_state(Direction::kReply, PeerState::kTimeWait);
}

/// The side's first SYN: its initial sequence number and what it offers. The window of a SYN is not scaled
/// (RFC 7323 2.2).
void take_syn(const Segment& segment) noexcept {
  Flow& flow = segment.flow;
  flow.set_state(segment.from, PeerState::kSynSent);
  set_sent_end(flow, segment.from, segment.end);
  set_allowed_end(flow, segment.from, segment.seq + 1);
  flow.max_window[index(segment.from)] = segment.raw_window;
  set_scale(flow, segment.from, offered_scale(segment));
}

/// Both SYNs are known: scaling is in use only if both offer it (RFC 7323 2.2). From here on max_window is in units of
/// the scale.
void agree_on_scales(Flow& flow) noexcept {
  const bool both = scale_nibble(flow, Direction::kOriginal) != kUnknownScale &&
                    scale_nibble(flow, Direction::kReply) != kUnknownScale;
  for (const Direction side : {Direction::kOriginal, Direction::kReply}) {
    if (!both) {
      set_scale(flow, side, 0);
      continue;
    }
    const unsigned scale = scale_of(flow, side);
    auto& window = flow.max_window[index(side)];
    window = static_cast<std::uint16_t>((window + (1U << scale) - 1) >> scale);
  }
}

/// The acceptance test for segments of a side whose sequence numbers are known.
bool in_window(const Segment& segment) noexcept {
  const Flow& flow = segment.flow;
  if (segment.end > limit_of(flow, segment.from)) return false;  // more than the other side allows
  if (flow.state(segment.from) == PeerState::kSynSent) return segment.seq >= allowed_end(flow, segment.from) - 1;
  return segment.seq >= sent_end(flow, segment.from) - window_of(flow, segment.to);  // older than any retransmission
}

/// SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT (RFC 5961 5.2), seen from the middle: the oldest unacknowledged byte
/// lies at most one window below what was sent.
bool ack_plausible(const Segment& segment) noexcept {
  const Flow& flow = segment.flow;
  if (flow.state(segment.to) == PeerState::kSynSent) return acks_syn_of(segment, segment.to);
  if (flow.has(flow_flag::kPickedUp)) return segment.ack <= allowed_end(flow, segment.to);
  const std::uint32_t below = sent_end(flow, segment.to).value() - segment.ack.value();
  return below <= std::max(2 * window_of(flow, segment.from), kLateAckBytes);
}

/// SYN of a side that has sent nothing yet: the answer to a SYN, or the other half of a simultaneous open
/// (RFC 9293 3.5).
StepResult first_syn_of_side(const Segment& segment) noexcept {
  Flow& flow = segment.flow;
  // The flow was picked up in the middle: a connection that is established has no SYN to come (RFC 5961 4).
  if (flow.state(segment.to) != PeerState::kSynSent) return drop(DropReason::tcp_bad_syn);
  // Answers a SYN that was not sent: an endpoint would reset it (RFC 9293 3.10.7.3), a forger has guessed wrong.
  if (segment.acks() && !acks_syn_of(segment, segment.to)) return drop(DropReason::tcp_out_of_window);
  take_syn(segment);
  agree_on_scales(flow);
  if (segment.acks()) establish(flow, segment.to, segment.ack, segment.raw_window);
  return kPass;
}

/// SYN of a side whose SYN is known and not acknowledged.
StepResult repeated_syn(const Segment& segment) noexcept {
  Flow& flow = segment.flow;
  const PeerState peer = flow.state(segment.to);
  const bool same_start = segment.seq + 1 == allowed_end(flow, segment.from);
  if (!segment.acks()) {
    // Retransmission, perhaps without the data the first one carried (RFC 7413 4.2.1).
    if (same_start) return kPass;
    // The client began anew before anybody answered: the newer SYN counts.
    if (peer == PeerState::kNoTraffic) {
      take_syn(segment);
      return kPass;
    }
    return drop(DropReason::tcp_bad_syn);
  }
  // SYN+ACK needs a SYN to acknowledge.
  if (peer == PeerState::kNoTraffic) return drop(DropReason::tcp_bad_state);
  if (!ack_plausible(segment)) return drop(DropReason::tcp_out_of_window);
  if (!same_start) {
    // Another answer to the same SYN (a SYN cookie made a minute later), while the client has taken none.
    if (peer != PeerState::kEstablished || segment.ack != sent_end(flow, segment.to))
      return drop(DropReason::tcp_bad_syn);
    set_sent_end(flow, segment.from, segment.end);
    set_allowed_end(flow, segment.from, segment.seq + 1);
    return kPass;
  }
  // Retransmitted SYN+ACK, or the answering one of a simultaneous open (RFC 9293 figure 7).
  if (peer == PeerState::kSynSent) establish(flow, segment.to, segment.ack, segment.raw_window);
  return kPass;
}

/// SYN of a side that is established or further (RFC 5961 4).
StepResult syn_in_established(const Segment& segment) noexcept {
  Flow& flow = segment.flow;
  if (segment.acks()) {
    const bool old = segment.end <= sent_end(flow, segment.from) && in_window(segment);
    if (!old) return drop(DropReason::tcp_bad_syn);
    // The second SYN+ACK of a simultaneous open (RFC 9293 figure 7) ...
    if (acks_syn_of(segment, segment.to) && flow.state(segment.to) == PeerState::kSynSent) {
      establish(flow, segment.to, segment.ack, segment.raw_window);
    }
    // ... or a duplicate of the side's SYN+ACK: its receiver acknowledges once more (RFC 9293 3.10.7.4).
    return kPass;
  }
  // A plain SYN against the flow's direction is not what the rule let in.
  if (segment.from == Direction::kReply) return drop(DropReason::tcp_bad_syn);
  // The handshake is not complete: a retransmitted SYN, or a client that began anew. The server answers with an
  // acknowledgment, and the client that does not know it resets it (RFC 9293 3.5.1).
  if (flow.state(segment.to) == PeerState::kSynSent) return kPass;
  // In the window, an endpoint older than RFC 5961 would drop the connection: the forger's aim.
  if (in_window(segment)) return drop(DropReason::tcp_bad_syn);
  // Outside, every endpoint answers with an acknowledgment (RFC 9293 3.10.7.4), and a client that has rebooted resets
  // it and comes back. The flow stays as it is.
  return kPass;
}

StepResult on_syn(const Segment& segment) noexcept {
  // The connection is over: its ports may be used again (RFC 9293 3.6.1, RFC 6191). Whether the sequence number is
  // acceptable is for the endpoint in TIME-WAIT to say; the rules judge the new flow.
  if (!segment.acks() && is_over(segment.flow)) return kRestart;
  switch (segment.flow.state(segment.from)) {
    case PeerState::kNoTraffic: return first_syn_of_side(segment);
    case PeerState::kSynSent: return repeated_syn(segment);
    default: return syn_in_established(segment);
  }
}

/// RFC 5961 3.2, RFC 9293 3.10.7.3. Endpoints believe a reset at exactly the next sequence number and challenge others
/// in their window; the next one they expect is what was sent, or less where segments were lost behind us.
StepResult on_rst(const Segment& segment) noexcept {
  Flow& flow = segment.flow;
  const PeerState sender = flow.state(segment.from);
  const PeerState receiver = flow.state(segment.to);
  if (sender == PeerState::kNoTraffic && receiver == PeerState::kSynSent) {
    // Refuses a SYN: must acknowledge it.
    if (!acks_syn_of(segment, segment.to)) return drop(DropReason::tcp_bad_rst);
    close_both(flow);
    return kPass;
  }
  // A client that has had no proper answer resets the half-open connection that the server still has (RFC 9293
  // 3.5.1): the number is the server's, unknown here, and the client's next SYN is to find the flow as it is.
  if (sender == PeerState::kSynSent && receiver == PeerState::kNoTraffic) return kPass;
  const std::int32_t below = sent_end(flow, segment.from) - segment.seq;
  // Exactly there, or one below: at a FIN or a keep-alive that the receiver has not acknowledged.
  if (below == 0 || below == 1) {
    close_both(flow);
    return kPass;
  }
  // Beyond all that the side has sent: no endpoint resets there.
  if (below < 0 && !flow.has(flow_flag::kPickedUp)) return drop(DropReason::tcp_bad_rst);
  if (!in_window(segment)) return drop(DropReason::tcp_bad_rst);
  // In the window: right if segments were lost behind us, or the answer to a challenge. The endpoint knows.
  return kPass;
}

/// Notes what an acceptable segment says of both sides.
void advance(const Segment& segment) noexcept {
  Flow& flow = segment.flow;
  const std::uint32_t window = std::uint32_t{segment.raw_window} << scale_of(flow, segment.from);
  auto& max_window = flow.max_window[index(segment.from)];
  max_window = std::max(max_window, segment.raw_window);
  if (segment.end > sent_end(flow, segment.from)) set_sent_end(flow, segment.from, segment.end);

  if (flow.state(segment.to) == PeerState::kSynSent) {
    establish(flow, segment.to, segment.ack, window);
  } else {
    // What was allowed once stays allowed: windows should not shrink (RFC 9293 3.8.6).
    const SeqNum allowed = segment.ack + std::max(window, 1U);
    if (allowed > allowed_end(flow, segment.to)) set_allowed_end(flow, segment.to, allowed);
    // Picked up in the middle: what is acknowledged was sent before we looked.
    if (flow.has(flow_flag::kPickedUp) && segment.ack > sent_end(flow, segment.to)) {
      set_sent_end(flow, segment.to, segment.ack);
    }
  }
  if (flow.state(segment.to) == PeerState::kClosing && segment.ack == sent_end(flow, segment.to)) {
    flow.set_state(segment.to, PeerState::kFinWait2);  // its FIN is acknowledged (RFC 9293 3.6)
  }
  if (!segment.has(wire::tcp_flag::kFin)) return;
  if (flow.state(segment.from) == PeerState::kSynSent) {
    set_allowed_end(flow, segment.from, limit_of(flow, segment.from));  // closes before its SYN is acknowledged
    flow.set_state(segment.from, PeerState::kClosing);
  } else if (flow.state(segment.from) == PeerState::kEstablished) {
    flow.set_state(segment.from, PeerState::kClosing);
  }
}

/// The other side of a flow that was picked up in the middle speaks for the first time.
void meet_picked_up_peer(const Segment& segment) noexcept {
  Flow& flow = segment.flow;
  flow.set_state(segment.from, PeerState::kEstablished);
  if (segment.end > sent_end(flow, segment.from)) set_sent_end(flow, segment.from, segment.end);
  flow.max_window[index(segment.from)] = segment.raw_window;
  // From now on the first side has a window to keep to instead of the widest there is.
  const SeqNum allowed = segment.ack + std::max(std::uint32_t{segment.raw_window} << kMaxScale, 1U);
  const SeqNum sent = sent_end(flow, segment.to);
  set_allowed_end(flow, segment.to, allowed > sent ? allowed : sent);
}

/// A segment without SYN and RST.
StepResult on_segment(const Segment& segment) noexcept {
  Flow& flow = segment.flow;
  // After the handshake every segment acknowledges; without, it is dropped (RFC 9293 3.10.7.4).
  if (!segment.acks()) return drop(DropReason::tcp_bad_state);
  if (flow.state(segment.from) == PeerState::kNoTraffic && flow.state(segment.to) == PeerState::kSynSent) {
    // The server still has the connection from before the client forgot it, and says so; the client will reset it
    // (RFC 9293 3.5.1 figure 9). Data before the handshake is nothing.
    const bool bare = segment.payload == 0 && !segment.has(wire::tcp_flag::kFin);
    return bare ? kPass : drop(DropReason::tcp_bad_state);
  }
  // A client sends nothing between its SYN and the answer.
  if (flow.state(segment.from) == PeerState::kSynSent && flow.state(segment.to) == PeerState::kNoTraffic) {
    return drop(DropReason::tcp_bad_state);
  }
  if (!in_window(segment)) return drop(DropReason::tcp_out_of_window);
  if (flow.state(segment.to) != PeerState::kNoTraffic && !ack_plausible(segment)) {
    return drop(DropReason::tcp_out_of_window);
  }
  if (flow.state(segment.from) == PeerState::kNoTraffic) meet_picked_up_peer(segment);
  advance(segment);
  return kPass;
}

StepResult step_tcp(Flow& flow, const wire::Packet& packet) noexcept {
  const Segment segment(flow, packet);
  if (segment.has(wire::tcp_flag::kRst)) return on_rst(segment);
  if (segment.syn()) return on_syn(segment);
  return on_segment(segment);
}

/// A segment that is no SYN makes a flow: both scales are taken for the largest, both windows for the sender's, until
/// the other side speaks.
void pick_up(Segment& segment) noexcept {
  Flow& flow = segment.flow;
  flow.flags |= flow_flag::kPickedUp;
  constexpr std::uint32_t kWidest = 0xffffU << kMaxScale;
  for (const Direction side : {segment.from, segment.to}) {
    set_scale(flow, side, kMaxScale);
    flow.max_window[index(side)] = std::max<std::uint16_t>(segment.raw_window, 1);
  }
  flow.set_state(segment.from, segment.has(wire::tcp_flag::kFin) ? PeerState::kClosing : PeerState::kEstablished);
  set_sent_end(flow, segment.from, segment.end);
  set_allowed_end(flow, segment.from, segment.end + kWidest);
  set_sent_end(flow, segment.to, segment.ack);
  set_allowed_end(flow, segment.to, segment.ack + window_of(flow, segment.from));
}

/// UDP, ICMP queries and all other protocols: who has spoken, and whether it was answered.
StepResult step_datagram(Flow& flow, const wire::Packet& packet) noexcept;

bool is_icmp(std::uint8_t protocol) noexcept {
  return protocol == wire::protocol::kIcmp || protocol == wire::protocol::kIcmp6;
}

/// The type of the reply to an ICMP query (RFC 792, RFC 950, RFC 4443 4.1), or -1 if `type` is no query.
int reply_type(std::uint8_t protocol, std::uint8_t type) noexcept {
  if (protocol == wire::protocol::kIcmp6) return type == 128 ? 129 : -1;
  switch (type) {
    case 8: return 0;    // echo
    case 13: return 14;  // timestamp
    case 15: return 16;  // information
    case 17: return 18;  // address mask
    default: return -1;
  }
}

StepResult step_datagram(Flow& flow, const wire::Packet& packet) noexcept {
  const Direction from = flow.direction_of(packet);
  if (is_icmp(flow.protocol)) {
    // Queries go the way of the first, replies against it (RFC 5508 5): the reply side may not query through a flow
    // that only its answers are let in by.
    const bool query = reply_type(flow.protocol, packet.icmp_type) >= 0;
    if (query != (from == Direction::kOriginal)) return drop(DropReason::icmp_mismatch);
  }
  const Direction to = wire::opposite(from);
  if (flow.state(from) == PeerState::kNoTraffic) flow.set_state(from, PeerState::kSingle);
  if (flow.state(to) == PeerState::kSingle) flow.set_state(to, PeerState::kMultiple);
  return kPass;
}

/// An ICMP error travels to the sender of the packet it quotes: that side must have sent, and of TCP the quoted segment
/// must be one that may be in flight, SND.UNA <= SEG.SEQ < SND.NXT (RFC 5927 4.1), a window wide seen from the middle.
StepResult step_icmp_error(const Flow& flow, const wire::Packet& packet) noexcept {
  const Direction quoted = wire::opposite(flow.direction_of(packet));
  if (flow.state(quoted) == PeerState::kNoTraffic) return drop(DropReason::icmp_mismatch);
  if (flow.protocol != wire::protocol::kTcp) return kPass;
  const std::uint32_t below = flow.sent_end[index(quoted)] - packet.tcp_seq;
  const std::uint32_t window = flow.state(quoted) == PeerState::kSynSent
                                   ? flow.sent_end[index(quoted)] - flow.allowed_end[index(quoted)] + 1
                                   : window_of(flow, wire::opposite(quoted));
  return below <= window ? kPass : drop(DropReason::icmp_mismatch);
}

}  // namespace

bool can_start_flow(const wire::Packet& packet) noexcept {
  if (packet.kind != wire::PacketKind::kFlow) return false;
  if (packet.protocol == wire::protocol::kTcp) return (packet.tcp_flags & wire::tcp_flag::kRst) == 0;
  if (is_icmp(packet.protocol)) return reply_type(packet.protocol, packet.icmp_type) >= 0;
  return true;
}

void start(Flow& flow, const wire::Packet& packet) noexcept {
  if (packet.protocol != wire::protocol::kTcp) {
    flow.set_state(Direction::kOriginal, PeerState::kSingle);
    return;
  }
  Segment segment(flow, packet);
  if (segment.syn() && !segment.acks()) {
    take_syn(segment);
  } else {
    pick_up(segment);
  }
}

StepResult step(Flow& flow, const wire::Packet& packet) noexcept {
  if (packet.kind == wire::PacketKind::kIcmpError) return step_icmp_error(flow, packet);
  return flow.protocol == wire::protocol::kTcp ? step_tcp(flow, packet) : step_datagram(flow, packet);
}

std::string_view state_name(std::uint8_t protocol, PeerState state) noexcept {
  const bool tcp = protocol == wire::protocol::kTcp;
  switch (state) {
    case PeerState::kNoTraffic: return tcp ? "CLOSED" : "NO_TRAFFIC";
    case PeerState::kSynSent: return "SYN_SENT";
    case PeerState::kEstablished: return "ESTABLISHED";
    case PeerState::kClosing: return "CLOSING";
    case PeerState::kFinWait2: return "FIN_WAIT_2";
    case PeerState::kTimeWait: return "TIME_WAIT";
    case PeerState::kSingle: return "SINGLE";
    case PeerState::kMultiple: return "MULTIPLE";
  }
  return "";
}

}  // namespace ringplane::flow
