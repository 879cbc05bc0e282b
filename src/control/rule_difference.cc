#include "control/rule_difference.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/ids.h"
#include "firewall/prefix_set.h"
#include "firewall/ruleset.h"
#include "worker/rule_counts.h"

namespace ringplane::control {
namespace {

using firewall::Rule;
using firewall::Ruleset;

constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();

/// Which rule after is which rule before, both ways.
struct Twins {
  std::vector<std::uint32_t> after;   // by rule before
  std::vector<std::uint32_t> before;  // by rule after

  void pair(std::uint32_t one, std::uint32_t other) {
    after[one] = other;
    before[other] = one;
  }
};

/// The rules of one side that have no twin, by the rule after that the nearest one with a twin before them is. The
/// first ones stand behind kNobody.
std::map<std::uint32_t, std::vector<std::uint32_t>> without_twin(const std::vector<std::uint32_t>& twins,
                                                                 bool are_after) {
  std::map<std::uint32_t, std::vector<std::uint32_t>> behind;
  std::uint32_t last = kNobody;
  for (std::uint32_t i = 0; i < twins.size(); ++i) {
    if (twins[i] == kNobody) {
      behind[last].push_back(i);
    } else {
      last = are_after ? i : twins[i];
    }
  }
  return behind;
}

Twins find_twins(const Ruleset& before, const Ruleset& after) {
  Twins twins{.after = std::vector<std::uint32_t>(before.rules.size(), kNobody),
              .before = std::vector<std::uint32_t>(after.rules.size(), kNobody)};
  const worker::RuleSuccession succession(before, after);
  for (std::uint32_t i = 0; i < twins.after.size(); ++i) {
    if (const base::RuleId heir = succession.heir_of(base::RuleId{i}); heir.valid()) twins.pair(i, heir.value);
  }
  const auto gone = without_twin(twins.after, false);
  const auto come = without_twin(twins.before, true);
  for (const auto& [place, old_rules] : gone) {
    const auto found = come.find(place);
    if (found == come.end()) continue;
    const std::size_t both = std::min(old_rules.size(), found->second.size());
    for (std::size_t i = 0; i < both; ++i) {
      const std::uint32_t one = old_rules[i];
      const std::uint32_t other = found->second[i];
      if (before.anchor_path(before.rules[one]) == after.anchor_path(after.rules[other])) twins.pair(one, other);
    }
  }
  return twins;
}

/// Of numbers that differ, the positions of a longest row of growing ones: those that stay in order when the fewest are
/// taken out.
std::vector<bool> in_longest_row(const std::vector<std::uint32_t>& numbers) {
  std::vector<std::size_t> ends;  // [n]: where the row of n + 1 with the lowest end ends
  std::vector<std::size_t> previous(numbers.size(), numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto at = std::ranges::lower_bound(ends, numbers[i], {}, [&](std::size_t end) { return numbers[end]; });
    if (at != ends.begin()) previous[i] = *std::prev(at);
    if (at == ends.end()) {
      ends.push_back(i);
    } else {
      *at = i;
    }
  }
  std::vector<bool> in_row(numbers.size());
  for (std::size_t i = ends.empty() ? numbers.size() : ends.back(); i != numbers.size(); i = previous[i])
    in_row[i] = true;
  return in_row;
}

/// A change before its texts are written out, with where it is listed.
struct Found {
  std::uint32_t listed_at = 0;  // of the rules after
  std::size_t found_at = 0;     // of two that are listed at the same place the first found is first
  ChangeKind kind = ChangeKind::kAdded;
  std::uint32_t before = kNobody;
  std::uint32_t after = kNobody;
};

std::vector<Found> find_changes(const Ruleset& before, const Ruleset& after, const Twins& twins) {
  std::vector<Found> found;
  std::vector<std::uint32_t> kept;  // rules before with a twin of the same text
  std::vector<std::uint32_t> kept_after;
  std::uint32_t listed_at = 0;
  for (std::uint32_t i = 0; i < twins.after.size(); ++i) {
    const std::uint32_t twin = twins.after[i];
    if (twin == kNobody) {
      found.push_back({.listed_at = listed_at, .kind = ChangeKind::kRemoved, .before = i});
      continue;
    }
    listed_at = twin + 1;
    if (firewall::text_of(before, before.rules[i]) == firewall::text_of(after, after.rules[twin])) {
      kept.push_back(i);
      kept_after.push_back(twin);
    } else {
      found.push_back({.listed_at = twin, .kind = ChangeKind::kChanged, .before = i, .after = twin});
    }
  }
  const std::vector<bool> in_order = in_longest_row(kept_after);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const bool same_anchor = before.anchor_path(before.rules[kept[i]]) == after.anchor_path(after.rules[kept_after[i]]);
    if (in_order[i] && same_anchor) continue;
    found.push_back(
        {.listed_at = kept_after[i], .kind = ChangeKind::kMoved, .before = kept[i], .after = kept_after[i]});
  }
  for (std::uint32_t i = 0; i < twins.before.size(); ++i) {
    if (twins.before[i] == kNobody) found.push_back({.listed_at = i, .kind = ChangeKind::kAdded, .after = i});
  }
  for (std::size_t i = 0; i < found.size(); ++i) found[i].found_at = i;
  std::ranges::sort(found, [](const Found& a, const Found& b) {
    return a.listed_at != b.listed_at ? a.listed_at < b.listed_at : a.found_at < b.found_at;
  });
  return found;
}

RuleChange written_out(const Found& found, const Ruleset& before, const Ruleset& after) {
  RuleChange change{.kind = found.kind, .was = {}, .now = {}, .place = {}, .label = {}};
  const auto tell = [&change](const Ruleset& ruleset, std::uint32_t at, std::string& text) {
    if (at == kNobody) return;
    const Rule& rule = ruleset.rules[at];
    text = firewall::text_of(ruleset, rule);
    change.place = ruleset.place_of(rule);
    change.label = ruleset.label_of(rule);
  };
  tell(before, found.before, change.was);
  tell(after, found.after, change.now);
  return change;
}

std::vector<firewall::TableEntry> sorted_entries(const firewall::Table& table) {
  std::vector<firewall::TableEntry> entries = table.addresses.entries();
  std::ranges::sort(entries);
  return entries;
}

std::size_t count_missing(const std::vector<firewall::TableEntry>& from, const std::vector<firewall::TableEntry>& in) {
  std::vector<firewall::TableEntry> missing;
  std::ranges::set_difference(from, in, std::back_inserter(missing));
  return missing.size();
}

std::vector<TableChange> table_changes(const Ruleset& before, const Ruleset& after) {
  std::vector<TableChange> changes;
  for (const firewall::Table& table : before.tables) {
    if (table.is_named && !after.find_table(table.name)) {
      changes.push_back({.kind = ChangeKind::kRemoved, .name = table.name, .entries_removed = table.addresses.size()});
    }
  }
  for (const firewall::Table& table : after.tables) {
    if (!table.is_named) continue;
    const auto old_id = before.find_table(table.name);
    if (!old_id) {
      changes.push_back({.kind = ChangeKind::kAdded, .name = table.name, .entries_added = table.addresses.size()});
      continue;
    }
    const firewall::Table& old = before.tables[*old_id];
    const auto entries = sorted_entries(table);
    const auto old_entries = sorted_entries(old);
    const TableChange change{.name = table.name,
                             .entries_added = count_missing(entries, old_entries),
                             .entries_removed = count_missing(old_entries, entries)};
    const bool same_kind =
        old.is_const == table.is_const && old.is_persist == table.is_persist && old.has_counters == table.has_counters;
    if (change.entries_added + change.entries_removed != 0 || !same_kind) changes.push_back(change);
  }
  return changes;
}

/// The `set` lines of one that the other does not have.
std::vector<std::string> options_missing(const Ruleset& of, const Ruleset& in) {
  std::vector<std::string> missing;
  for (const std::string& option : of.options.printed) {
    if (std::ranges::find(in.options.printed, option) == in.options.printed.end()) missing.push_back(option);
  }
  return missing;
}

const char* word_of(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::kAdded: return "added";
    case ChangeKind::kRemoved: return "removed";
    case ChangeKind::kChanged: return "changed";
    case ChangeKind::kMoved: return "moved";
  }
  return "";
}

}  // namespace

