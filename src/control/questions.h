// Questions: what a request asks, out of its path, query and body, into values; fails with a sentence for the asker.
// Everything that strangers write goes through here, and through nothing else of this room, first (api_edge_fuzz.cc).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "api/message.h"
#include "base/result.h"
#include "control/rulebook.h"
#include "firewall/prefix_set.h"

namespace ringplane::control {

/// "?limit=&offset=&search=&sort=" as a question of show.h.
[[nodiscard]] base::Result<nlohmann::json> page_of(const api::Request& request, std::string_view what);
/// "?after=&limit=&search=" as a question of report/recent_lines.h.
[[nodiscard]] base::Result<nlohmann::json> lines_question(const api::Request& request);
/// {"packet": "in on lan proto tcp ..."}
[[nodiscard]] base::Result<std::string> packet_in(const api::Request& request);
/// "?filter=&program=&per_second=&snap=" as a question of taps.h, in that form.
[[nodiscard]] base::Result<nlohmann::json> tap_question(const api::Request& request, const char* form);

/// What is to be done with a table.
struct TableWish {
  std::vector<firewall::TableEntry> entries;
  bool save = false;
};
/// Of text/plain as firewall/table_text.h reads it, with "?save=true"; else of {"entries": [...], "save": false}. Of a
/// list with errors all are named, up to a thousand: kBadConfiguration.
[[nodiscard]] base::Result<TableWish> table_wish_in(const api::Request& request);

/// {"confirm_s": 60, "dry_run": false}
[[nodiscard]] base::Result<ApplyWish> rule_wish_in(const api::Request& request);
/// {"to": 12}; 0: the version before.
[[nodiscard]] base::Result<std::uint32_t> version_to_go_back_to(const api::Request& request);
/// {version} of the path.
[[nodiscard]] base::Result<std::uint32_t> version_in_path(const api::Request& request);

}  // namespace ringplane::control
