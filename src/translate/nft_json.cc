// The list of objects: tables, sets, maps, chains, then rules; what stands in a rule reads nft_rule.cc.
#include "translate/nft_json.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "translate/filter.h"
#include "translate/lines.h"
#include "translate/nft_rule.h"
#include "wire/ip_address.h"

namespace ringplane::translate {
namespace {

using nlohmann::json;

constexpr int kMaxNesting = 32;

class ListReader {
 public:
  base::Result<Filter> read(const std::string& name, std::string_view text) {
    bool deep = false;
    json list;
    try {
      list = json::parse(text, [&deep](int depth, json::parse_event_t, json&) {
        deep = deep || depth > kMaxNesting;
        return !deep;
      });
    } catch (const json::parse_error& error) {
      return base::Result<Filter>(std::unexpected(error_at(
          name,
          1 + static_cast<std::size_t>(std::count(
                  text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size())), '\n')),
          "no JSON: give what 'nft -j list ruleset' prints")));
    } catch (const json::exception&) {
      return base::fail(name + ": a number in it is too large: give what 'nft -j list ruleset' prints");
    }
    if (deep || !list.is_object() || !list.contains("nftables") || !list["nftables"].is_array()) {
      return base::fail(name + ": no list named 'nftables': give what 'nft -j list ruleset' prints");
    }
    const json& objects = list["nftables"];
    for (const json& object : objects) read_set(object);
    for (const json& object : objects) {
      if (const std::string error = read_chain(object); !error.empty()) return base::fail(name + ": " + error);
    }
    for (const json& object : objects) {
      if (const std::string error = read_rule(object); !error.empty()) return base::fail(name + ": " + error);
    }
    order_chains();
    return std::move(filter_);
  }

 private:
  /// The member `kind` of an entry of the list, if it is one.
  static const json* entry(const json& object, const char* kind) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(kind);
    return found != object.end() && found->is_object() ? &*found : nullptr;
  }
  static std::string text_of(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
  }
  static std::string table_of(const json& object) { return text_of(object, "family") + " " + text_of(object, "table"); }

  void read_set(const json& object) {
    const json* set = entry(object, "set");
    const bool is_map = set == nullptr;
    if (is_map) set = entry(object, "map");
    if (set == nullptr) return;
    const std::string name = text_of(*set, "name");
    NftSet& to = sets_[table_of(*set)][name];
    if (set->contains("elem") && (*set)["elem"].is_array()) to.elements = (*set)["elem"];
    const std::string type = text_of(*set, "type");
    if (is_map || (type != "ipv4_addr" && type != "ipv6_addr") || !is_table_name(name)) return;
    AddressTable table{.name = name};
    // Tables of pf have one space of names.
    const auto taken = [this](const std::string& wanted) {
      return std::ranges::find(filter_.tables, wanted, &AddressTable::name) != filter_.tables.end();
    };
    for (int i = 2; taken(table.name) && i < 100; ++i) table.name = name.substr(0, 27) + "_" + std::to_string(i);
    if (taken(table.name)) return;
    for (const json& element : to.elements) {
      const std::vector<wire::Prefix> prefixes = nft_prefixes(nft_bare(element));
      if (prefixes.empty()) return;  // no table: rules that use the set are refused
      for (const wire::Prefix& prefix : prefixes) table.entries.push_back({.prefix = prefix});
      if (element.is_object() && element.contains("elem"))
        table.note = "entries had timeouts or counters; here they stay";
    }
    to.table = table.name;
    filter_.tables.push_back(std::move(table));
  }

  std::string read_chain(const json& object) {
    const json* chain = entry(object, "chain");
    if (chain == nullptr) return {};
    const std::string family = text_of(*chain, "family");
    const std::string name = table_of(*chain) + " " + text_of(*chain, "name");
    if (!chains_.emplace(name, filter_.chains.size()).second) return "chain '" + shown(name) + "' is there twice";
    Chain made{.name = name};
    made.bridged = family == "bridge";
    made.family = family == "ip" ? wire::Family::kIpv4 : family == "ip6" ? wire::Family::kIpv6 : wire::Family::kNone;
    std::int64_t priority = 0;
    const std::string hook = text_of(*chain, "hook");
    filters_[name] = family != "arp" && family != "netdev";
    if (!hook.empty()) {
      const bool filters = text_of(*chain, "type") == "filter" && filters_[name];
      if (filters)
        made.hook = hook == "input"     ? Hook::kInput
                    : hook == "forward" ? Hook::kForward
                    : hook == "output"  ? Hook::kOutput
                                        : Hook::kNone;
      filters_[name] = made.hook != Hook::kNone;
      if (chain->contains("prio") && (*chain)["prio"].is_number_integer())
        priority = (*chain)["prio"].get<std::int64_t>();
      made.accepts = text_of(*chain, "policy") != "drop";
    }
    priorities_.push_back(priority);
    filter_.chains.push_back(std::move(made));
    return {};
  }

  std::string read_rule(const json& object) {
    const json* rule = entry(object, "rule");
    if (rule == nullptr) return {};
    const std::string table = table_of(*rule);
    const std::string name = table + " " + text_of(*rule, "chain");
    const auto found = chains_.find(name);
    if (found == chains_.end()) return "a rule is of chain '" + shown(name) + "', which is not in the list";
    const auto handle = rule->find("handle");
    Statement statement{.where = shown(name) + (handle != rule->end() && handle->is_number_unsigned()
                                                    ? " handle " + std::to_string(handle->get<std::uint64_t>())
                                                    : std::string())};
    const auto expressions = rule->find("expr");
    if (expressions == rule->end() || !expressions->is_array()) return statement.where + ": a rule without 'expr'";
    statement.text = expressions->dump(-1, ' ', true, json::error_handler_t::replace);
    if (!filters_[name]) {
      statement.refusal = "not a chain that filters what is received, forwarded or sent: not yet";
      filter_.statements.push_back(std::move(statement));
      return {};
    }
    NftRule read(sets_[table], table + " ");
    read.read(*expressions);
    statement.refusal = read.refusal();
    const std::string comment = text_of(*rule, "comment");
    for (FilterRule& each : read.rules()) {
      each.statement = filter_.statements.size();
      if (!comment.empty()) each.label = comment;
      filter_.chains[found->second].rules.push_back(std::move(each));
    }
    filter_.statements.push_back(std::move(statement));
    return {};
  }

  /// As the kernel asks them: by priority.
  void order_chains() {
    std::vector<std::size_t> order(filter_.chains.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, {}, [this](std::size_t at) { return std::pair(priorities_[at], at); });
    std::vector<Chain> chains;
    chains.reserve(order.size());
    for (const std::size_t i : order) chains.push_back(std::move(filter_.chains[i]));
    filter_.chains = std::move(chains);
  }

  Filter filter_;
  std::unordered_map<std::string, std::unordered_map<std::string, NftSet>> sets_;
  std::unordered_map<std::string, std::size_t> chains_;
  std::unordered_map<std::string, bool> filters_;
  std::vector<std::int64_t> priorities_;  // of chains
};

}  // namespace

base::Result<Filter> read_nft_json(const std::string& name, std::string_view text) {
  return ListReader().read(name, text);
}

}  // namespace ringplane::translate
