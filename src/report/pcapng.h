// pcapng (draft-ietf-opsawg-pcapng): blocks as bytes, in this machine's order. One interface per port, by its number;
// nanoseconds; the verdict of each packet as its comment.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "report/trace_line.h"

namespace ringplane::report {

/// Section header, written by `application`, and interface descriptions.
[[nodiscard]] std::string pcapng_begin(const std::string& application, std::span<const PortNames> ports);
/// Enhanced packet block.
[[nodiscard]] std::string pcapng_packet(const TracedPacket& packet);
/// Interface statistics: packets that matched and could not be copied, of all ports, since the beginning.
[[nodiscard]] std::string pcapng_lost(std::uint64_t packets, std::uint64_t wall_ns);

}  // namespace ringplane::report
