// PacketBurst: one burst on its way through the pipeline: frames, what was decoded of them, and what was decided.
// Slot i of every array speaks of frames[i]. A pass looks at the slots in `open` and closes those it decides.
//
// Of plain frames (wire/plain_headers.h) only `headers` is filled at first. Most need no more; who needs the rest of a
// packet has it read by read_packet() first (stages.h).
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/decision.h"
#include "flow/flow.h"
#include "frame/frame.h"
#include "wire/packet.h"
#include "wire/plain_headers.h"

namespace ringplane::worker {

/// kHandedOver: the frame went to the worker that owns its flow, and is decided there.
enum class Verdict : std::uint8_t { kPass, kDrop, kReject, kHandedOver };
[[nodiscard]] constexpr std::string_view name_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kPass: return "pass";
    case Verdict::kDrop: return "drop";
    case Verdict::kReject: return "reject";
    case Verdict::kHandedOver: return "handed_over";
  }
  return "";
}

struct Outcome {
  Verdict verdict = Verdict::kDrop;
  base::DropReason reason = base::DropReason::none;
  firewall::Reply reply = firewall::Reply::kNone;  ///< kReject: how it is answered
  std::uint8_t reply_code = 0;
  bool log = false;
  base::PortId egress;
  base::RulePathId path;  ///< the rules that were asked, now or when the flow was made; none: never got to rules
  base::RuleId rule;      ///< the one that decided now; none: no rule matched, or none was asked (see rule_of())
};

struct PacketBurst {
  static constexpr std::uint32_t kCapacity = frame::Burst::kCapacity;

  std::uint64_t now_ns = 0;
  frame::Burst frames;
  wire::FrameBytes bytes;                                 ///< of `frames`
  wire::PlainHeaders headers;                             ///< of plain frames; ip_length of all that are IP
  std::array<wire::Packet, kCapacity> packets;            ///< of slots not in `unread`
  std::array<std::uint64_t, kCapacity> hashes;            ///< of the key, for packets with a key
  alignas(64) std::array<base::FlowId, kCapacity> flows;  ///< probably (find_burst), then surely (track_burst); none:
                                                          ///< belongs to no flow (yet)
  alignas(64) std::array<base::RulePathId, kCapacity> paths;  ///< of slots in `goes_on`
  std::array<Outcome, kCapacity> outcomes;                    ///< of the others, from when they are read
  bool one_port = false;                                      ///< all came in by the same
  bool marked = false;                                        ///< some have a bad checksum

  // Bit i: slot i ...
  std::uint64_t open = 0;       ///< is not yet decided
  std::uint64_t unread = 0;     ///< is plain, and packets[i] has not been read
  std::uint64_t tracked = 0;    ///< is of a kind that has flows
  std::uint64_t ipv6 = 0;       ///< is tracked and IPv6
  std::uint64_t found = 0;      ///< is tracked and flows[i] is set
  std::uint64_t elsewhere = 0;  ///< is tracked and its flow, if there is one, in the other place of the index
  std::uint64_t goes_on = 0;  ///< passes as the next packet of its flow: paths[i] says by which rules, not outcomes[i]
  std::uint64_t second_side = 0;  ///< came in by the second port of its bridge

  [[nodiscard]] std::uint64_t all() const noexcept {
    return frames.size() == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << frames.size()) - 1;
  }
  void close(std::uint32_t slot) noexcept { open &= ~(std::uint64_t{1} << slot); }
  void drop(std::uint32_t slot, base::DropReason reason) noexcept {
    outcomes[slot].verdict = Verdict::kDrop;
    outcomes[slot].reason = reason;
    close(slot);
  }
  void pass(std::uint32_t slot) noexcept {
    outcomes[slot].verdict = Verdict::kPass;
    close(slot);
  }
};

/// Calls f(slot) for each set bit, lowest first.
template <class F>
void for_each_slot(std::uint64_t slots, F&& f) {
  for (; slots != 0; slots &= slots - 1) f(static_cast<std::uint32_t>(std::countr_zero(slots)));
}

}  // namespace ringplane::worker