RuleDifference difference_of(const Ruleset& before, const Ruleset& after, std::size_t most_listed) {
  RuleDifference difference;
  for (const Found& found : find_changes(before, after, find_twins(before, after))) {
    switch (found.kind) {
      case ChangeKind::kAdded: ++difference.added; break;
      case ChangeKind::kRemoved: ++difference.removed; break;
      case ChangeKind::kChanged: ++difference.changed; break;
      case ChangeKind::kMoved: ++difference.moved; break;
    }
    if (difference.rules.size() < most_listed) difference.rules.push_back(written_out(found, before, after));
  }
  difference.tables = table_changes(before, after);
  difference.options_added = options_missing(after, before);
  difference.options_removed = options_missing(before, after);
  return difference;
}

nlohmann::ordered_json to_json(const RuleDifference& difference) {
  nlohmann::ordered_json json{{"added", difference.added},
                              {"removed", difference.removed},
                              {"changed", difference.changed},
                              {"moved", difference.moved},
                              {"rules", nlohmann::ordered_json::array()},
                              {"not_listed", difference.rule_changes() - difference.rules.size()},
                              {"tables", nlohmann::ordered_json::array()},
                              {"options_added", difference.options_added},
                              {"options_removed", difference.options_removed}};
  for (const RuleChange& change : difference.rules) {
    nlohmann::ordered_json line{{"change", word_of(change.kind)}, {"place", change.place}, {"label", change.label}};
    if (!change.was.empty()) line["was"] = change.was;
    if (!change.now.empty()) line["now"] = change.now;
    json["rules"].push_back(std::move(line));
  }
  for (const TableChange& change : difference.tables) {
    json["tables"].push_back({{"table", change.name},
                              {"change", word_of(change.kind)},
                              {"entries_added", change.entries_added},
                              {"entries_removed", change.entries_removed}});
  }
  return json;
}

}  // namespace ringplane::control
