#include "firewall/ruleset_change.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/piece_list.h"
#include "base/result.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"
#include "firewall/table.h"
#include "firewall/table_overlay.h"

namespace ringplane::firewall {
namespace {

using base::PieceList;

template <class T>
PieceList<T> with_more(const PieceList<T>& list, const PieceList<T>& more) {
  return list.spliced(list.size(), 0, std::vector<T>(more.begin(), more.end()));
}

/// Takes the tables, tags and names of a piece into a ruleset, and its rules with the numbers they have there.
class Import {
 public:
  Import(Ruleset& into, const Ruleset& piece) : into_(into), piece_(piece) {}

  base::Result<std::vector<Rule>> run(std::uint32_t parent) {
    if (auto ok = check(); !ok) return std::unexpected(std::move(ok.error()));
    if (auto ok = take_tables(); !ok) return std::unexpected(std::move(ok.error()));
    if (auto ok = take_tags(); !ok) return std::unexpected(std::move(ok.error()));
    std::vector<StateOptions> options(piece_.state_options.begin(), piece_.state_options.end());
    for (StateOptions& one : options) one.overload = table(one.overload);
    const auto first_options = static_cast<std::uint32_t>(into_.state_options.size());
    const auto first_file = static_cast<std::uint32_t>(into_.files.size());
    into_.state_options = into_.state_options.spliced(first_options, 0, std::move(options));
    take_names();
    into_.files = with_more(into_.files, piece_.files);
    std::vector<Rule> rules(piece_.rules.begin(), piece_.rules.end());
    for (Rule& rule : rules) {
      for (std::uint32_t* name : {&rule.interface_name, &rule.label}) {
        if (*name != Rule::kNone) *name = names_[*name];
      }
      if (rule.state_options != Rule::kNone) rule.state_options += first_options;
      rule.where.file += first_file;
      rule.source.table = table(rule.source.table);
      rule.destination.table = table(rule.destination.table);
      rule.tag = tags_[rule.tag];
      rule.tagged = tags_[rule.tagged];
      rule.parent = parent;
    }
    return rules;
  }

 private:
  [[nodiscard]] TableId table(TableId id) const { return id == kNoTable ? id : tables_[id]; }

  base::Result<void> check() const {
    if (!piece_.anchors.empty()) return base::fail("an anchor cannot be added to running rules: reload them");
    if (!piece_.options.printed.empty()) return base::fail("'set' has no place in a change of rules: reload them");
    for (std::size_t i = 0; i < piece_.port_names.size(); ++i) {
      const std::string& name = piece_.port_names[i];
      const auto known = into_.find_port(name);
      if (!name.empty() && (!known || known->value != i)) {
        return base::fail(fmt::format("the rules know no port '{}': reload them", name));
      }
    }
    return {};
  }

  base::Result<void> take_tables() {
    std::size_t named = 0;
    for (const Table& table : into_.tables) named += table.is_named ? 1 : 0;
    for (const Table& table : piece_.tables) {
      const auto known = table.is_named ? into_.find_table(table.name) : std::nullopt;
      if (!known) {
        named += table.is_named ? 1 : 0;
        if (named > into_.options.limits.tables) {
          return base::fail(fmt::format("more than {} tables: see 'set limit tables'", into_.options.limits.tables));
        }
        tables_.push_back(static_cast<TableId>(into_.tables.size()));
        into_.tables.push_back(table);
        continue;
      }
      if (table.is_defined && into_.tables[*known].is_defined) {
        return base::fail(fmt::format("table <{}> is defined already", table.name));
      }
      if (table.is_defined) into_.tables.replace(*known, table);
      tables_.push_back(*known);
    }
    return {};
  }

  base::Result<void> take_tags() {
    std::vector<std::string> fresh;
    const std::size_t known_tags = into_.tags.size();
    for (const std::string& name : piece_.tags) {
      const auto known = name.empty() ? std::optional<TagId>(kNoTag) : into_.find_tag(name);
      tags_.push_back(known ? *known : static_cast<TagId>(known_tags + fresh.size()));
      if (!known) fresh.push_back(name);
    }
    if (known_tags + fresh.size() > 0xffff) return base::fail("more than 65534 different tags");
    if (!fresh.empty()) into_.tags = into_.tags.spliced(known_tags, 0, std::move(fresh));
    return {};
  }

