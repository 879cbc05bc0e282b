// Traffic of known TCP connections: which ones there are, and the frames of each at any point of its life. A connection
// is a few bytes here; its frames are made from a template when they are sent, headers and checksum complete, so that
// the data plane parses real bytes and every packet can be told by its addresses.
//
// The client of every connection is on the first port, the server on the second. Sequence numbers follow from the
// connection's number, so that conntrack's window check has something to check.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "firewall/ruleset.h"
#include "wire/packet.h"

namespace ringplane::bench {

/// Addresses and ports in host order.
struct Connection {
  std::uint32_t client = 0;
  std::uint32_t server = 0;
  std::uint16_t client_port = 0;
  std::uint16_t server_port = 0;
};
static_assert(sizeof(Connection) == 12);

/// One segment in the life of a connection, in this order.
enum class Step : std::uint8_t { kSyn, kSynAck, kAck, kData, kReplyData, kFin, kFinAck, kLastAck };
[[nodiscard]] constexpr bool from_client(Step step) noexcept {
  return step != Step::kSynAck && step != Step::kReplyData && step != Step::kFinAck;
}

/// `count` different TCP connections that the rules let pass: each a random point of a random passing rule that can
/// hold of TCP over IPv4 (of any connection, if there are no such rules). Seeded. Fails if the rules leave too few.
[[nodiscard]] base::Result<std::vector<Connection>> make_connections(const firewall::Ruleset& ruleset,
                                                                     std::uint64_t count, std::uint64_t seed);

/// Bytes of every frame: the smallest that Ethernet has, without FCS.
inline constexpr std::uint32_t kFrameBytes = 60;

/// Writes frames into buffers of at least 64 bytes.
class FrameWriter {
 public:
  FrameWriter() noexcept;
  void write(std::uint8_t* to, const Connection& connection, Step step) const noexcept;

 private:
  std::array<std::array<std::uint8_t, 64>, 8> templates_;  // by Step
  std::array<std::uint32_t, 8> sums_;                      // of the IPv4 header without addresses
};

/// A number that depends on the addresses and ports of a frame made by FrameWriter, whichever way it goes; the sum over
/// all frames sent must be that over all received.
[[nodiscard]] std::uint64_t fingerprint(const std::uint8_t* frame) noexcept;

}  // namespace ringplane::bench
