#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "cli/commands.h"
#include "cli/rules_source.h"
#include "firewall/explain.h"
#include "firewall/linear.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"

namespace ringplane::cli {
namespace {

using Json = nlohmann::ordered_json;
using firewall::Action;

Json rule_json(const firewall::Ruleset& ruleset, base::RuleId id) {
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
    Json each = rule_json(ruleset, account.rule);
    if (account.mismatch != firewall::Mismatch::kNone) each["why"] = firewall::sentence_of(account.mismatch);
    list.push_back(std::move(each));
  }
  return list;
}

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
                               {"rule", rule_json(ruleset, step.decision.rule)},
                               {"overridden", accounts_json(ruleset, step.overridden)},
                               {"not_matching", accounts_json(ruleset, step.not_matching)},
                               {"not_reached", accounts_json(ruleset, step.not_reached)}});
  }
  return report;
}

int explain(const RulesSource& source, const std::string& packet, bool json) {
  const auto loaded = load_rules(source);
  if (!loaded) return kExitUsage;
  print_diagnostics(loaded->diagnostics);
  if (!loaded->ok()) return kExitBadConfiguration;
  const firewall::Ruleset& ruleset = loaded->parsed.ruleset;
  const auto line = firewall::parse_packet_line(packet, ruleset);
  if (!line) {
    print_diagnostics({line.error()});
    return kExitUsage;
  }
  const firewall::Explanation explanation = firewall::explain(ruleset, *line);
  std::printf("%s\n",
              json ? to_json(ruleset, explanation).dump(2).c_str() : firewall::to_text(ruleset, explanation).c_str());
  return explanation.passes ? kExitFine : kExitFailed;
}

}  // namespace

void add_explain(CLI::App& app, Command& chosen) {
  struct Options {
    RulesSource source;
    std::string packet;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("explain", "what the rules do with one packet, and why; exits 1 if they block it");
  add_rules_options(*command, options->source);
  command->add_flag("--json", options->json, "the account as JSON");
  command
      ->add_option("packet", options->packet,
                   "such as 'in on lan proto tcp from 10.0.0.5 port 40000 to 192.0.2.10 port 22 flags S';\n"
                   "'in on lan out on wan ...' asks both sides")
      ->required();
  command->callback(
      [&chosen, options] { chosen = [options] { return explain(options->source, options->packet, options->json); }; });
}

}  // namespace ringplane::cli
