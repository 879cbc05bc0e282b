// Strong ids: an index that cannot be mistaken for another kind of index.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace ringplane::base {

template <class Tag, class Integer>
struct Id {
  Integer value = kNoneValue;
  static constexpr Integer kNoneValue = std::numeric_limits<Integer>::max();

  [[nodiscard]] constexpr bool valid() const noexcept { return value != kNoneValue; }
  [[nodiscard]] constexpr auto operator<=>(const Id&) const noexcept = default;
};

/// Index of a port in the configuration, in order of appearance; 0xff: none.
using PortId = Id<struct PortTag, std::uint8_t>;
/// Index of a worker; 0xff: none.
using WorkerId = Id<struct WorkerTag, std::uint8_t>;
/// Index of a rule in its ruleset, in order of evaluation; 0xffffffff: no rule matched (the implicit pass).
using RuleId = Id<struct RuleTag, std::uint32_t>;
/// Index of a pair of rules (ingress, egress) in its worker's list of such pairs; 0xffffffff: none.
using RulePathId = Id<struct RulePathTag, std::uint32_t>;
/// Index of a flow's record in its worker's table; 0xffffffff: none.
using FlowId = Id<struct FlowTag, std::uint32_t>;

/// Port ids are below this, so a set of ports is one 64-bit word.
inline constexpr std::uint8_t kMaxPorts = 64;
inline constexpr std::uint8_t kMaxWorkers = 32;

}  // namespace ringplane::base
