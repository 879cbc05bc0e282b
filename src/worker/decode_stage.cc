#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "wire/decode.h"
#include "wire/ethernet.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
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

/// Where the frames lie and what their ports say of them. Nearly always all have come in by one port.
void place_frames(PacketBurst& burst, const frame::Arena& arena, const Forwarding& forwarding) noexcept {
  const std::span<const frame::Frame> frames = burst.frames.frames();
  const std::uint8_t* base = arena.base();
  burst.bytes.count = burst.frames.size();
  unsigned other_ports = 0;
  unsigned marks = 0;
  for (std::size_t slot = 0; slot < frames.size(); ++slot) {
    burst.bytes.data[slot] = base + frames[slot].address;
    burst.bytes.length[slot] = frames[slot].length;
    other_ports |= unsigned{frames[slot].port.value} ^ frames[0].port.value;
    marks |= frames[slot].marks;
  }
  burst.marked = (marks & frame::kBadChecksum) != 0;
  burst.one_port = other_ports == 0 && !frames.empty();
  if (burst.one_port) [[likely]] {
    const Egress& egress = forwarding.from(frames[0].port);
    burst.bytes.zone.fill(wire::make_zone(egress.domain, 0, 0));
    burst.second_side = egress.second_side ? ~std::uint64_t{0} : 0;
    return;
  }
  burst.second_side = 0;
  for (std::size_t slot = 0; slot < frames.size(); ++slot) {
    const Egress& egress = forwarding.from(frames[slot].port);
    burst.bytes.zone[slot] = wire::make_zone(egress.domain, 0, 0);
    burst.second_side |= std::uint64_t{egress.second_side} << slot;
  }
}

/// Frames that the NIC has found damaged are not plain.
void send_long_way(PacketBurst& burst) noexcept {
  for (std::uint32_t slot = 0; slot < burst.frames.size(); ++slot) {
    const bool damaged = (burst.frames[slot].marks & frame::kBadChecksum) != 0;
    burst.headers.plain &= ~(std::uint64_t{damaged} << slot);
  }
}

/// The long way for one frame.
void decode_frame(PacketBurst& burst, std::uint32_t slot, const frame::Arena& arena, WorkerTables& tables) noexcept {
  const frame::Frame& frame = burst.frames[slot];
  const Egress& egress = tables.snapshot->forwarding.from(frame.port);
  wire::Packet& packet = burst.packets[slot];
  burst.outcomes[slot] = Outcome{};
  base::DropReason reason = wire::decode_any(arena.data(frame), egress.domain, packet);
  // No host takes it, so it must not move the state of a connection either: a forged RST would.
  if ((frame.marks & frame::kBadChecksum) != 0 && reason == base::DropReason::none) {
    reason = base::DropReason::transport_bad_checksum;
  }
  burst.headers.ip_length[slot] = packet.ip_length;
  if (reason != base::DropReason::none) {
    burst.drop(slot, reason);
    return;
  }
  if (packet.kind == wire::PacketKind::kNonIp) {
    bridge_non_ip(burst, slot, egress);
    return;
  }
  burst.hashes[slot] = packet.key.hash(tables.secret);
  const bool has_flow = packet.kind == wire::PacketKind::kFlow || packet.kind == wire::PacketKind::kIcmpError;
  burst.tracked |= std::uint64_t{has_flow} << slot;
  burst.ipv6 |= std::uint64_t{has_flow && packet.key.family == wire::Family::kIpv6} << slot;
}

}  // namespace

void fetch_burst(const PacketBurst& burst, const frame::Arena& arena) noexcept {
  for (const frame::Frame& frame : burst.frames.frames()) __builtin_prefetch(arena.base() + frame.address);
}

void read_packet(PacketBurst& burst, std::uint32_t slot, const frame::Arena& arena,
                 const WorkerTables& tables) noexcept {
  const std::uint64_t bit = std::uint64_t{1} << slot;
  if ((burst.unread & bit) == 0) return;
  burst.unread &= ~bit;
  burst.outcomes[slot] = Outcome{};
  const frame::Frame& frame = burst.frames[slot];
  const std::uint8_t domain = tables.snapshot->forwarding.from(frame.port).domain;
  const base::DropReason reason = wire::decode(arena.data(frame), domain, burst.packets[slot]);
  assert(reason == base::DropReason::none);  // it is plain
  static_cast<void>(reason);
}

void decode_burst(PacketBurst& burst, const frame::Arena& arena, WorkerTables& tables) noexcept {
  place_frames(burst, arena, tables.snapshot->forwarding);
  burst.headers.clear();
  for (std::size_t first = 0; first < burst.frames.size(); first += wire::PlainHeaders::kGroup) {
    burst.headers.read(burst.bytes, first, tables.vectors);
    burst.headers.hash_plain(first, tables.secret, burst.hashes.data());
  }
  if (burst.marked) [[unlikely]]
    send_long_way(burst);
  burst.flows.fill(base::FlowId{});
  burst.open = burst.all();
  burst.tracked = burst.unread = burst.headers.plain;
  burst.ipv6 = burst.goes_on = 0;
  for_each_slot(burst.open & ~burst.headers.plain,
                [&](std::uint32_t slot) { decode_frame(burst, slot, arena, tables); });
  // A loop of its own, as in send_for_flows() (track_stage.cc).
  for (std::uint64_t rest = burst.tracked; rest != 0; rest &= rest - 1) {
    __builtin_prefetch(tables.flows->place_of(burst.hashes[static_cast<std::size_t>(std::countr_zero(rest))]));
  }
}

}  // namespace ringplane::worker
