#include <cstdint>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/rules_source.h"
#include "cli/table.h"
#include "control/config.h"
#include "control/status_socket.h"

namespace ringplane::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ShowWords {
  std::string what;
  std::string socket = control::ControlConfig{}.socket;
  std::string config_path;
  std::uint32_t limit = 1000;
  bool json = false;
  bool all = false;
};

/// As `pfctl -vsr`: the rule, and its counters below.
void print_rules(const Json& rules) {
  for (const Json& rule : rules) {
    std::printf("@%s %s\n", rule["rule"].dump().c_str(), rule["text"].get<std::string>().c_str());
    std::printf("  [ Packets: %-10s Bytes: %-12s States: %-6s Made: %-8s %s ]\n", rule["packets"].dump().c_str(),
                rule["bytes"].dump().c_str(), rule["states"].dump().c_str(), rule["states_total"].dump().c_str(),
                rule["place"].get<std::string>().c_str());
  }
}

int show(ShowWords& words) {
  if (!words.config_path.empty()) {
    const control::ConfigResult config = control::read_config(words.config_path);
    if (!config.diagnostics.empty()) {
      print_diagnostics(config.diagnostics);
      return kExitBadConfiguration;
    }
    words.socket = config.config.control.socket;
  }
  const auto reply = control::ask(words.socket, "show " + words.what + " " + std::to_string(words.limit));
  if (!reply) {
    std::fprintf(stderr, "ringplane: %s\n", reply.error().message.c_str());
    return kExitFailed;
  }
  Json list = Json::parse(*reply, nullptr, false);
  if (!list.is_array()) {
    std::fprintf(stderr, "ringplane: the daemon answered: %s", reply->c_str());
    return kExitFailed;
  }
  if (words.json) {
    std::printf("%s\n", list.dump(2).c_str());
    return kExitFine;
  }
  if (words.what == "rules") {
    print_rules(list);
    return kExitFine;
  }
  if (words.what == "drops" && !words.all) {
    Json counted = Json::array();
    for (const Json& each : list) {
      if (each["packets"] != 0) counted.push_back(each);
    }
    list = std::move(counted);
    if (list.empty()) std::printf("nothing dropped\n");
  }
  std::printf("%s", table_of(list).c_str());
  return kExitFine;
}

}  // namespace

void add_show(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<ShowWords>();
  CLI::App* command = app.add_subcommand("show", "asks the running daemon");
  command->add_option("what", words->what, "ports, rules, flows, drops, workers, memory, isolation or processes")
      ->required()
      ->check(CLI::IsMember(
          std::set<std::string>{"ports", "rules", "flows", "drops", "workers", "memory", "isolation", "processes"}));
  command->add_option("--socket", words->socket, "the daemon's control socket")->capture_default_str();
  command->add_option("-c,--config", words->config_path, "take the socket from this configuration file");
  command->add_option("--limit", words->limit, "most flows to list")->capture_default_str();
  command->add_flag("--all", words->all, "drops: also the reasons that have not occurred");
  command->add_flag("--json", words->json, "the answer as JSON");
  command->callback([&chosen, words] { chosen = [words] { return show(*words); }; });
}

}  // namespace ringplane::cli
