#include "control/table_desk.h"

#include <algorithm>
#include <cstddef>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "api/message.h"
#include "base/holdings.h"
#include "base/memory_file.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/data_plane.h"
#include "control/show.h"
#include "control/table_journal.h"
#include "firewall/policy.h"
#include "firewall/prefix_set.h"
#include "firewall/ruleset.h"
#include "firewall/table.h"
#include "firewall/table_edits.h"
#include "firewall/table_overlay.h"
#include "firewall/table_text.h"
#include "wire/ip_address.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;

Json refusal(int status, const std::string& sentence) {
  return {{"error", sentence}, {"status", status}};
}

std::string text_of_entry(const firewall::TableEntry& entry) {
  return (entry.negated ? "!" : "") + wire::to_string(entry.prefix);
}

/// Why its contents cannot be written to its file; "": they can.
std::string why_not_saved(const firewall::Table& table) {
  if (table.files.size() == 1 && !table.has_list) return {};
  if (table.files.empty()) return "table <" + table.name + R"(> has no file: give it one in the rules, file "path")";
  if (table.has_list) return "table <" + table.name + "> also has addresses in the rules: move these to its file";
  return "table <" + table.name + "> has several files: which of them to write is not to be known";
}

/// Those of the whole page, in order: costs what there are entries, and the sorting of the page.
std::vector<firewall::TableEntry> page_of_entries(std::vector<firewall::TableEntry> all, std::size_t offset,
                                                  std::size_t limit) {
  offset = std::min(offset, all.size());
  const std::size_t end = offset + std::min(limit, all.size() - offset);
  const auto at = [&all](std::size_t place) { return all.begin() + static_cast<std::ptrdiff_t>(place); };
  if (offset < end) {
    std::nth_element(at(0), at(offset), all.end(), firewall::comes_before);
    std::partial_sort(at(offset), at(end), all.end(), firewall::comes_before);
  }
  return {at(offset), at(end)};
}

}  // namespace

Message TableDesk::answer(const Message& message) {
  Json answer;
  try {
    answer = answer_question(nlohmann::json::parse(message.body), message.holdings);
  } catch (const nlohmann::json::exception& error) {
    answer = refusal(api::status::kBadRequest, std::string("the question makes no sense: ") + error.what());
  }
  return {.kind = MessageKind::kDone,
          .body = answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
          .holdings = {}};
}

Json TableDesk::answer_question(const nlohmann::json& asked, const base::Holdings& holdings) {
  const std::string op = asked.at("op");
  if (op == "list") return list();
  const firewall::Ruleset& ruleset = plane_.snapshot().policy->ruleset();
  const std::string name = asked.at("table");
  const auto table = ruleset.find_table(name);
  if (!table || !ruleset.tables[*table].is_named) {
    return refusal(api::status::kNotFound,
                   "there is no table <" + name + ">: the rules name those that `ringplane table` lists");
  }
  if (op == "show") return show(*table, asked);
  if (op == "test") return test(*table, asked.at("address"));
  if (op == "contents") {
    const auto written = base::write_memory_file(holdings.find("contents"),
                                                 packed_entries(ruleset.tables[*table].addresses.entries()), 0);
    return written ? Json::object() : refusal(api::status::kFailed, written.error().message);
  }
  return change(*table, asked, holdings);
}

Json TableDesk::list() const {
  Json tables = Json::array();
  const firewall::TableList& all = plane_.snapshot().policy->ruleset().tables;
  for (firewall::TableId id = 0; id < all.size(); ++id) {
    const firewall::Table& table = all[id];
    if (!table.is_named) continue;
    tables.push_back({{"table", table.name},
                      {"entries", table.addresses.size()},
                      {"overload", plane_.additions_to(id).size()},
                      {"const", table.is_const},
                      {"changed", changed_.contains(table.name)},
                      {"file", table.files.size() == 1 ? table.files.front() : ""}});
  }
  return tables;
}

