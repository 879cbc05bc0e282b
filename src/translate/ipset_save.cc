#include "translate/ipset_save.h"

#include <algorithm>
#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "firewall/address_range.h"
#include "translate/filter.h"
#include "translate/lines.h"
#include "wire/ip_address.h"

namespace ringplane::translate {
namespace {

/// "192.0.2.1", "192.0.2.0/24" or "192.0.2.1-192.0.2.9"; empty if it is none of them.
std::vector<wire::Prefix> prefixes_in(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    const auto prefix = wire::parse_prefix(text);
    return prefix ? std::vector{*prefix} : std::vector<wire::Prefix>{};
  }
  const auto first = wire::parse_host_address(text.substr(0, dash));
  const auto last = wire::parse_host_address(text.substr(dash + 1));
  return first && last ? firewall::prefixes_of_range(*first, *last) : std::vector<wire::Prefix>{};
}

class SetReader {
 public:
  SetReader(const std::string& name, std::string_view text) : name_(name), lines_(text) {}

  base::Result<Filter> read() {
    std::string_view line;
    while (lines_.next(line)) {
      if (line.size() > kMaxLineBytes) return failed("a line of more than 64 KiB is none of 'ipset save'");
      if (line.empty() || line.front() == '#') continue;
      const auto words = words_of(line);
      if (!words) return failed("a quote is not closed");
      if (words->size() < 3)
        return failed("'" + shown(line.substr(0, 40)) + "' is neither 'create SET TYPE' nor 'add SET ENTRY'");
      std::string error;
      if ((*words)[0] == "create") {
        error = read_create(*words, line);
      } else if ((*words)[0] == "add") {
        error = read_add(*words, line);
      } else {
        error = "'" + shown((*words)[0]) + "' is neither 'create' nor 'add'";
      }
      if (!error.empty()) return failed(error);
    }
    if (sets_.empty()) return failed("no 'create SET TYPE': give what 'ipset save' prints");
    return std::move(filter_);
  }

 private:
  struct Set {
    std::optional<std::size_t> table;  ///< index into Filter::tables; none: not translated
    std::string refusal;
  };

  [[nodiscard]] std::unexpected<base::Error> failed(const std::string& sentence) const {
    return std::unexpected(error_at(name_, lines_.number(), sentence));
  }

  void add_statement(std::string_view line, std::string refusal) {
    filter_.statements.push_back(
        {.where = "line " + std::to_string(lines_.number()), .text = std::string(line), .refusal = std::move(refusal)});
  }

  std::string read_create(const std::vector<std::string>& words, std::string_view line) {
    const std::string& set = words[1];
    const std::string& type = words[2];
    const auto [at, is_new] = sets_.emplace(set, Set{});
    if (!is_new) return "set '" + shown(set) + "' is created twice";
    if (type != "hash:ip" && type != "hash:net" && type != "bitmap:ip") {
      at->second.refusal = "a set of type '" + shown(type) + "' has no equal in pf: tables hold addresses and networks";
    } else if (!is_table_name(set)) {
      at->second.refusal = "pf's tables are named with up to 31 letters, digits, '_', '-' and '.'";
    } else {
      at->second.table = filter_.tables.size();
      filter_.tables.push_back({.name = set});
      if (std::ranges::find(words, "timeout") != words.end()) {
        filter_.tables.back().note = "entries had timeouts; here they stay";
      }
    }
    add_statement(line, at->second.refusal);
    return {};
  }

  std::string read_add(const std::vector<std::string>& words, std::string_view line) {
    const auto found = sets_.find(words[1]);
    if (found == sets_.end()) return "set '" + shown(words[1]) + "' is not created above";
    if (!found->second.table) {
      add_statement(line, found->second.refusal);
      return {};
    }
    const std::vector<wire::Prefix> prefixes = prefixes_in(words[2]);
    if (prefixes.empty()) return "'" + shown(words[2]) + "' is no address, network or range";
    const bool negated = std::find(words.begin() + 3, words.end(), "nomatch") != words.end();
    for (const wire::Prefix& prefix : prefixes) {
      filter_.tables[*found->second.table].entries.push_back({.prefix = prefix, .negated = negated});
    }
    add_statement(line, {});
    return {};
  }

  const std::string& name_;
  Lines lines_;
  Filter filter_;
  std::unordered_map<std::string, Set> sets_;
};

}  // namespace

base::Result<Filter> read_ipset_save(const std::string& name, std::string_view text) {
  return SetReader(name, text).read();
}

}  // namespace ringplane::translate
