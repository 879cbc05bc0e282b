// pcapng (draft-ietf-opsawg-pcapng): blocks as bytes, in this machine's order. One interface per port, by its number;
// nanoseconds; the verdict of each packet as its comment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/config.h"
#include "control/trace_line.h"

namespace ringplane::control {

/// Section header and interface descriptions.
[[nodiscard]] std::string pcapng_begin(const std::vector<PortConfig>& ports);
/// Enhanced packet block.
[[nodiscard]] std::string pcapng_packet(const TracedPacket& packet);
/// Interface statistics: packets that matched and could not be copied, of all ports, since the beginning.
[[nodiscard]] std::string pcapng_lost(std::uint64_t packets, std::uint64_t wall_ns);

}  // namespace ringplane::control
