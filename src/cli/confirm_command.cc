#include <cstdint>
#include <cstdio>
#include <memory>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/rule_difference_text.h"

namespace ringplane::cli {
namespace {

int confirm(const Whom& whom, bool json) {
  const Answer answer = post(whom, "/v1/confirm", nlohmann::json::object());
  if (answer.exit_code != kExitFine) return answer.exit_code;
  if (json) {
    std::printf("%s\n", answer.json.dump(2).c_str());
    return kExitFine;
  }
  print_tests_and_warnings(answer.json);
  std::printf("version %u stays\n", answer.json.at("version").get<std::uint32_t>());
  return kExitFine;
}

}  // namespace

void add_confirm(CLI::App& app, Command& chosen) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("confirm", "the rules that `apply --confirm` has brought stay");
  const auto whom = Whom::add_options(*command);
  command->add_flag("--json", *json, "the answer as JSON");
  command->callback([&chosen, whom, json] { chosen = [whom, json] { return confirm(*whom, *json); }; });
}

}  // namespace ringplane::cli
