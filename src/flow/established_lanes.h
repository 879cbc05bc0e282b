// established.h for sixteen packets of a burst at a time: their flows are laid side by side, judged and moved on
// without a branch, and written back. The same conditions and the same results (established_lanes_test.cc holds the two
// to each other). With AVX-512 only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "base/vector_width.h"
#include "flow/flow.h"
#include "flow/timeouts.h"
#include "wire/plain_headers.h"

namespace ringplane::flow {

/// A burst on the short way.
struct EstablishedBurst {
  const wire::PlainHeaders& headers;
  std::uint64_t second_side;             ///< bit i: packet i came in by the second port of its domain
  std::span<const base::FlowId> likely;  ///< by packet, from FlowTable::look_up(); on a border of 64 bytes
  std::uint16_t generation;
  Tick now;
};

/// Bit i speaks of packet first + i.
struct EstablishedLanes {
  std::uint16_t tracked = 0;  ///< passes, and its flow has moved on; the others are left as they were
  std::uint16_t bytes_carry = 0;
  std::uint16_t packets_carry = 0;

  /// Judges those of packets [first, first + 16) that `wanted` names: each plain, with a likely flow of its own among
  /// these sixteen. `paths[i]`: of the flow of packet first + i, if it was tracked. `flows`: the table's records;
  /// `spare`: one more, for what is not wanted.
  static EstablishedLanes step(const EstablishedBurst& burst, std::size_t first, std::uint16_t wanted, Flow* flows,
                               Flow* spare, base::RulePathId* paths) noexcept;

  /// Of sixteen flows, those that stand there for the first time; by any width.
  [[nodiscard]] static std::uint16_t first_of_kind(const base::FlowId* sixteen, base::VectorWidth width) noexcept;
};

}  // namespace ringplane::flow
