#include "firewall/parser.h"

#include <stdio.h>  // NOLINT(modernize-deprecated-headers): fileno is POSIX, not in cstdio

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <sys/stat.h>

#include "base/piece_list.h"
#include "firewall/diagnostic.h"
#include "firewall/lexer.h"
#include "firewall/names.h"
#include "firewall/rule_expander.h"
#include "firewall/rule_text.h"
#include "firewall/ruleset.h"
#include "firewall/ruleset_draft.h"
#include "firewall/statement_reader.h"
#include "firewall/timeouts.h"

namespace ringplane::firewall {
namespace {

/// Words that begin a statement: where a list that was never closed must have ended.
constexpr std::string_view kStatementWords[] = {
    "pass", "block", "match", "anchor", "antispoof", "set",   "table",      "include",    "load",        "nat",
    "rdr",  "binat", "no",    "scrub",  "altq",      "queue", "nat-anchor", "rdr-anchor", "binat-anchor"};

bool is_statement_word(const Token& token) {
  return token.kind == TokenKind::kWord && std::ranges::find(kStatementWords, token.text) != std::end(kStatementWords);
}

struct OldForm {
  std::string_view word;
  std::string_view sentence;
};
constexpr OldForm kOldForms[] = {
    {"nat", "not yet: nat-to ('nat on IF ... -> A' is the old form of 'match out on IF ... nat-to A')"},
    {"rdr", "not yet: rdr-to ('rdr on IF ... -> A' is the old form of 'match in on IF ... rdr-to A')"},
    {"binat", "not yet: binat-to ('binat on IF ... -> A' is the old form of 'match on IF ... binat-to A')"},
    {"scrub", "not yet: scrub ('scrub in ...' is the old form of 'match in ... scrub (...)')"},
    {"altq",
     "does not apply here: altq ('altq on IF' is the old form of 'queue ... on IF', which is not yet supported)"},
    {"queue", "not yet: queue"},
    {"nat-anchor", "not yet: nat-to ('nat-anchor' is an old form: an 'anchor' holds all rules today)"},
    {"rdr-anchor", "not yet: rdr-to ('rdr-anchor' is an old form: an 'anchor' holds all rules today)"},
    {"binat-anchor", "not yet: binat-to ('binat-anchor' is an old form: an 'anchor' holds all rules today)"},
};

/// Replaces the $macros of a label by what the expanded rule says.
std::string expand_label(const Ruleset& ruleset, const Rule& rule, std::uint32_t index) {
  const auto interface = [&]() -> std::string {
    return rule.interface_name == Rule::kNone ? "any" : ruleset.names[rule.interface_name];
  };
  std::string_view rest = ruleset.names[rule.label];
  std::string out;
  while (!rest.empty()) {
    const auto replace = [&](std::string_view macro, const auto& value) {
      if (!rest.starts_with(macro)) return false;
      out += value();
      rest.remove_prefix(macro.size());
      return true;
    };
    const auto port = [](const PortMatch& match) {
      const std::string text = port_text(match, -1);
      return text.starts_with("= ") ? text.substr(2) : text;
    };
    if (replace("$srcaddr", [&] { return address_text(ruleset, rule.source); }) ||
        replace("$dstaddr", [&] { return address_text(ruleset, rule.destination); }) ||
        replace("$srcport", [&] { return port(rule.source_port); }) ||
        replace("$dstport", [&] { return port(rule.destination_port); }) ||
        replace("$proto",
                [&] {
                  return rule.protocol < 0 ? std::string() : protocol_name(static_cast<std::uint8_t>(rule.protocol));
                }) ||
        replace("$if", interface) || replace("$nr", [&] { return std::to_string(index); })) {
      continue;
    }
    out += rest.front();
    rest.remove_prefix(1);
  }
  return out;
}

/// Puts the rules of `load anchor` into the anchors that wait for them, and numbers the anchors.
class Assembly {
 public:
  Assembly(RulesetDraft& draft, const std::vector<Rule>& rules) : draft_(draft), from_(rules) {
    out_.reserve(rules.size());
  }

