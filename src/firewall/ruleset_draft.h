// The ruleset while a text is being read: interned names, interfaces and their addresses, tables still open, macros,
// the texts themselves and all that was found wrong with them. One per parse(), used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "firewall/diagnostic.h"
#include "firewall/lexer.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"
#include "firewall/table.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

/// Thrown after an error was reported, to leave the statement it stands in; caught where statements are separated.
struct StatementAbandoned {};

/// A `load anchor NAME from FILE`, read, waiting for its anchor.
struct LoadedAnchor {
  std::string path;
  std::vector<Rule> rules{};
  Location where;
};

class RulesetDraft {
 public:
  explicit RulesetDraft(const Environment& given);

  // Texts and what is wrong with them.
  /// Takes the text over; the Location::file of its tokens.
  std::uint32_t add_source(SourceText source);
  [[nodiscard]] const SourceText& source(std::uint32_t file) const { return sources_[file]; }
  void report(Severity severity, Location where, std::string sentence);
  [[noreturn]] void fail(Location where, std::string sentence);
  /// Reads a file named in source `where.file`; fails if it cannot.
  [[nodiscard]] SourceText read_file(std::string_view path, Location where);

  // Names.
  [[nodiscard]] std::uint32_t intern(std::string_view name);
  [[nodiscard]] TagId tag(std::string_view name, Location where);

  // Interfaces. An unknown one is numbered, or an error if the environment is complete.
  [[nodiscard]] std::uint64_t port_mask(std::string_view interface, Location where);
  [[nodiscard]] bool is_interface(std::string_view name) const;
  /// Of an interface, a group, "self" or "localhost"; empty: none known.
  [[nodiscard]] std::vector<KnownPort::Address> addresses_of(std::string_view name) const;

  // Tables.
  [[nodiscard]] TableId named_table(std::string_view name, Location where);
  /// For one rule's `(interface)` or address range; equal texts share one table.
  [[nodiscard]] TableId unnamed_table(const std::string& text, const std::vector<wire::Prefix>& prefixes);
  void add_entries(TableId table, const std::vector<TableEntry>& entries);
  /// Compiles the tables into the ruleset, checks that they are within `set limit`.
  void close_tables();

  /// More rules than this after expansion are an error.
  void check_rule_limit(std::size_t more, Location where);

  Environment environment;
  Ruleset ruleset;
  std::vector<Table> tables{};  ///< until close_tables()
  MacroTable macros;
  std::deque<std::string> words;
  std::vector<LoadedAnchor> loaded_anchors;
  /// `set state-defaults`; nullopt-like: index into ruleset.state_options, Rule::kNone: not set.
  std::uint32_t state_defaults = Rule::kNone;
  unsigned include_depth = 0;
  std::vector<Diagnostic> diagnostics;
  std::size_t rules_made = 0;

 private:
  static constexpr std::size_t kMaxDiagnostics = 1000;

  [[nodiscard]] const KnownPort* find_known(std::string_view name) const;

  std::deque<SourceText> sources_;
  std::unordered_map<std::string_view, std::uint32_t> name_index_;
  std::deque<std::string> name_keys_;
  std::vector<std::vector<TableEntry>> table_entries_;
  std::unordered_map<std::string, TableId> table_index_;  // unnamed tables under " " + text
  DiskFiles disk_;
};

}  // namespace ringplane::firewall
