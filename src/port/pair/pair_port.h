// Pair: two ports joined in memory, for tests, benchmarks and processes with a stage on each side. What one end
// transmits on queue i, the other end receives on queue i, in order. Frames move by descriptor over one SPSC ring for
// each direction; their bytes stay where they are, so both ends stand on the same arena.
//
// Ownership: a frame received here mostly belongs to the pool of the other end. The receiver owns it like any frame
// and, when it is done with it, mails it home (or, if both ends run on one thread, gives it to the pool that owns()
// it). A full ring makes transmit() take fewer. Frames still under way when an end closes come out of that end's
// close(). Threads: each end's queue belongs to one thread; the two may differ. Closing is safe at any time from the
// own end.
#pragma once

#include <cstdint>
#include <memory>

#include "base/ids.h"
#include "port/port.h"

namespace ringplane::port {

struct PairOptions {
  base::PortId first_id{0};         ///< Frame::port of what the first end receives
  base::PortId second_id{1};        ///< and the second
  std::uint32_t queues = 1;         ///< of each end
  std::uint32_t ring_slots = 1024;  ///< of each direction of each queue; rounded up to a power of two
  std::uint32_t mtu = 1500;         ///< bytes after the Ethernet header; told, not enforced
  MacAddress first_mac{0x02, 0, 0, 0, 0, 0x01};
  MacAddress second_mac{0x02, 0, 0, 0, 0, 0x02};
};

struct PortPair {
  std::unique_ptr<Port> first;
  std::unique_ptr<Port> second;
};

/// The ends may be destroyed in any order. `first_mac` and `second_mac` are what the ends call themselves.
[[nodiscard]] PortPair make_pair_ports(const PairOptions& options);

}  // namespace ringplane::port
