// `explain` and `test`: a packet in one line of words, its way through the rules, and an account that a person reads.
//
//   in on lan proto tcp from 10.0.0.5 port 40000 to 192.0.2.10 port 22 flags S
//   in on lan out on wan inet6 proto icmp6 from 2001:db8::1 to 2001:db8::2 icmp-type echoreq expect pass by "ping"
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "firewall/decision.h"
#include "firewall/diagnostic.h"
#include "firewall/linear.h"
#include "firewall/match_key.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"

namespace ringplane::firewall {

struct PacketLine {
  std::uint32_t line = 0;  ///< in its file, from 1
  std::string text;        ///< without comment and surrounding blanks
  /// Evaluated one after the other; the second (out) receives the tag that the first left.
  std::vector<MatchKey> steps;
  std::optional<Action> expect;  ///< `expect pass` or `expect block`
  std::string expect_label;      ///< `by "label"`; "": any
};

/// One line of words. `file` and `line` are for the diagnostic only.
[[nodiscard]] std::expected<PacketLine, Diagnostic> parse_packet_line(std::string_view text, const Ruleset& ruleset,
                                                                      std::string_view file = "packet",
                                                                      std::uint32_t line = 1);

struct TestFile {
  std::vector<PacketLine> lines;
  std::vector<Diagnostic> diagnostics;
};
/// A file of such lines; empty lines and `#` comments are left out. Each line must say what it expects.
[[nodiscard]] TestFile parse_test_file(const SourceText& source, const Ruleset& ruleset);

/// One rule's part in one evaluation.
struct RuleAccount {
  base::RuleId rule;
  Mismatch mismatch = Mismatch::kNone;
};

struct StepAccount {
  MatchKey key;
  Decision decision{};
  base::DropReason drop_reason = base::DropReason::none;
  std::vector<RuleAccount> overridden{};    ///< matched, but a later rule decided; `match` rules and anchors too
  std::vector<RuleAccount> not_matching{};  ///< with the first condition that failed
  std::vector<RuleAccount> not_reached{};
};

struct Explanation {
  std::vector<StepAccount> steps;  ///< ends with the first step that blocks
  bool passes = false;
  /// The step that decided: the last one.
  [[nodiscard]] const StepAccount& deciding() const noexcept { return steps.back(); }
};

/// `line.steps` is not empty.
[[nodiscard]] Explanation explain(const Ruleset& ruleset, const PacketLine& line);
/// Several lines for a person, without a newline at the end.
[[nodiscard]] std::string to_text(const Ruleset& ruleset, const Explanation& explanation);
/// Whether the line's expectation holds; if not, `why` (if not null) is set to a sentence.
[[nodiscard]] bool expectation_holds(const Ruleset& ruleset, const PacketLine& line, const Explanation& explanation,
                                     std::string* why);

}  // namespace ringplane::firewall