  void run() {
    used_.assign(draft_.loaded_anchors.size(), false);
    append(from_, 0, from_.size(), "", Rule::kNone);
    draft_.ruleset.rules = base::PieceList<Rule>(std::move(out_));
    for (std::size_t i = 0; i < used_.size(); ++i) {
      const LoadedAnchor& loaded = draft_.loaded_anchors[i];
      if (!used_[i]) {
        draft_.report(
            Severity::kError, loaded.where,
            fmt::format("'load anchor' names '{}', but there is no such anchor without rules of its own", loaded.path));
      }
    }
    expand_labels();
  }

 private:
  void append(const std::vector<Rule>& from, std::size_t first, std::size_t end, const std::string& path,
              std::uint32_t parent) {
    for (std::size_t i = first; i < end;) {
      const std::size_t next = i + 1 + (from[i].is_anchor() ? from[i].anchor : 0);
      out_.push_back(from[i]);
      out_.back().parent = parent;
      if (from[i].is_anchor()) append_anchor(from, i, next, inner_path(path, from[i]));
      i = next;
    }
  }

  /// What is inside the anchor that was appended last: [first + 1, end).
  void append_anchor(const std::vector<Rule>& from, std::size_t first, std::size_t end, const std::string& path) {
    const auto number = static_cast<std::uint32_t>(draft_.ruleset.anchors.size());
    draft_.ruleset.anchors.push_back({.rule = static_cast<std::uint32_t>(out_.size() - 1)});
    out_.back().anchor = number;
    if (++nesting_ > StatementReader::kMaxAnchorDepth) {
      draft_.report(Severity::kError, from[first].where, "anchors are nested more than 64 deep");
    } else if (from[first].awaits_load) {
      append_loaded(path, number, from[first].where);
    } else {
      append(from, first + 1, end, path, number);
    }
    --nesting_;
    draft_.ruleset.anchors[number].end = static_cast<std::uint32_t>(out_.size());
  }

  [[nodiscard]] std::string inner_path(const std::string& path, const Rule& anchor) const {
    if (anchor.anchor_name == Rule::kNone) return path + "/_";
    const std::string& name = draft_.ruleset.names[anchor.anchor_name];
    return path.empty() ? name : path + "/" + name;
  }

  void append_loaded(const std::string& path, std::uint32_t anchor, Location where) {
    bool found = false;
    for (std::size_t i = 0; i < draft_.loaded_anchors.size(); ++i) {
      const LoadedAnchor& loaded = draft_.loaded_anchors[i];
      if (loaded.path != path) continue;
      found = used_[i] = true;
      if (out_.size() + loaded.rules.size() > draft_.environment.max_rules) {
        draft_.report(Severity::kError, loaded.where, "the anchors hold too many rules together");
        return;
      }
      append(loaded.rules, 0, loaded.rules.size(), path, anchor);
    }
    if (!found) {
      draft_.report(Severity::kError, where,
                    fmt::format("not yet: anchors that are filled at run time; give '{}' its rules in braces or by "
                                "'load anchor'",
                                path));
    }
  }

  void expand_labels() {
    for (std::uint32_t i = 0; i < draft_.ruleset.rules.size(); ++i) {
      const Rule& rule = draft_.ruleset.rules[i];
      if (rule.label == Rule::kNone || draft_.ruleset.names[rule.label].find('$') == std::string::npos) continue;
      const std::uint32_t label = draft_.intern(expand_label(draft_.ruleset, rule, i));
      draft_.ruleset.rules.writable(i).label = label;
    }
  }

  RulesetDraft& draft_;
  const std::vector<Rule>& from_;
  std::vector<Rule> out_;
  std::vector<bool> used_;
  unsigned nesting_ = 0;
};

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { (void)std::fclose(file); }
};

}  // namespace

