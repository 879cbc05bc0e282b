// PacketBurst: one burst on its way through the pipeline: frames, what was decoded of them, and what was decided.
// Slot i of every array speaks of frames[i]. A pass looks at the slots in `open` and closes those it decides.
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
  std::array<wire::Packet, kCapacity> packets;
  std::array<std::uint64_t, kCapacity> hashes;  ///< of packets[i].key, for packets with a key
  std::array<base::FlowId, kCapacity>
      flows;  ///< probably (find_burst), then surely (track_burst); none: belongs to no flow (yet)
  std::array<Outcome, kCapacity> outcomes;
  std::uint64_t open = 0;     ///< bit i: not yet decided
  std::uint64_t tracked = 0;  ///< bit i: packet i is of a kind that has flows

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
