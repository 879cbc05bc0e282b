// The ruleset as values: what a pf.conf says after macros, lists, includes and anchors are expanded. Rules stand in the
// order of evaluation, each with one address, one port range, one protocol; nothing here points into the text.
//
// Anchors are laid out flat: the rule of the anchor itself is followed by the rules inside it, up to Anchor::end. If
// the anchor's own conditions fail, evaluation goes on there.
//
// What a ruleset is made of is shared between versions of it: a copy costs little, and so does a copy in which one rule
// or table is another (ruleset_change.h). Rules know nothing of their own position, so that they need not change when
// others come and go before them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/piece_list.h"
#include "firewall/match_key.h"
#include "firewall/table.h"
#include "firewall/table_overlay.h"
#include "firewall/timeouts.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

enum class Action : std::uint8_t { kPass, kBlock, kMatch };
enum class RuleWay : std::uint8_t { kBoth, kIn, kOut };
enum class LogKind : std::uint8_t { kNone, kLog, kLogAll };
enum class StateKind : std::uint8_t { kNone, kKeep };
/// What a block rule answers: nothing; RST to TCP and unreachable to others; RST only; unreachable only.
enum class BlockReturn : std::uint8_t { kDrop, kReturn, kRst, kIcmp };

/// kPrefix: `prefix`; kTable: Ruleset::tables[table], also for `(interface)` and for address ranges.
struct AddressMatch {
  enum class Kind : std::uint8_t { kAny, kPrefix, kTable };
  Kind kind = Kind::kAny;
  bool negated = false;
  wire::Prefix prefix{};
  TableId table = kNoTable;
};

/// Ports `low`..`high`, or all others if negated. The operator is kept for printing.
struct PortMatch {
  enum class Operator : std::uint8_t {
    kAny,
    kEqual,
    kNotEqual,
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual,
    kInside,   ///< a >< b: a < port < b
    kOutside,  ///< a <> b: port < a or port > b
    kRange,    ///< a:b, both included
  };
  Operator op = Operator::kAny;
  std::uint16_t first = 0;  ///< the numbers as written
  std::uint16_t second = 0;

  [[nodiscard]] bool contains(std::uint16_t port) const noexcept {
    switch (op) {
      case Operator::kAny: return true;
      case Operator::kEqual: return port == first;
      case Operator::kNotEqual: return port != first;
      case Operator::kLess: return port < first;
      case Operator::kLessOrEqual: return port <= first;
      case Operator::kGreater: return port > first;
      case Operator::kGreaterOrEqual: return port >= first;
      case Operator::kInside: return port > first && port < second;
      case Operator::kOutside: return port < first || port > second;
      case Operator::kRange: return port >= first && port <= second;
    }
    return false;
  }
  [[nodiscard]] bool operator==(const PortMatch&) const noexcept = default;
};

enum class SourceTrack : std::uint8_t { kNone, kRule, kGlobal };
enum class Flush : std::uint8_t { kNone, kRule, kGlobal };
enum class StatePolicy : std::uint8_t { kFloating, kIfBound };

/// `keep state ( ... )`; 0: no limit.
struct StateOptions {
  std::uint32_t max = 0;
  SourceTrack source_track = SourceTrack::kNone;
  std::uint32_t max_src_nodes = 0;
  std::uint32_t max_src_states = 0;
  std::uint32_t max_src_conn = 0;
  std::uint32_t max_src_conn_rate_count = 0;
  std::uint32_t max_src_conn_rate_seconds = 0;
  TableId overload = kNoTable;
  Flush flush = Flush::kNone;
  std::optional<StatePolicy> policy;  ///< as written; a flow is always bound to its bridge and its sender's side
  TimeoutOverrides timeouts;
};

