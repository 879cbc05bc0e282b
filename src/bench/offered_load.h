// OfferedLoad: packets that come by a wire at rates of their own, whether the worker keeps up or not: data of
// established connections, and SYNs of sources that were never seen. Time is the worker's: while it works for a
// nanosecond, a nanosecond's worth of both arrives in its receive ring, in turn, as on one wire; what finds the ring
// full is lost, and nobody asks what it was.
#pragma once

#include <cstdint>
#include <span>

#include "base/random.h"
#include "bench/rig.h"
#include "bench/traffic.h"

namespace ringplane::bench {

class OfferedLoad {
 public:
  /// Packets a nanosecond.
  struct Rates {
    double established = 0;
    double syns = 0;
  };
  struct Seen {
    std::uint64_t ns = 0;  ///< of the worker
    std::uint64_t offered = 0;
    std::uint64_t taken = 0;  ///< that found room in the ring
    std::uint64_t out = 0;    ///< that came out of the other port
    std::uint64_t syns_offered = 0;
    std::uint64_t syns_out = 0;
  };

  /// The first `established` of `connections` are; the others are the flood's. `now_ns`: where the worker's clock goes
  /// on from.
  OfferedLoad(Rig& rig, std::span<const Connection> connections, std::uint64_t established, std::uint64_t seed,
              std::uint64_t now_ns)
      : rig_(rig),
        connections_(connections),
        established_(established),
        next_source_(established),
        now_ns_(now_ns),
        random_(seed) {}

  /// Adds what a stretch of `ns` shows to `seen`; afterwards the ring is empty.
  void run(const Rates& rates, std::uint64_t ns, Seen& seen);

 private:
  void arrive(const Rates& rates, std::uint64_t elapsed_ns, Seen& seen);
  void turn(Seen& seen);

  Rig& rig_;
  std::span<const Connection> connections_;
  std::uint64_t established_;
  std::uint64_t next_source_;
  std::uint64_t now_ns_;
  std::uint64_t arrived_ = 0;  // of this stretch
  std::uint64_t syns_arrived_ = 0;
  base::Random random_;
  FrameWriter writer_;
};

}  // namespace ringplane::bench
