#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/rule_difference_text.h"
#include "cli/table.h"

namespace ringplane::cli {
namespace {

using Json = nlohmann::ordered_json;

struct HistoryWords {
  std::shared_ptr<Whom> whom;
  std::uint32_t version = 0;
  bool json = false;
};

std::string local_time(std::time_t seconds) {
  std::tm parts{};
  std::array<char, 32> text{};
  if (localtime_r(&seconds, &parts) == nullptr) return "?";
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts)};
}

/// What happened, in words.
std::string how(const Json& version) {
  std::string text = version.at("by");
  if (version.contains("same_as")) text += fmt::format(" to {}", version.at("same_as").get<std::uint32_t>());
  if (version.value("running", false)) text += ", runs";
  if (version.contains("waiting_s")) {
    text += fmt::format(", unconfirmed for {} s more", version.at("waiting_s").get<std::uint32_t>());
  }
  return text;
}

int history(const HistoryWords& words) {
  const std::string path = words.version == 0 ? "/v1/history" : "/v1/history/" + std::to_string(words.version);
  const Answer answer = get(*words.whom, path);
  if (answer.exit_code != kExitFine) return answer.exit_code;
  if (words.json) {
    std::printf("%s\n", answer.json.dump(2).c_str());
    return kExitFine;
  }
  if (words.version != 0) {
    std::printf("version %u, %s, by %s: %u rules\n%s", words.version,
                local_time(answer.json.at("time").get<std::time_t>()).c_str(), how(answer.json).c_str(),
                answer.json.at("rules").get<std::uint32_t>(), difference_text(answer.json.at("difference")).c_str());
    return kExitFine;
  }
  Json lines = Json::array();
  for (const Json& version : answer.json) {
    Json line = version;
    line["time"] = local_time(version.at("time").get<std::time_t>());
    line["by"] = how(version);
    for (const char* told : {"same_as", "running", "waiting_s"}) line.erase(told);
    lines.push_back(std::move(line));
  }
  std::printf("%s", table_of(lines).c_str());
  return kExitFine;
}

}  // namespace

void add_history(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<HistoryWords>();
  CLI::App* command =
      app.add_subcommand("history", "the versions of the rules that have run, or what one of them changed");
  words->whom = Whom::add_options(*command);
  command->add_option("version", words->version, "tell what this one changed")->check(CLI::Range(1U, UINT32_MAX));
  command->add_flag("--json", words->json, "the answer as JSON");
  command->callback([&chosen, words] { chosen = [words] { return history(*words); }; });
}

}  // namespace ringplane::cli