StatementReader::StatementReader(RulesetDraft& draft, std::uint32_t file, std::vector<Rule>& rules)
    : draft_(draft), rules_(&rules), lexer_(draft.source(file).text, file, draft.macros, draft.words), file_(file) {
  token_ = lexer_.next();
}

Token StatementReader::take() {
  Token taken = token_;
  if (taken.kind == TokenKind::kError) fail(taken, std::string(taken.text));
  token_ = lexer_.next();
  return taken;
}

bool StatementReader::take_if(std::string_view text) {
  if (!token_.is(text)) return false;
  take();
  return true;
}

void StatementReader::unexpected(std::string_view wanted) {
  if (token_.kind == TokenKind::kError) fail(token_, std::string(token_.text));
  if (token_.ends_statement()) fail(token_, fmt::format("{} is missing", wanted));
  fail(token_, fmt::format("unexpected '{}': {} belongs here", token_.text, wanted));
}

void StatementReader::expect(std::string_view symbol) {
  if (!take_if(symbol)) unexpected(fmt::format("'{}'", symbol));
}

Token StatementReader::take_text(std::string_view wanted) {
  if (token_.kind != TokenKind::kWord && token_.kind != TokenKind::kQuoted && token_.kind != TokenKind::kNumber) {
    unexpected(wanted);
  }
  return take();
}

std::uint32_t StatementReader::take_number(std::string_view wanted, std::uint64_t max) {
  if (token_.kind != TokenKind::kNumber) unexpected(wanted);
  if (token_.number > max) fail(token_, fmt::format("{} is too large: {} at most", wanted, max));
  return static_cast<std::uint32_t>(take().number);
}

void StatementReader::skip_newlines() {
  while (token_.kind == TokenKind::kNewline) take();
}

void StatementReader::end_statement() {
  if (!token_.ends_statement()) unexpected("the end of the line");
}

void StatementReader::resynchronise() {
  for (;;) {
    while (!token_.ends_statement()) {
      if (token_.is_symbol('}') && list_depth_ > 0) --list_depth_;
      opened_anchor_ = token_.is_symbol('{');
      token_ = lexer_.next();
    }
    if (list_depth_ == 0 || token_.kind == TokenKind::kEnd) break;
    token_ = lexer_.next();
    if (is_statement_word(token_)) break;
  }
  list_depth_ = 0;
}

void StatementReader::read_all() {
  read_block(false);
}

void StatementReader::read_block(bool inside_anchor) {
  for (;;) {
    if (token_.kind == TokenKind::kEnd || (inside_anchor && token_.is_symbol('}'))) return;
    statement_start_ = token_;
    opened_anchor_ = false;
    try {
      if (token_.kind != TokenKind::kNewline) read_statement();
      end_statement();
      if (token_.kind == TokenKind::kNewline) take();
    } catch (const StatementAbandoned&) {
      resynchronise();
      // The body of an anchor whose head is wrong is read all the same, for its own errors and for its brace.
      if (opened_anchor_ && statement_start_.is("anchor") && anchor_depth_ < kMaxAnchorDepth) {
        RuleStatement scratch;
        try {
          read_anchor_body(scratch);
        } catch (const StatementAbandoned&) {
          resynchronise();
        }
      }
    }
  }
}

void StatementReader::read_statement() {
  const Token start = token_;
  if (start.kind == TokenKind::kError) take();
  if (start.is("pass")) return read_rule(Action::kPass);
  if (start.is("block")) return read_rule(Action::kBlock);
  if (start.is("match")) return read_rule(Action::kMatch);
  if (start.is("anchor")) return read_anchor();
  if (start.is("table")) return read_table();
  if (start.is("set")) return read_set();
  if (start.is("antispoof")) return read_antispoof();
  if (start.is("include")) return read_include();
  if (start.is("load")) return read_load_anchor();
  if (start.kind == TokenKind::kWord || start.kind == TokenKind::kNumber) {
    for (const OldForm& form : kOldForms) {
      if (start.text == form.word) return refuse_old_statement();
    }
    if (start.is("no")) return refuse_old_statement();
    return read_macro();
  }
  unexpected("a statement");
}

