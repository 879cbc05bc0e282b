#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/drop_reason.h"
#include "firewall/decision.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "wire/bytes.h"
#include "wire/packet.h"
#include "wire/reply.h"
#include "worker/forwarding.h"
#include "worker/frame_exit.h"
#include "worker/packet_burst.h"
#include "worker/stages.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

constexpr std::uint8_t kDefaultTtl = 64;
/// Tag and Ethernet header before the IP header never count against the MTU.
bool fits(const PacketBurst& burst, std::uint32_t slot, std::uint32_t mtu) noexcept {
  const std::uint32_t ip_length = burst.headers.ip_length[slot];
  if (ip_length != 0) [[likely]]
    return ip_length <= mtu;
  return burst.frames[slot].length - burst.packets[slot].l3_offset <= mtu;
}

/// Turns a rejected packet round and sends it back where it came from; at a bounded rate (RFC 4443 2.4(f)).
void answer(const PacketBurst& burst, std::uint32_t slot, const frame::Arena& arena, WorkerTables& tables,
            FrameExit& exit) noexcept {
  frame::Frame frame = burst.frames[slot];
  const wire::Packet& packet = burst.packets[slot];
  const Outcome& outcome = burst.outcomes[slot];
  if (!wire::may_answer(arena.data(frame), packet) || !tables.reply_tokens.take(burst.now_ns)) {
    exit.release(frame.address);
    return;
  }
  const wire::MutableBytes room{arena.base() + frame.address, arena.room(frame)};
  frame.length =
      outcome.reply == firewall::Reply::kTcpRst
          ? wire::turn_into_tcp_reset(room, packet, outcome.reply_code != 0 ? outcome.reply_code : kDefaultTtl)
          : wire::turn_into_unreachable(room, packet, outcome.reply_code);
  tables.counters.rejected.add(1);
  exit.send(frame.port, frame);
}

/// The whole burst goes the same way, as the next packets of their flows.
bool forward_together(const PacketBurst& burst, const Forwarding& forwarding, FrameExit& exit) noexcept {
  if (!burst.one_port || burst.goes_on != burst.all()) return false;
  const Egress& egress = forwarding.from(burst.frames[0].port);
  std::uint32_t longest = 0;
  for (std::size_t slot = 0; slot < burst.frames.size(); ++slot) {
    longest = std::max(longest, burst.headers.ip_length[slot]);
  }
  if (longest > egress.mtu) return false;
  exit.send(egress.port, burst.frames.frames());
  return true;
}

}  // namespace

void forward_burst(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables, FrameExit& exit) noexcept {
  const Forwarding& forwarding = tables.snapshot->forwarding;
  if (forward_together(burst, forwarding, exit)) {
    burst.frames.clear();
    return;
  }
  const auto send = [&](std::uint32_t slot, base::PortId egress) {
    const frame::Frame& frame = burst.frames[slot];
    if (fits(burst, slot, forwarding.from(frame.port).mtu)) [[likely]] {
      exit.send(egress, frame);
    } else {
      tables.counters.dropped[static_cast<std::size_t>(base::DropReason::frame_too_long)].add(1);
      exit.release(frame.address);
    }
  };
  for (std::uint32_t slot = 0; slot < burst.frames.size(); ++slot) {
    const frame::Frame& frame = burst.frames[slot];
    if ((burst.goes_on >> slot & 1) != 0) [[likely]] {
      send(slot, forwarding.from(frame.port).port);
      continue;
    }
    const Outcome& outcome = burst.outcomes[slot];
    switch (outcome.verdict) {
      case Verdict::kHandedOver: break;
      case Verdict::kDrop: exit.release(frame.address); break;
      case Verdict::kReject: answer(burst, slot, arena, tables, exit); break;
      case Verdict::kPass: send(slot, outcome.egress); break;
    }
  }
  burst.frames.clear();
}

}  // namespace ringplane::worker
