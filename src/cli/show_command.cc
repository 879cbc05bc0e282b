#include <cstdint>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <nlohmann/json.hpp>

#include "api/http_client.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "control/show.h"

namespace ringplane::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ShowWords {
  std::string what;
  std::uint32_t limit = control::kUsualLimit;
  std::string search;
  std::string sort;
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

int show(const Whom& whom, const ShowWords& words) {
  const bool is_page = words.what == "rules" || words.what == "flows";
  std::string path = "/v1/" + words.what;
  if (is_page) {
    // All rules, if nobody wants fewer.
    const std::uint32_t limit =
        words.what == "rules" && words.limit == control::kUsualLimit ? control::kMaxListed : words.limit;
    path += "?limit=" + std::to_string(limit) + "&search=" + api::encoded(words.search) +
            "&sort=" + api::encoded(words.sort);
  }
  Answer answer = get(whom, path);
  if (answer.exit_code != kExitFine) return answer.exit_code;
  Json list = is_page ? std::move(answer.json[words.what]) : std::move(answer.json);
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
  command
      ->add_option("what", words->what, "ports, rules, flows, drops, workers, memory, outputs, isolation or processes")
      ->required()
      ->check(CLI::IsMember(std::set<std::string>{"ports", "rules", "flows", "drops", "workers", "memory", "outputs",
                                                  "isolation", "processes"}));
  const auto whom = Whom::add_options(*command);
  command->add_option("--limit", words->limit, "most flows or rules to list")->capture_default_str();
  command->add_option("--search", words->search, "flows, rules: only those whose line holds this");
  command->add_option("--sort", words->sort, "flows, rules: the largest first, by packets, bytes, states or age");
  command->add_flag("--all", words->all, "drops: also the reasons that have not occurred");
  command->add_flag("--json", words->json, "the answer as JSON");
  command->callback([&chosen, whom, words] { chosen = [whom, words] { return show(*whom, *words); }; });
}

}  // namespace ringplane::cli