/// Position in Ruleset::files; line and column count from 1.
struct Location {
  std::uint32_t file = 0;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct Rule {
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::uint64_t kEveryPort = ~std::uint64_t{0};

  Action action = Action::kPass;
  BlockReturn block_return = BlockReturn::kDrop;
  std::uint8_t return_ttl = 0;         ///< of the RST; 0: default
  std::uint8_t return_icmp_code = 3;   ///< destination unreachable (type 3): port
  std::uint8_t return_icmp6_code = 4;  ///< destination unreachable (type 1): port
  RuleWay way = RuleWay::kBoth;
  bool quick = false;
  LogKind log = LogKind::kNone;
  StateKind state = StateKind::kNone;
  bool allow_opts = false;
  bool fragment = false;                      ///< only fragments
  wire::Family family = wire::Family::kNone;  ///< kNone: both
  std::int16_t protocol = -1;                 ///< -1: any; so for the next three
  std::int16_t icmp_type = -1;
  std::int16_t icmp_code = -1;
  std::int16_t tos = -1;
  std::uint8_t tcp_flags = 0;       ///< of the flags in the mask exactly these are set
  std::uint8_t tcp_flags_mask = 0;  ///< 0: any
  bool awaits_load = false;         ///< an anchor without rules of its own, for `load anchor`
  TagId tag = kNoTag;
  TagId tagged = kNoTag;
  bool tagged_negated = false;
  bool interface_negated = false;
  /// The rule applies if random < this; 0: always.
  std::uint32_t probability = 0;
  /// Bit i: port i may match. kEveryPort also matches a packet of no known port.
  std::uint64_t ports = kEveryPort;
  AddressMatch source;
  AddressMatch destination;
  PortMatch source_port;
  PortMatch destination_port;
  std::uint32_t interface_name = kNone;  ///< in Ruleset::names, as written
  std::uint32_t label = kNone;           ///< in Ruleset::names, macros expanded
  std::uint32_t state_options = kNone;   ///< in Ruleset::state_options
  std::uint32_t parent = kNone;          ///< in Ruleset::anchors: which this one stands in; kNone: the main ruleset
  std::uint32_t anchor = kNone;          ///< in Ruleset::anchors, of the rule of an anchor itself
  std::uint32_t anchor_name = kNone;     ///< in Ruleset::names; kNone: unnamed
  Location where{};

  [[nodiscard]] bool is_anchor() const noexcept { return anchor != kNone; }
};

struct Table {
  std::string name;  ///< without <>; of an unnamed one the text it stands for: "(lan)", "10.0.0.1 - 10.0.0.9"
  bool is_named = true;
  bool is_const = false;
  bool is_persist = false;
  bool has_counters = false;
  bool is_defined = false;           ///< false: only used; then it is empty until `overload` fills it
  bool has_list = false;             ///< some contents stand in braces in the rules
  std::string contents{};            ///< as pfctl would print it after the name and attributes
  std::vector<std::string> files{};  ///< paths of those that contents come from
  AddressTable addresses{};
  Location where{};
};

/// Where an anchor is: positions in Ruleset::rules.
struct Anchor {
  std::uint32_t rule = 0;  ///< of the anchor itself
  std::uint32_t end = 0;   ///< behind the last rule inside it
};

/// The tables of a ruleset, each shared with other versions that have the same.
class TableList {
 public:
  class Iterator {
   public:
    // NOLINTBEGIN(readability-identifier-naming): the standard's
    using iterator_category = std::forward_iterator_tag;
    using value_type = Table;
    using difference_type = std::ptrdiff_t;
    using pointer = const Table*;
    using reference = const Table&;
    // NOLINTEND(readability-identifier-naming)
    Iterator() = default;
    explicit Iterator(const std::shared_ptr<const Table>* at) noexcept : at_(at) {}
    const Table& operator*() const noexcept { return **at_; }
    const Table* operator->() const noexcept { return at_->get(); }
    Iterator& operator++() noexcept {
      ++at_;
      return *this;
    }
    Iterator operator++(int) noexcept { return Iterator(at_++); }
    bool operator==(const Iterator&) const noexcept = default;