void StatementReader::refuse_old_statement() {
  Token start = take();
  const Token named = start.is("no") ? token_ : start;
  for (const OldForm& form : kOldForms) {
    if (named.text == form.word) fail(start, std::string(form.sentence));
  }
  fail(start, "'no' begins no statement");
}

void StatementReader::read_macro() {
  const Token name = take();
  if (!token_.is_symbol('=')) fail(name, fmt::format("'{}' begins no statement", name.text));
  if (is_reserved_word(name.text)) {
    fail(name, fmt::format("a macro cannot be named '{}', a word of the language", name.text));
  }
  if (name.text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") !=
      std::string_view::npos) {
    fail(name, "a macro's name consists of letters, digits and underscores");
  }
  take();
  std::string value;
  constexpr std::size_t kMaxValue = std::size_t{1} << 20;
  if (token_.ends_statement()) unexpected("the macro's value");
  bool is_joined = true;  // "10.0.0.0/8" stays one word
  while (!token_.ends_statement()) {
    const bool is_slash = token_.is_symbol('/');
    if (token_.kind == TokenKind::kSymbol && !is_slash) {
      unexpected("a word or a quoted text (quote lists: \"{ a, b }\")");
    }
    const Token part = take();
    if (!is_joined && !is_slash) value += ' ';
    is_joined = is_slash;
    value += part.text;
    if (value.size() > kMaxValue) fail(name, "the macro's value is longer than 1 MiB");
  }
  const auto overrides = [&name](const auto& macro) { return macro.first == name.text; };
  if (std::ranges::any_of(draft_.environment.macros, overrides)) return;
  draft_.macros.define(name.text, std::move(value));
}

void StatementReader::read_include() {
  const Token start = take();
  const Token path = take_text("the file's name");
  end_statement();
  if (draft_.include_depth >= kMaxIncludeDepth) fail(start, "files include each other more than 16 deep");
  const std::uint32_t file = draft_.add_source(draft_.read_file(path.text, path.where));
  ++draft_.include_depth;
  StatementReader(draft_, file, *rules_).read_all();
  --draft_.include_depth;
}

void StatementReader::read_load_anchor() {
  const Token start = take();
  expect("anchor");
  const Token name = take_text("the anchor's name");
  expect("from");
  const Token path = take_text("the file's name");
  end_statement();
  if (anchor_depth_ > 0) fail(start, "not yet: 'load anchor' inside an anchor");
  if (draft_.include_depth >= kMaxIncludeDepth) fail(start, "files include each other more than 16 deep");
  LoadedAnchor loaded{.path = std::string(name.text), .where = start.where};
  const std::uint32_t file = draft_.add_source(draft_.read_file(path.text, path.where));
  ++draft_.include_depth;
  StatementReader(draft_, file, loaded.rules).read_all();
  --draft_.include_depth;
  draft_.loaded_anchors.push_back(std::move(loaded));
}

void StatementReader::read_anchor() {
  RuleStatement statement;
  statement.is_anchor = true;
  statement.rule.action = Action::kMatch;
  statement.rule.where = take().where;
  const bool is_free_word = token_.kind == TokenKind::kWord && !is_reserved_word(token_.text);
  if (token_.kind == TokenKind::kQuoted || is_free_word) {
    const Token name = take();
    if (name.text.empty() || name.text.size() > 63) fail(name, "an anchor's name has 1 to 63 characters");
    if (name.text.find('*') != std::string_view::npos) {
      fail(name, "not yet: anchors that are filled at run time ('*' stands for all anchors of a folder)");
    }
    statement.rule.anchor_name = draft_.intern(name.text);
  }
  read_direction(statement);
  read_log_and_quick(statement);
  read_conditions(statement);
  read_filter_options(statement);
  if (statement.state_given) draft_.fail(statement.rule.where, "an anchor keeps no state; its rules do");
  if (token_.is_symbol('{')) {
    take();
    read_anchor_body(statement);
  } else if (statement.rule.anchor_name == Rule::kNone) {
    draft_.fail(statement.rule.where, "an anchor without a name needs its rules in braces");
  } else {
    statement.rule.awaits_load = true;
  }
  end_statement();
  expand(draft_, statement, *rules_);
}

