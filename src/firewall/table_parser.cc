// table <name> [persist] [const] [counters] { addresses } file "path"
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "firewall/diagnostic.h"
#include "firewall/lexer.h"
#include "firewall/prefix_set.h"
#include "firewall/ruleset.h"
#include "firewall/ruleset_draft.h"
#include "firewall/statement_reader.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

std::string entry_text(const TableEntry& entry) {
  return (entry.negated ? "!" : "") + wire::to_string(entry.prefix);
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == ',';
}

}  // namespace

void StatementReader::read_table() {
  const Token start = take();
  if (anchor_depth_ > 0) fail(start, "not yet: tables inside anchors; define the table in the main ruleset");
  const TableId id = read_table_name();
  Table& table = draft_.tables[id];
  if (table.is_defined) fail(start, fmt::format("table <{}> is defined twice", table.name));
  table.is_defined = true;
  table.where = start.where;
  while (!token_.ends_statement()) {
    if (take_if("persist")) {
      draft_.tables[id].is_persist = true;
    } else if (take_if("const")) {
      draft_.tables[id].is_const = true;
    } else if (take_if("counters")) {
      draft_.tables[id].has_counters = true;
    } else if (token_.is("file")) {
      read_table_file(id);
    } else if (take_if("{")) {
      ++list_depth_;
      skip_newlines();
      std::vector<TableEntry> entries;
      while (!token_.is_symbol('}')) {
        const bool negated = take_if("!");
        for (const wire::Prefix& prefix : read_address(true).prefixes) {
          entries.push_back({.prefix = prefix, .negated = negated});
        }
        take_if(",");
        skip_newlines();
      }
      --list_depth_;
      take();
      std::string& text = draft_.tables[id].contents;
      if (text.ends_with(" }")) {
        text.resize(text.size() - 2);  // pfctl prints neighbouring lists as one
      } else {
        text += " {";
      }
      for (const TableEntry& entry : entries) text += " " + entry_text(entry);
      text += " }";
      draft_.add_entries(id, entries);
    } else {
      unexpected("'{', 'file', 'persist', 'const' or 'counters'");
    }
  }
}

/// One address, prefix or `!` prefix a word; `#` comments. Every bad line is reported.
void StatementReader::read_table_file(TableId table) {
  take();
  const Token path = take_text("the file's name");
  draft_.tables[table].contents += fmt::format(" file \"{}\"", path.text);
  const std::uint32_t file = draft_.add_source(draft_.read_file(path.text, path.where));
  const std::string_view text = draft_.source(file).text;
  std::vector<TableEntry> entries;
  std::uint32_t line = 1;
  std::size_t line_start = 0;
  bool negated = false;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '\n') {
      ++line;
      line_start = ++at;
    } else if (is_blank(text[at])) {
      ++at;
    } else if (text[at] == '!') {
      negated = true;
      ++at;
    } else if (text[at] == '#' || text[at] == ';') {
      while (at < text.size() && text[at] != '\n') ++at;
    } else {
      const std::size_t first = at;
      while (at < text.size() && text[at] != '\n' && text[at] != '#' && !is_blank(text[at])) ++at;
      const std::string_view word = text.substr(first, at - first);
      if (const auto prefix = wire::parse_prefix(word)) {
        entries.push_back({.prefix = *prefix, .negated = negated});
      } else {
        draft_.report(Severity::kError,
                      {.file = file, .line = line, .column = static_cast<std::uint32_t>(first - line_start + 1)},
                      fmt::format("'{}' is no address or prefix", word.substr(0, 60)));
      }
      negated = false;
    }
  }
  draft_.add_entries(table, entries);
}

}  // namespace ringplane::firewall