Json TableDesk::show(firewall::TableId table, const nlohmann::json& asked) const {
  const firewall::AddressTable& addresses = plane_.snapshot().policy->ruleset().tables[table].addresses;
  const std::size_t offset = asked.value("offset", std::size_t{0});
  const std::size_t limit = std::min<std::size_t>(asked.value("limit", kUsualLimit), kMaxListed);
  const std::vector<wire::HostAddress> added = plane_.additions_to(table);
  Json entries = Json::array();
  // First what the table holds, then what `overload` has added.
  if (offset < addresses.size()) {
    for (const firewall::TableEntry& entry : page_of_entries(addresses.entries(), offset, limit))
      entries.push_back({{"entry", text_of_entry(entry)}, {"overload", false}});
  }
  for (std::size_t i = std::max(offset, addresses.size()) - addresses.size();
       i < added.size() && entries.size() < limit; ++i) {
    entries.push_back({{"entry", wire::to_string(added[i])}, {"overload", true}});
  }
  return {{"total", addresses.size() + added.size()}, {"entries", std::move(entries)}};
}

Json TableDesk::test(firewall::TableId table, const std::string& address) const {
  const auto host = wire::parse_host_address(address);
  if (!host) return refusal(api::status::kBadRequest, "'" + address.substr(0, 60) + "' is no address");
  const firewall::AddressTable& addresses = plane_.snapshot().policy->ruleset().tables[table].addresses;
  const firewall::PrefixSet::Longest longest = addresses.find(host->family, host->address);
  const std::vector<wire::HostAddress> added = plane_.additions_to(table);
  const bool is_added = std::ranges::binary_search(added, *host);
  Json answer{{"address", wire::to_string(*host)}, {"matches", is_added || (longest.length >= 0 && !longest.negated)}};
  answer["entry"] = nullptr;
  if (longest.length >= 0) {
    answer["entry"] =
        text_of_entry({.prefix = wire::Prefix::of(host->family, host->address, static_cast<unsigned>(longest.length)),
                       .negated = longest.negated});
  }
  answer["overload"] = is_added;
  return answer;
}

Json TableDesk::change(firewall::TableId table, const nlohmann::json& asked, const base::Holdings& holdings) {
  const firewall::Table before = plane_.snapshot().policy->ruleset().tables[table];
  const std::string op = asked.at("op");
  if (op != "add" && op != "delete" && op != "replace" && op != "flush")
    return refusal(api::status::kBadRequest, "a table knows no '" + op + "'");
  if (before.is_const) {
    return refusal(api::status::kUnprocessable, "table <" + before.name + "> is const: it changes by a reload only");
  }
  if (const std::string why = asked.value("save", false) ? why_not_saved(before) : ""; !why.empty())
    return refusal(api::status::kUnprocessable, "nothing was changed, since it could not be saved: " + why);
  std::vector<firewall::TableEntry> entries;
  if (op != "flush") {
    const auto bytes = base::read_memory_file(holdings.find("entries"));
    auto unpacked = bytes ? unpacked_entries(*bytes)
                          : base::Result<std::vector<firewall::TableEntry>>(std::unexpected(bytes.error()));
    if (!unpacked) return refusal(api::status::kBadRequest, unpacked.error().message);
    entries = std::move(*unpacked);
  }
  const std::size_t given = entries.size();
  NamedTableChange change{
      .table = before.name, .replaces = op == "replace" || op == "flush", .removed = {}, .added = {}};
  if (op == "delete") {
    for (const firewall::TableEntry& entry : entries) change.removed.push_back(entry.prefix);
  } else {
    change.added = std::move(entries);
  }
  const std::size_t overload_before = plane_.additions_to(table).size();
  // Each copy of a long list costs as much as compiling it.
  const std::string record = TableJournal::record_of(change);
  if (auto made = plane_.change_table({.table = table,
                                       .replaces = change.replaces,
                                       .removed = std::move(change.removed),
                                       .added = std::move(change.added)});
      !made) {
    return refusal(api::status::kUnprocessable, "nothing was changed: " + made.error().message);
  }
  changed_.insert(before.name);
  if (auto kept = journal_.append(record, change.replaces); !kept) {
    return refusal(api::status::kFailed,
                   "it was changed, but would be forgotten if the data process died: " + kept.error().message);
  }
  const firewall::Table& after = plane_.snapshot().policy->ruleset().tables[table];
  return {{"table", after.name},
          {"given", given},
          {"before", before.addresses.size() + overload_before},
          {"entries", after.addresses.size() + plane_.additions_to(table).size()},
          {"file", after.files.size() == 1 ? after.files.front() : ""}};
}

