// The rules one after the other, exactly as pf.conf(5) tells it: the last rule that matches wins, `quick` ends. Slow
// and obvious: it is the oracle of the classifier's tests and the voice of `explain`.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "firewall/decision.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"

namespace ringplane::firewall {

/// The first condition of a rule that a packet does not meet, in the order in which they are tested.
enum class Mismatch : std::uint8_t {
  kNone,  ///< the rule matches
  kInterface,
  kDirection,
  kFamily,
  kProtocol,
  kSource,
  kSourcePort,
  kDestination,
  kDestinationPort,
  kFragment,
  kTcpFlags,
  kIcmpType,
  kIcmpReply,
  kTos,
  kProbability,
  kTag,
  kAnchor,      ///< it stands in an anchor whose conditions are not met
  kNotReached,  ///< a quick rule before it ended the evaluation
};
/// "the source address differs" and the like.
[[nodiscard]] std::string_view sentence_of(Mismatch mismatch) noexcept;

/// Whether the table holds the address: compiled contents and overlay (nullptr: none).
[[nodiscard]] bool table_contains(const Ruleset& ruleset, TableId table, wire::Family family,
                                  const wire::IpAddress& address, const TableOverlay* overlay) noexcept;

/// The rule's own conditions against `key`, whose tag is the current one.
[[nodiscard]] Mismatch test_rule(const Ruleset& ruleset, std::uint32_t index, const MatchKey& key,
                                 const TableOverlay* overlay) noexcept;

/// `overlay`: nullptr if no table was changed at run time.
[[nodiscard]] Decision evaluate(const Ruleset& ruleset, const MatchKey& key, const TableOverlay* overlay) noexcept;

/// As evaluate(), and fills `trace` with one entry per rule of the ruleset.
[[nodiscard]] Decision evaluate_traced(const Ruleset& ruleset, const MatchKey& key, const TableOverlay* overlay,
                                       std::vector<Mismatch>& trace);

}  // namespace ringplane::firewall