void StatementReader::read_anchor_body(RuleStatement& statement) {
  if (anchor_depth_ >= kMaxAnchorDepth) fail(token_, "anchors are nested more than 64 deep");
  std::vector<Rule>* const outer = rules_;
  const Token start = statement_start_;
  rules_ = &statement.body;
  ++anchor_depth_;
  read_block(true);
  --anchor_depth_;
  rules_ = outer;
  statement_start_ = start;
  draft_.rules_made -= std::min(draft_.rules_made, statement.body.size());
  if (!token_.is_symbol('}')) fail(start, "the anchor's '{' is never closed");
  take();
}

std::expected<std::string, std::string> DiskFiles::read(const std::string& path) {
  constexpr std::size_t kMaxBytes = std::size_t{64} << 20;
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rbe"));
  if (!file) return std::unexpected(std::string(std::strerror(errno)));
  struct stat status{};
  if (fstat(fileno(file.get()), &status) == 0 && S_ISDIR(status.st_mode)) return std::unexpected("Is a directory");
  std::string text;
  char chunk[65536];
  for (;;) {
    const std::size_t got = std::fread(chunk, 1, sizeof chunk, file.get());
    text.append(chunk, got);
    if (text.size() > kMaxBytes) return std::unexpected("larger than 64 MiB");
    if (got < sizeof chunk) break;
  }
  if (std::ferror(file.get()) != 0) return std::unexpected(std::string(std::strerror(errno)));
  return text;
}

ParseResult parse(const SourceText& source, const Environment& environment) {
  RulesetDraft draft(environment);
  for (const auto& [name, value] : environment.macros) draft.macros.define(name, value);
  std::vector<Rule> rules;
  const std::uint32_t file = draft.add_source(source);
  StatementReader(draft, file, rules).read_all();
  draft.close_tables();
  Assembly(draft, rules).run();
  Options& options = draft.ruleset.options;
  const auto written = [&options](Timeout timeout) {
    return ((options.timeouts_set >> static_cast<unsigned>(timeout)) & 1U) != 0;
  };
  if (!written(Timeout::kAdaptiveStart) && !written(Timeout::kAdaptiveEnd)) {
    const auto states = std::uint64_t{options.limits.states};
    const auto share = [states](std::uint64_t tenths) {
      return static_cast<std::uint32_t>(std::min<std::uint64_t>(states * tenths / 10, 0xffffffff));
    };
    options.timeouts.value[static_cast<std::size_t>(Timeout::kAdaptiveStart)] = share(6);
    options.timeouts.value[static_cast<std::size_t>(Timeout::kAdaptiveEnd)] = share(12);
  }
  return {.ruleset = std::move(draft.ruleset), .diagnostics = std::move(draft.diagnostics)};
}

ParseResult parse_file(const std::string& path, const Environment& environment) {
  DiskFiles disk;
  TextFiles& files = environment.files != nullptr ? *environment.files : disk;
  auto text = files.read(path);
  if (!text) {
    ParseResult failed;
    failed.diagnostics.push_back({.file = path, .sentence = fmt::format("cannot be read: {}", text.error())});
    return failed;
  }
  return parse({.name = path, .text = std::move(*text)}, environment);
}

}  // namespace ringplane::firewall