void TableDesk::follow() {
  auto changes = journal_.read_on();
  if (!changes) return;  // again at the next call; when the other is dead, nobody writes any more
  // Many small ones as one for each table, as far as no replacement comes between.
  struct Sum {
    bool replaces = false;
    std::vector<firewall::TableEntry> contents;
    firewall::TableEdits edits;
  };
  std::map<std::string, Sum> sums;
  for (NamedTableChange& change : *changes) {
    Sum& sum = sums[change.table];
    if (change.replaces) {
      sum = {.replaces = true, .contents = std::move(change.added), .edits = {}};
    } else {
      sum.edits.note(change.removed, change.added);
    }
  }
  for (auto& [name, sum] : sums) {
    const auto table = plane_.snapshot().policy->ruleset().find_table(name);
    if (!table) continue;
    base::Result<void> made;
    if (sum.replaces) {
      made = plane_.change_table({.table = *table, .replaces = true, .removed = {}, .added = std::move(sum.contents)});
    }
    if (made && !sum.edits.empty()) {
      made = plane_.change_table(
          {.table = *table, .replaces = false, .removed = sum.edits.removed(), .added = sum.edits.added()});
    }
    if (made) changed_.insert(name);
    if (!made) spdlog::error("table <{}> is not as it was: {}", name, made.error().message);
  }
}

void TableDesk::keep() {
  plane_.take_folded();
  if (journal_.is_due_anew()) write_journal_anew();
}

bool TableDesk::keeps_live_contents(const firewall::Ruleset& ruleset, const std::string& name) const {
  const auto table = ruleset.find_table(name);
  return table && ruleset.tables[*table].is_named && !ruleset.tables[*table].is_const &&
         ruleset.tables[*table].contents.empty();
}

base::Result<std::shared_ptr<const firewall::Policy>> TableDesk::carry_over(
    std::shared_ptr<const firewall::Policy> policy) const {
  const firewall::Ruleset& present = plane_.snapshot().policy->ruleset();
  for (const std::string& name : changed_) {
    const auto from = present.find_table(name);
    if (!from || !keeps_live_contents(policy->ruleset(), name)) continue;
    auto carried =
        policy->with_table_addresses(*policy->ruleset().find_table(name), present.tables[*from].addresses.folded());
    if (!carried) return carried;
    policy = std::move(*carried);
  }
  return policy;
}

void TableDesk::forget_others() {
  const firewall::Ruleset& ruleset = plane_.snapshot().policy->ruleset();
  if (changed_.empty()) return;
  std::erase_if(changed_, [&](const std::string& name) { return !keeps_live_contents(ruleset, name); });
  write_journal_anew();
}

void TableDesk::write_journal_anew() {
  const firewall::Ruleset& ruleset = plane_.snapshot().policy->ruleset();
  std::vector<NamedTableChange> changes;
  for (const std::string& name : changed_) {
    const auto table = ruleset.find_table(name);
    if (!table) continue;
    changes.push_back(
        {.table = name, .replaces = true, .removed = {}, .added = ruleset.tables[*table].addresses.entries()});
  }
  if (const auto written = journal_.write_anew(changes); !written) spdlog::error("{}", written.error().message);
}

}  // namespace ringplane::control
