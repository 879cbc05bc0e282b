// Any bytes may come out of a ring. decode() must not read outside them, and what it accepts must hold together: all
// offsets inside the frame, the key canonical, an answer (reply.h) that decodes again; and what the short ways say of
// it (plain_headers.h, plain_ipv4.h) is what the long one says.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/drop_reason.h"
#include "base/vector_width.h"
#include "wire/decode.h"
#include "wire/flow_key.h"
#include "wire/packet.h"
#include "wire/plain_headers.h"
#include "wire/plain_ipv4.h"
#include "wire/reply.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void require_same(const std::vector<std::uint8_t>& frame, ringplane::base::VectorWidth width) {
  namespace wire = ringplane::wire;
  wire::FrameBytes frames;
  frames.count = 1;
  frames.data[0] = frame.data();
  frames.length[0] = static_cast<std::uint32_t>(frame.size());
  frames.zone[0] = 0;
  wire::PlainHeaders headers;
  headers.read(frames, 0, width);
  wire::Packet by_short;
  require((headers.plain & 1) == (wire::PlainIpv4::decode(frame, 0, by_short) ? 1U : 0U));
  if ((headers.plain & 1) == 0) return;
  wire::Packet by_long;
  require(wire::decode_any(frame, 0, by_long) == ringplane::base::DropReason::none);
  require(headers.addresses[0] == by_long.key.packed_ipv4());
  require(headers.ports_and_zone[0] == by_long.key.ports_and_zone());
  require(headers.ip_length[0] == by_long.ip_length && (headers.from_upper & 1) == (by_long.from_upper ? 1U : 0U));
  require(by_short.key == by_long.key && by_short.tcp_flags == by_long.tcp_flags);
  if (!by_long.is_tcp()) return;
  require(headers.seq[0] == by_long.tcp_seq && headers.ack[0] == by_long.tcp_ack);
  require(headers.end[0] == by_long.tcp_seq + by_long.payload_length && headers.window[0] == by_long.tcp_window);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace wire = ringplane::wire;
  const std::vector<std::uint8_t> frame(data, data + size);
  require_same(frame, ringplane::base::VectorWidth::kPlain);
  require_same(frame, ringplane::base::widest_vectors());
  wire::Packet packet;
  if (wire::decode(frame, 0, packet) != ringplane::base::DropReason::none) return 0;
  require(packet.l3_offset <= size && packet.l4_offset <= size);
  require(std::size_t{packet.payload_offset} + packet.payload_length <= size ||
          packet.kind == wire::PacketKind::kFragment);
  wire::FlowKey again = packet.key;
  require(!wire::canonicalize(again) && again == packet.key);
  if (!wire::may_answer(frame, packet)) return 0;
  std::vector<std::uint8_t> room = frame;
  room.resize(size + 512);
  const std::uint32_t length =
      packet.is_tcp() ? wire::turn_into_tcp_reset(room, packet, 64) : wire::turn_into_unreachable(room, packet, 3);
  room.resize(length);
  wire::Packet answer;
  require(wire::decode(room, 0, answer) == ringplane::base::DropReason::none);
  return 0;
}