  /// A name that an earlier change has brought is found again; to look through all would take too long.
  void take_names() {
    const auto pieces = into_.names.pieces();
    std::unordered_map<std::string_view, std::uint32_t> recent;
    for (std::size_t i = 1; i < pieces.size(); ++i) {
      for (std::size_t at = pieces[i].begin; at < pieces[i].begin + pieces[i].count; ++at) {
        recent.emplace(pieces[i].at(at), static_cast<std::uint32_t>(at));
      }
    }
    std::vector<std::string> fresh;
    for (const std::string& name : piece_.names) {
      const auto known = recent.find(name);
      names_.push_back(known != recent.end() ? known->second
                                             : static_cast<std::uint32_t>(into_.names.size() + fresh.size()));
      if (known == recent.end()) fresh.push_back(name);
    }
    if (!fresh.empty()) into_.names = into_.names.spliced(into_.names.size(), 0, std::move(fresh));
  }

  Ruleset& into_;
  const Ruleset& piece_;
  std::vector<std::uint32_t> names_;  // by name of the piece
  std::vector<TableId> tables_;       // by table of the piece
  std::vector<TagId> tags_;           // by tag of the piece
};

/// Gives the elements that are used numbers of their own, in order of use.
template <class T>
class Used {
 public:
  explicit Used(const PieceList<T>& all) : all_(all), number_(all.size(), Rule::kNone) {}
  void use(std::uint32_t& index) {
    if (index >= number_.size()) return;
    std::uint32_t& number = number_[index];
    if (number == Rule::kNone) {
      number = static_cast<std::uint32_t>(kept_.size());
      kept_.push_back(all_[index]);
    }
    index = number;
  }
  PieceList<T> take() { return PieceList<T>(std::move(kept_)); }

 private:
  const PieceList<T>& all_;
  std::vector<std::uint32_t> number_;
  std::vector<T> kept_;
};

}  // namespace

base::Result<Ruleset> with_rules(const Ruleset& ruleset, std::size_t first, std::size_t count, const Ruleset& piece) {
  const std::size_t size = ruleset.rules.size();
  if (first > size || count > size - first) {
    return base::fail(fmt::format("there is no rule {}: there are {} rules, counted from 0", first + count, size));
  }
  if (size - count + piece.rules.size() > kMaxRules) return base::fail(fmt::format("more than {} rules", kMaxRules));
  const std::uint32_t parent = first < size ? ruleset.rules[first].parent : Rule::kNone;
  for (std::size_t i = first; i < first + count; ++i) {
    if (ruleset.rules[i].is_anchor()) {
      return base::fail(fmt::format("rule {} is an anchor, which cannot be changed in running rules: reload them", i));
    }
    if (ruleset.rules[i].parent != parent) {
      return base::fail(
          fmt::format("rules {} and {} stand in different anchors: change one after the other", first, i));
    }
  }
  Ruleset changed = ruleset;
  auto rules = Import(changed, piece).run(parent);
  if (!rules) return std::unexpected(std::move(rules.error()));
  for (Anchor& anchor : changed.anchors) {
    const auto moved = [&](std::uint32_t position) {
      return static_cast<std::uint32_t>(position - count + piece.rules.size());
    };
    if (anchor.rule >= first) anchor.rule = moved(anchor.rule);
    if (anchor.end > first) anchor.end = moved(anchor.end);
  }
  changed.rules = ruleset.rules.spliced(first, count, std::move(*rules));
  return changed;
}

Ruleset with_table(const Ruleset& ruleset, TableId table, AddressTable addresses) {
  Ruleset changed = ruleset;
  Table other = ruleset.tables[table];
  other.addresses = std::move(addresses);
  changed.tables.replace(table, std::move(other));
  return changed;
}

Ruleset compacted(const Ruleset& ruleset) {
  Ruleset flat = ruleset;
  std::vector<Rule> rules(ruleset.rules.begin(), ruleset.rules.end());
  Used<std::string> names(ruleset.names);
  Used<StateOptions> options(ruleset.state_options);
  Used<std::string> files(ruleset.files);
  for (Rule& rule : rules) {
    names.use(rule.interface_name);
    names.use(rule.label);
    names.use(rule.anchor_name);
    options.use(rule.state_options);
    files.use(rule.where.file);
  }
  flat.rules = PieceList<Rule>(std::move(rules));
  flat.names = names.take();
  flat.state_options = options.take();
  for (TableId id = 0; id < ruleset.tables.size(); ++id) {
    Table table = ruleset.tables[id];
    files.use(table.where.file);
    if (table.where.file != ruleset.tables[id].where.file) flat.tables.replace(id, std::move(table));
  }
  flat.files = files.take();
  return flat;
}

}  // namespace ringplane::firewall
