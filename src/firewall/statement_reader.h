// Reads the statements of one text, one token ahead, into a RulesetDraft. An error abandons its statement only; reading
// goes on at the next line, so that all errors are found. The .cc files follow the statements of pf.conf(5):
// parser.cc (macros, include, anchors), rule_parser.cc, host_parser.cc, option_parser.cc, table_parser.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "firewall/lexer.h"
#include "firewall/rule_expander.h"
#include "firewall/ruleset.h"
#include "firewall/ruleset_draft.h"

namespace ringplane::firewall {

class StatementReader {
 public:
  /// Reads source `file` of the draft; rules go to the end of `rules`.
  StatementReader(RulesetDraft& draft, std::uint32_t file, std::vector<Rule>& rules);
  void read_all();

  static constexpr unsigned kMaxIncludeDepth = 16;
  static constexpr unsigned kMaxAnchorDepth = 64;

 private:
  // Tokens.
  [[nodiscard]] const Token& token() const noexcept { return token_; }
  Token take();
  /// Takes the token if it is that word or symbol.
  bool take_if(std::string_view text);
  void expect(std::string_view symbol);
  [[noreturn]] void fail(const Token& at, std::string sentence) { draft_.fail(at.where, std::move(sentence)); }
  [[noreturn]] void unexpected(std::string_view wanted);
  /// A word, a number or a quoted text.
  [[nodiscard]] Token take_text(std::string_view wanted);
  [[nodiscard]] std::uint32_t take_number(std::string_view wanted, std::uint64_t max = 0xffffffff);
  void skip_newlines();
  void end_statement();
  /// After an error: on to the end of the statement, or of the list that spans lines.
  void resynchronise();
  /// Calls `item` for the one item that stands here, or for each of `{ item [,] item ... }`.
  template <class Item>
  void one_or_list(Item item);

  // Statements.
  void read_block(bool inside_anchor);
  void read_statement();
  void read_macro();
  void read_include();
  void read_load_anchor();
  void read_anchor();
  void read_anchor_body(RuleStatement& statement);
  void read_rule(Action action);
  void read_antispoof();
  void read_table();
  void read_table_file(TableId table);
  void read_set();
  void refuse_old_statement();

  // Rules.
  void read_block_return(RuleStatement& statement);
  void read_icmp_codes(RuleStatement& statement);
  void read_direction(RuleStatement& statement);
  void read_log_and_quick(RuleStatement& statement);
  void read_log_options(RuleStatement& statement);
  void read_conditions(RuleStatement& statement);
  void read_interfaces(std::vector<InterfaceItem>& interfaces);
  void read_family(RuleStatement& statement);
  void read_protocols(RuleStatement& statement);
  void read_filter_options(RuleStatement& statement);
  bool read_filter_option(RuleStatement& statement);
  bool read_match_option(RuleStatement& statement);
  void read_flags(RuleStatement& statement);
  void read_icmp_types(RuleStatement& statement);
  void read_tos(RuleStatement& statement);
  void read_probability(RuleStatement& statement);
  void read_state(RuleStatement& statement);
  [[nodiscard]] std::uint32_t read_state_options();
  [[nodiscard]] std::uint32_t read_state_options_without_parentheses();
  void read_state_option(StateOptions& options);
  bool read_source_option(StateOptions& options);
  void finish_state_options(StateOptions& options, const Token& at);
  void refuse_feature();

  // Addresses and ports.
  void read_from_to(RuleStatement& statement);
  void read_hosts(std::vector<HostItem>& hosts);
  void read_host(std::vector<HostItem>& hosts);
  void read_interface_address(std::vector<HostItem>& hosts, bool negated);
  /// One address, prefix, range or interface; of an interface several. `text`: as written.
  struct HostText {
    std::vector<wire::Prefix> prefixes;
    std::string range;  ///< != "": the prefixes stand for this range
  };
  [[nodiscard]] HostText read_address(bool inside_table);
  [[nodiscard]] std::vector<wire::Prefix> resolve(const Token& name, int length);
  [[nodiscard]] int read_prefix_length();
  void read_range_end(const Token& first, HostText& host);
  void read_ports(std::vector<PortMatch>& ports);
  [[nodiscard]] PortMatch read_port();
  [[nodiscard]] std::uint16_t service(const Token& at, std::string_view name);
  [[nodiscard]] TableId read_table_name();

  // Options.
  void read_set_timeout();
  void read_set_limit();
  void read_set_skip();
  void read_set_policy(std::string_view option);
  void accept_without_effect(std::string_view option);
  void warn_of_state_policy(Location where);
  void warn_of_idle_timeout(Timeout timeout, Location where);
  void note_option(std::string text) { draft_.ruleset.options.printed.push_back(std::move(text)); }

  RulesetDraft& draft_;
  std::vector<Rule>* rules_;
  Lexer lexer_;
  std::uint32_t file_;
  Token token_;
  Token statement_start_;
  bool opened_anchor_ = false;   // the statement's last token before its line end is the `{` of an anchor
  bool explicit_track_ = false;  // the state options being read say "source-track rule" or "source-track global"
  unsigned list_depth_ = 0;
  unsigned anchor_depth_ = 0;
};

template <class Item>
void StatementReader::one_or_list(Item item) {
  if (!token_.is_symbol('{')) {
    item();
    return;
  }
  take();
  ++list_depth_;
  skip_newlines();
  if (token_.is_symbol('}')) fail(token_, "the list is empty");
  while (!token_.is_symbol('}')) {
    item();
    take_if(",");
    skip_newlines();
  }
  --list_depth_;
  take();
}

}  // namespace ringplane::firewall
