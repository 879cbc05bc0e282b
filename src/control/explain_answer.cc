#include "control/explain_answer.h"

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "base/result.h"
#include "firewall/explain.h"
#include "firewall/linear.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;

Json explained_rule(const firewall::Ruleset& ruleset, base::RuleId id) {
  if (!id.valid()) return nullptr;
  const firewall::Rule& rule = ruleset.rule(id);
  return {{"number", id.value},
          {"place", ruleset.place_of(rule)},
          {"text", firewall::text_of(ruleset, rule)},
          {"label", ruleset.label_of(rule)}};
}

/// "" for a port that no rule names: rules alone (`-f`) do not know what ports there are.
std::string port_name(const firewall::Ruleset& ruleset, base::PortId port) {
  return port.value < ruleset.port_names.size() ? ruleset.port_names[port.value] : "";
}

Json accounts_json(const firewall::Ruleset& ruleset, const std::vector<firewall::RuleAccount>& accounts) {
  Json list = Json::array();
  for (const firewall::RuleAccount& account : accounts) {
    Json each = explained_rule(ruleset, account.rule);
    if (account.mismatch != firewall::Mismatch::kNone) each["why"] = firewall::sentence_of(account.mismatch);
    list.push_back(std::move(each));
  }
  return list;
}

}  // namespace

Json to_json(const firewall::Ruleset& ruleset, const firewall::Explanation& explanation) {
  Json report{{"verdict", explanation.passes ? "pass" : "block"}};
  report["steps"] = Json::array();
  for (const firewall::StepAccount& step : explanation.steps) {
    const bool dropped = step.drop_reason != base::DropReason::none;
    report["steps"].push_back({{"way", step.key.way == firewall::Way::kIn ? "in" : "out"},
                               {"port", port_name(ruleset, step.key.port)},
                               {"verdict", dropped ? "block" : "pass"},
                               {"drop_reason", dropped ? Json(base::name_of(step.drop_reason)) : Json(nullptr)},
                               {"keeps_state", step.decision.state == firewall::StateKind::kKeep},
                               {"rule", explained_rule(ruleset, step.decision.rule)},
                               {"overridden", accounts_json(ruleset, step.overridden)},
                               {"not_matching", accounts_json(ruleset, step.not_matching)},
                               {"not_reached", accounts_json(ruleset, step.not_reached)}});
  }
  return report;
}

base::Result<Json> explain_packet(const firewall::Ruleset& ruleset, std::string_view packet) {
  constexpr std::size_t kLongestPacket = 1'000;
  if (packet.size() > kLongestPacket) return base::fail("a packet has at most 1,000 characters");
  const auto line = firewall::parse_packet_line(packet, ruleset);
  if (!line) return base::fail(line.error().sentence);
  const firewall::Explanation explanation = firewall::explain(ruleset, *line);
  Json report = to_json(ruleset, explanation);
  report["text"] = firewall::to_text(ruleset, explanation);
  return report;
}

}  // namespace ringplane::control
