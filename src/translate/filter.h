// A packet filter of Linux as values: what iptables-save and nft print, in the terms that both share. The readers
// (iptables_save.h, nft_json.h) fill it, pf_writer.h writes it down as pf.conf.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::translate {

/// One rule of the input as its author knows it. What has a `refusal` is not translated, and this sentence says why.
struct Statement {
  std::string where{};  ///< "line 12", "handle 7"
  std::string text{};   ///< the rule itself
  std::string refusal{};
};

/// Names of interfaces, any of which matches; empty: any interface.
struct InterfaceCondition {
  std::vector<std::string> names{};
  bool negated = false;
};

/// Prefixes and tables, any of which matches; empty: any address.
struct AddressCondition {
  std::vector<wire::Prefix> prefixes{};
  std::vector<std::string> tables{};
  bool negated = false;
  [[nodiscard]] bool is_any() const noexcept { return prefixes.empty() && tables.empty(); }
};

/// Ranges with both ends, in order, apart from each other.
using PortRanges = std::vector<std::pair<std::uint16_t, std::uint16_t>>;

/// (flags & mask) == value.
struct FlagsCondition {
  std::uint8_t mask = 0;
  std::uint8_t value = 0;
};

struct IcmpCondition {
  std::uint8_t type = 0;
  std::int16_t code = -1;  ///< -1: any
};

/// What conntrack says of a packet, as bits of a set.
enum ConnectionState : std::uint8_t { kNew = 1, kEstablished = 2, kRelated = 4, kInvalid = 8, kUntracked = 16 };

enum class Verdict : std::uint8_t { kNone, kAccept, kDrop, kReject, kReturn, kJump, kGoto };

/// What a rejected packet is answered with; codes of "destination unreachable".
struct Answer {
  enum class Kind : std::uint8_t { kIcmp, kReset };
  Kind kind = Kind::kIcmp;
  std::uint8_t code = 3;
  std::uint8_t code6 = 4;
};

/// All conditions must hold; of a list, any one. Empty lists ask nothing.
struct FilterRule {
  std::size_t statement = 0;  ///< index into Filter::statements; several rules may come of one
  wire::Family family = wire::Family::kNone;
  std::vector<std::uint8_t> protocols{};
  AddressCondition source{};
  AddressCondition destination{};
  PortRanges source_ports{};
  PortRanges destination_ports{};
  InterfaceCondition in{};
  InterfaceCondition out{};
  std::vector<FlagsCondition> flags{};
  std::vector<IcmpCondition> icmp{};
  std::uint8_t states = 0;  ///< set of ConnectionState; 0: not asked
  bool fragment = false;    ///< only fragments but the first
  std::int16_t tos = -1;
  std::string probability{};  ///< as pf writes it: "30%"
  std::string limit{};        ///< options of keep state
  bool log = false;
  std::string label{};
  bool never = false;  ///< the conditions exclude each other
  Verdict verdict = Verdict::kNone;
  Answer answer{};
  std::string target{};  ///< of kJump and kGoto: a chain of the same Filter
};

enum class Hook : std::uint8_t { kNone, kInput, kForward, kOutput };

struct Chain {
  std::string name{};  ///< unique: with its table where there are several
  Hook hook = Hook::kNone;
  bool accepts = true;                        ///< the policy of a chain with a hook
  bool bridged = false;                       ///< of the bridge family: no router stood there
  wire::Family family = wire::Family::kNone;  ///< of all that comes here
  std::vector<FilterRule> rules{};
};

struct AddressTable {
  struct Entry {
    wire::Prefix prefix{};
    bool negated = false;
  };
  std::string name{};
  std::vector<Entry> entries{};
  std::string note{};      ///< what its user should know
  bool is_defined = true;  ///< false: only its name is known here
};

struct Filter {
  std::vector<Statement> statements{};
  std::vector<Chain> chains{};  ///< those with hooks in the order the kernel asks them
  std::vector<AddressTable> tables{};
};

// --- conditions ------------------------------------------------------------------------------------------------------

using wire::protocol::kTcp;
using wire::protocol::kUdp;

/// The protocol number of ICMP over `family`; of IPv4's where none is known.
[[nodiscard]] constexpr std::uint8_t icmp_of(wire::Family family) noexcept {
  return family == wire::Family::kIpv6 ? wire::protocol::kIcmp6 : wire::protocol::kIcmp;
}
/// A name that pf takes for a table as it is: 1 to 31 letters, digits, '_', '-', '.'; first a letter or '_'.
[[nodiscard]] bool is_table_name(std::string_view name) noexcept;
/// All ports outside of `ranges`.
[[nodiscard]] PortRanges complement_of(const PortRanges& ranges);
/// In order, and those that touch as one.
[[nodiscard]] PortRanges sorted(PortRanges ranges);
[[nodiscard]] PortRanges common_of(const PortRanges& first, const PortRanges& second);

/// Narrow a rule further; one that can no longer match is marked `never`.
void narrow_ports(FilterRule& rule, PortRanges FilterRule::* side, const PortRanges& wanted);
void narrow_protocols(FilterRule& rule, std::vector<std::uint8_t> protocols);
void narrow_family(FilterRule& rule, wire::Family family);
void narrow_flags(FilterRule& rule, FlagsCondition flags, bool negated);
/// Narrows by what the conditions and the answer say without saying it: addresses the family, flags and a reset TCP.
void settle(FilterRule& rule);

}  // namespace ringplane::translate
