// Any bytes may come out of a ring. decode() must not read outside them, and what it accepts must hold together: all
// offsets inside the frame, the key canonical, an answer (reply.h) that decodes again.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/drop_reason.h"
#include "wire/decode.h"
#include "wire/flow_key.h"
#include "wire/packet.h"
#include "wire/reply.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace wire = ringplane::wire;
  const std::vector<std::uint8_t> frame(data, data + size);
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
