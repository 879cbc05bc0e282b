#include <cstddef>
#include <cstdint>

#include "base/drop_reason.h"
#include "firewall/decision.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "wire/bytes.h"
#include "wire/packet.h"
#include "wire/reply.h"
#include "worker/frame_exit.h"
#include "worker/packet_burst.h"
#include "worker/stages.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

constexpr std::uint8_t kDefaultTtl = 64;
/// Tag and Ethernet header before the IP header never count against the MTU.
bool fits(const wire::Packet& packet, const frame::Frame& frame, std::uint32_t mtu) noexcept {
  const std::uint32_t bytes = packet.ip_length != 0 ? packet.ip_length : frame.length - packet.l3_offset;
  return bytes <= mtu;
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

}  // namespace

void forward_burst(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables, FrameExit& exit) noexcept {
  for (std::uint32_t slot = 0; slot < burst.frames.size(); ++slot) {
    const frame::Frame& frame = burst.frames[slot];
    const Outcome& outcome = burst.outcomes[slot];
    switch (outcome.verdict) {
      case Verdict::kHandedOver: break;
      case Verdict::kDrop: exit.release(frame.address); break;
      case Verdict::kReject: answer(burst, slot, arena, tables, exit); break;
      case Verdict::kPass:
        if (fits(burst.packets[slot], frame, tables.snapshot->forwarding.from(frame.port).mtu)) {
          exit.send(outcome.egress, frame);
        } else {
          tables.counters.dropped[static_cast<std::size_t>(base::DropReason::frame_too_long)].add(1);
          exit.release(frame.address);
        }
        break;
    }
  }
  burst.frames.clear();
}

}  // namespace ringplane::worker
