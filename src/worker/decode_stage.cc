#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "wire/decode.h"
#include "wire/ethernet.h"
#include "wire/packet.h"
#include "worker/forwarding.h"
#include "worker/packet_burst.h"
#include "worker/stages.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

/// Frames that are no IP go by the bridge's own setting: there is nothing the rules could look at.
void bridge_non_ip(PacketBurst& burst, std::uint32_t slot, const Egress& egress) noexcept {
  if (!egress.port.valid()) {
    burst.drop(slot, base::DropReason::no_egress);
  } else if (egress.non_ip == NonIp::kArpOnly && burst.packets[slot].ether_type != wire::ether_type::kArp) {
    burst.drop(slot, base::DropReason::non_ip);
  } else {
    burst.outcomes[slot].egress = egress.port;
    burst.pass(slot);
  }
}

}  // namespace

void fetch_burst(const PacketBurst& burst, const frame::Arena& arena) noexcept {
  for (const frame::Frame& frame : burst.frames.frames()) __builtin_prefetch(arena.base() + frame.address);
}

void decode_burst(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables) noexcept {
  burst.open = burst.all();
  for (std::uint32_t slot = 0; slot < burst.frames.size(); ++slot) {
    const frame::Frame& frame = burst.frames[slot];
    const Egress& egress = tables.snapshot->forwarding.from(frame.port);
    burst.outcomes[slot] = Outcome{};
    burst.flows[slot] = base::FlowId{};
    wire::Packet& packet = burst.packets[slot];
    base::DropReason reason = wire::decode(arena.data(frame), egress.domain, packet);
    // No host takes it, so it must not move the state of a connection either: a forged RST would.
    if ((frame.marks & frame::kBadChecksum) != 0 && reason == base::DropReason::none) {
      reason = base::DropReason::transport_bad_checksum;
    }
    if (reason != base::DropReason::none) {
      burst.drop(slot, reason);
    } else if (packet.kind == wire::PacketKind::kNonIp) {
      bridge_non_ip(burst, slot, egress);
    } else {
      burst.hashes[slot] = packet.key.hash(tables.secret);
    }
  }
  // A loop of its own: a prefetch that misses the TLB holds up what is behind it, and the shorter the loop, the more of
  // them are under way. Not by for_each_slot: g++ 12 takes a lambda that only prefetches for one that does nothing.
  for (std::uint64_t rest = burst.open; rest != 0; rest &= rest - 1) {
    tables.flows->prefetch(burst.hashes[static_cast<std::size_t>(std::countr_zero(rest))]);
  }
}

}  // namespace ringplane::worker
