#include "firewall/ruleset.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/core.h>

#include "base/ids.h"
#include "firewall/match_key.h"
#include "firewall/table_overlay.h"

namespace ringplane::firewall {

std::string_view Ruleset::label_of(const Rule& rule) const noexcept {
  return rule.label == Rule::kNone ? std::string_view() : std::string_view(names[rule.label]);
}

std::optional<base::PortId> Ruleset::find_port(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < port_names.size(); ++i) {
    if (port_names[i] == name && !name.empty()) return base::PortId{static_cast<std::uint8_t>(i)};
  }
  return std::nullopt;
}

std::optional<TableId> Ruleset::find_table(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (tables[i].is_named && tables[i].name == name) return static_cast<TableId>(i);
  }
  return std::nullopt;
}

std::optional<TagId> Ruleset::find_tag(std::string_view name) const noexcept {
  for (std::size_t i = 1; i < tags.size(); ++i) {
    if (tags[i] == name) return static_cast<TagId>(i);
  }
  return std::nullopt;
}

std::string Ruleset::anchor_path(const Rule& rule) const {
  std::string path;
  for (std::uint32_t at = rule.parent; at != Rule::kNone;) {
    const Rule& anchor = rules[anchors[at].rule];
    const std::string_view name =
        anchor.anchor_name == Rule::kNone ? std::string_view("_") : std::string_view(names[anchor.anchor_name]);
    path = path.empty() ? std::string(name) : fmt::format("{}/{}", name, path);
    at = anchor.parent;
  }
  return path;
}

std::string Ruleset::place_of(const Rule& rule) const {
  const std::string_view file = rule.where.file < files.size() ? std::string_view(files[rule.where.file]) : "?";
  return fmt::format("{}:{}", file, rule.where.line);
}

}  // namespace ringplane::firewall
