#include <cstdio>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/rules_source.h"
#include "control/explain_answer.h"
#include "firewall/explain.h"
#include "firewall/ruleset.h"

namespace ringplane::cli {
namespace {

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
  std::printf("%s\n", json ? control::to_json(ruleset, explanation).dump(2).c_str()
                           : firewall::to_text(ruleset, explanation).c_str());
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
