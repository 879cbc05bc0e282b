#include "firewall/ruleset_draft.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/ids.h"
#include "firewall/diagnostic.h"
#include "firewall/match_key.h"
#include "firewall/parser.h"
#include "firewall/prefix_set.h"
#include "firewall/ruleset.h"
#include "firewall/table.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

KnownPort::Address address(std::string_view text, std::uint8_t length) {
  return {.host = wire::parse_host_address(text).value_or(wire::HostAddress{}), .length = length};
}

/// The loopback interface is no port, yet rules speak of it.
std::vector<KnownPort::Address> loopback() {
  return {address("127.0.0.1", 8), address("::1", 128), address("fe80::1", 64)};
}

bool is_loopback(std::string_view name) {
  return name == "lo0" || name == "lo";
}

std::string_view line_of(std::string_view text, std::uint32_t line) {
  for (; line > 1; --line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return "";
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

}  // namespace

RulesetDraft::RulesetDraft(const Environment& given) : environment(given) {
  if (environment.files == nullptr) environment.files = &disk_;
  ruleset.tags.emplace_back();
  ruleset.ports_are_complete = environment.ports_are_complete;
  for (const KnownPort& port : environment.ports) {
    const std::size_t id = port.id.value;
    if (ruleset.port_names.size() <= id) ruleset.port_names.resize(id + 1);
    ruleset.port_names[id] = port.name;
  }
}

std::uint32_t RulesetDraft::add_source(SourceText source) {
  ruleset.files.push_back(source.name);
  sources_.push_back(std::move(source));
  return static_cast<std::uint32_t>(sources_.size() - 1);
}

void RulesetDraft::report(Severity severity, Location where, std::string sentence) {
  if (diagnostics.size() > kMaxDiagnostics) return;
  if (diagnostics.size() == kMaxDiagnostics) sentence = "more than 1000 errors; the rest is not shown";
  const SourceText& source = sources_[where.file];
  constexpr std::size_t kMaxLine = 400;
  diagnostics.push_back({.severity = severity,
                         .file = source.name,
                         .line = where.line,
                         .column = where.column,
                         .sentence = std::move(sentence),
                         .source_line = std::string(line_of(source.text, where.line).substr(0, kMaxLine))});
}

void RulesetDraft::fail(Location where, std::string sentence) {
  report(Severity::kError, where, std::move(sentence));
  throw StatementAbandoned{};
}

SourceText RulesetDraft::read_file(std::string_view path, Location where) {
  std::string full(path);
  const std::string& from = sources_[where.file].name;
  const std::size_t slash = from.rfind('/');
  if (!full.empty() && full.front() != '/' && slash != std::string::npos) full.insert(0, from, 0, slash + 1);
  auto text = environment.files->read(full);
  if (!text) fail(where, fmt::format("cannot read '{}': {}", full, text.error()));
  return {.name = std::move(full), .text = std::move(*text)};
}

std::uint32_t RulesetDraft::intern(std::string_view name) {
  if (const auto found = name_index_.find(name); found != name_index_.end()) return found->second;
  const auto index = static_cast<std::uint32_t>(ruleset.names.size());
  ruleset.names.emplace_back(name);
  name_index_.emplace(name_keys_.emplace_back(name), index);
  return index;
}

TagId RulesetDraft::tag(std::string_view name, Location where) {
  constexpr std::size_t kMaxName = 63;
  if (name.empty() || name.size() > kMaxName) fail(where, "a tag's name has 1 to 63 characters");
  if (name.find('$') != std::string_view::npos) fail(where, "not yet: macros such as $srcaddr in tags");
  const std::string key = "\x01" + std::string(name);  // tags have numbers of their own
  if (const auto found = name_index_.find(key); found != name_index_.end()) return static_cast<TagId>(found->second);
  if (ruleset.tags.size() > 0xfffe) fail(where, "more than 65534 different tags");
  const auto id = static_cast<TagId>(ruleset.tags.size());
  ruleset.tags.emplace_back(name);
  name_index_.emplace(name_keys_.emplace_back(key), id);
  return id;
}

const KnownPort* RulesetDraft::find_known(std::string_view name) const {
  const auto found = std::ranges::find(environment.ports, name, &KnownPort::name);
  return found == environment.ports.end() ? nullptr : &*found;
}

bool RulesetDraft::is_interface(std::string_view name) const {
  return is_loopback(name) || ruleset.find_port(name).has_value() ||
         std::ranges::any_of(environment.ports, [name](const KnownPort& port) {
           return std::ranges::find(port.groups, name) != port.groups.end();
         });
}

std::uint64_t RulesetDraft::port_mask(std::string_view interface, Location where) {
  if (interface == "any") return Rule::kEveryPort;
  if (const auto id = ruleset.find_port(interface)) return std::uint64_t{1} << id->value;
  std::uint64_t group = 0;
  for (const KnownPort& port : environment.ports) {
    if (std::ranges::find(port.groups, interface) != port.groups.end()) group |= std::uint64_t{1} << port.id.value;
  }
  if (group != 0) return group;
  if (environment.ports_are_complete) {
    if (is_loopback(interface)) return 0;  // no packet of a port ever passes it
    std::string known;
    for (const KnownPort& port : environment.ports) known += (known.empty() ? "" : ", ") + port.name;
    fail(where, fmt::format("there is no port or group '{}' (known: {})", interface, known.empty() ? "none" : known));
  }
  // Ids that the environment has not given, in order of appearance.
  std::size_t id = 0;
  while (id < ruleset.port_names.size() && !ruleset.port_names[id].empty()) ++id;
  if (id >= base::kMaxPorts) fail(where, "more than 64 interfaces");
  if (id == ruleset.port_names.size()) ruleset.port_names.emplace_back();
  ruleset.port_names[id] = interface;
  return std::uint64_t{1} << id;
}

std::vector<KnownPort::Address> RulesetDraft::addresses_of(std::string_view name) const {
  if (name == "localhost") return {address("127.0.0.1", 8), address("::1", 128)};
  if (const KnownPort* port = find_known(name)) return port->addresses;
  std::vector<KnownPort::Address> all;
  if (is_loopback(name) || name == "self") all = loopback();
  for (const KnownPort& port : environment.ports) {
    if (name != "self" && std::ranges::find(port.groups, name) == port.groups.end()) continue;
    all.insert(all.end(), port.addresses.begin(), port.addresses.end());
  }
  return all;
}

TableId RulesetDraft::named_table(std::string_view name, Location where) {
  if (name.empty() || name.size() > 31) fail(where, "a table's name has 1 to 31 characters");
  const auto [found, is_new] = table_index_.try_emplace(std::string(name), static_cast<TableId>(tables.size()));
  if (is_new) {
    tables.push_back({.name = std::string(name), .where = where});
    table_entries_.emplace_back();
  }
  return found->second;
}

TableId RulesetDraft::unnamed_table(const std::string& text, const std::vector<wire::Prefix>& prefixes) {
  const auto [found, is_new] = table_index_.try_emplace(" " + text, static_cast<TableId>(tables.size()));
  if (is_new) {
    tables.push_back({.name = text, .is_named = false, .is_defined = true});
    std::vector<TableEntry>& entries = table_entries_.emplace_back();
    for (const wire::Prefix& prefix : prefixes) entries.push_back({.prefix = prefix});
  }
  return found->second;
}

void RulesetDraft::add_entries(TableId table, const std::vector<TableEntry>& entries) {
  table_entries_[table].insert(table_entries_[table].end(), entries.begin(), entries.end());
}

void RulesetDraft::close_tables() {
  std::vector<bool> is_overload_target(tables.size());
  for (const StateOptions& options : ruleset.state_options) {
    if (options.overload != kNoTable) is_overload_target[options.overload] = true;
  }
  std::size_t named = 0;
  std::size_t entries = 0;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    Table& table = tables[i];
    table.addresses = AddressTable::build(table_entries_[i]);
    if (!table.is_named) continue;
    ++named;
    entries += table.addresses.size();
    if (named == std::size_t{ruleset.options.limits.tables} + 1) {
      report(Severity::kError, table.where,
             fmt::format("more than {} tables: see 'set limit tables'", ruleset.options.limits.tables));
    }
    if (entries > ruleset.options.limits.table_entries &&
        entries - table.addresses.size() <= ruleset.options.limits.table_entries) {
      report(Severity::kError, table.where,
             fmt::format("the tables hold more than {} addresses: see 'set limit table-entries'",
                         ruleset.options.limits.table_entries));
    }
    if (!table.is_defined && !is_overload_target[i]) {
      report(Severity::kWarning, table.where, fmt::format("table <{}> is never defined: it is empty", table.name));
    }
  }
  for (Table& table : tables) ruleset.tables.push_back(std::move(table));
}

void RulesetDraft::check_rule_limit(std::size_t more, Location where) {
  if (rules_made > environment.max_rules || more > environment.max_rules - rules_made) {
    fail(where, fmt::format("the lists expand to more than {} rules", environment.max_rules));
  }
}

}  // namespace ringplane::firewall