   private:
    const std::shared_ptr<const Table>* at_ = nullptr;
  };
  [[nodiscard]] std::size_t size() const noexcept { return tables_.size(); }
  [[nodiscard]] bool empty() const noexcept { return tables_.empty(); }
  [[nodiscard]] const Table& operator[](TableId id) const noexcept { return *tables_[id]; }
  [[nodiscard]] const Table& front() const noexcept { return *tables_.front(); }
  [[nodiscard]] Iterator begin() const noexcept { return Iterator(tables_.data()); }
  [[nodiscard]] Iterator end() const noexcept { return Iterator(tables_.data() + tables_.size()); }
  void push_back(Table table) { tables_.push_back(std::make_shared<const Table>(std::move(table))); }
  void replace(TableId id, Table table) { tables_[id] = std::make_shared<const Table>(std::move(table)); }

 private:
  std::vector<std::shared_ptr<const Table>> tables_;
};

/// `set limit`: how many of each there may be.
struct Limits {
  std::uint32_t states = 100'000;
  std::uint32_t src_nodes = 10'000;
  std::uint32_t frags = 65'536;
  std::uint32_t tables = 1'000;
  std::uint32_t table_entries = 200'000;
  bool states_set = false;     ///< false: not written; the configuration decides
  bool src_nodes_set = false;  ///< likewise
};

/// The `set` options.
struct Options {
  Timeouts timeouts;  ///< presets and single values applied; adaptive.* follow the limit on states unless set
  std::uint32_t timeouts_set = 0;  ///< bit i: Timeout i was written (or comes from a preset)
  Limits limits;
  BlockReturn block_policy = BlockReturn::kDrop;
  std::uint64_t skip = 0;            ///< bit i: rules are not evaluated for port i
  std::vector<std::string> printed;  ///< each `set` as pfctl prints it
};

struct Ruleset {
  base::PieceList<Rule> rules;
  std::vector<Anchor> anchors;  ///< each behind the one it stands in
  TableList tables;
  base::PieceList<StateOptions> state_options;
  base::PieceList<std::string> names;   ///< interfaces, labels, anchors
  base::PieceList<std::string> tags;    ///< [0] is "", the missing tag
  std::vector<std::string> port_names;  ///< by PortId; "" where the id is not used
  bool ports_are_complete = false;      ///< there are no ports but these
  base::PieceList<std::string> files;   ///< by Location::file
  Options options;

  [[nodiscard]] const Rule& rule(base::RuleId id) const noexcept { return rules[id.value]; }
  /// "" if it has none.
  [[nodiscard]] std::string_view label_of(const Rule& rule) const noexcept;
  [[nodiscard]] std::optional<base::PortId> find_port(std::string_view name) const noexcept;
  [[nodiscard]] std::optional<TableId> find_table(std::string_view name) const noexcept;
  [[nodiscard]] std::optional<TagId> find_tag(std::string_view name) const noexcept;
  /// "ssh/inner" for a rule inside nested anchors; "" in the main ruleset.
  [[nodiscard]] std::string anchor_path(const Rule& rule) const;
  /// "pf.conf:12".
  [[nodiscard]] std::string place_of(const Rule& rule) const;
  /// The options of a rule that keeps state, nullptr if it names none.
  [[nodiscard]] const StateOptions* state_options_of(const Rule& rule) const noexcept {
    return rule.state_options == Rule::kNone ? nullptr : &state_options[rule.state_options];
  }
};

/// The rule as pfctl prints it after expansion, e.g. "pass in on lan inet proto tcp from 10.0.0.0/8 to any port = ssh
/// flags S/SA keep state". Anchors print with their conditions only.
[[nodiscard]] std::string text_of(const Ruleset& ruleset, const Rule& rule);
[[nodiscard]] std::string text_of(const Table& table);

}  // namespace ringplane::firewall
