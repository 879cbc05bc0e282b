// table <name> [persist] [const] [counters] { addresses } file "path"
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "firewall/diagnostic.h"
#include "firewall/lexer.h"
#include "firewall/prefix_set.h"
#include "firewall/ruleset.h"
#include "firewall/ruleset_draft.h"
#include "firewall/statement_reader.h"
#include "firewall/table_overlay.h"
#include "firewall/table_text.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

std::string entry_text(const TableEntry& entry) {
  return (entry.negated ? "!" : "") + wire::to_string(entry.prefix);
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
      draft_.tables[id].has_list = true;
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

/// Every bad line is reported.
void StatementReader::read_table_file(TableId table) {
  take();
  const Token path = take_text("the file's name");
  Table& draft = draft_.tables[table];
  draft.contents += fmt::format(" file \"{}\"", path.text);
  const std::uint32_t file = draft_.add_source(draft_.read_file(path.text, path.where));
  draft.files.push_back(draft_.source(file).name);
  TableText read = parse_table_text(draft_.source(file).text);
  for (const TableTextError& error : read.errors) {
    draft_.report(Severity::kError, {.file = file, .line = error.line, .column = error.column}, error.what);
  }
  draft_.add_entries(table, read.entries);
}

}  // namespace ringplane::firewall
