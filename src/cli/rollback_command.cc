#include <cstdint>
#include <cstdio>
#include <memory>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <nlohmann/json.hpp>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/rule_difference_text.h"

namespace ringplane::cli {
namespace {

struct RollbackWords {
  std::shared_ptr<Whom> whom;
  std::uint32_t to = 0;
  bool json = false;
};

int rollback(const RollbackWords& words) {
  nlohmann::json wish = nlohmann::json::object();
  if (words.to != 0) wish["to"] = words.to;
  const Answer answer = post(*words.whom, "/v1/rollback", wish);
  if (answer.exit_code != kExitFine) return answer.exit_code;
  if (words.json) {
    std::printf("%s\n", answer.json.dump(2).c_str());
    return kExitFine;
  }
  std::printf("%s", difference_text(answer.json.at("difference")).c_str());
  print_tests_and_warnings(answer.json);
  std::printf("version %u runs, with the rules of version %u\n", answer.json.at("version").get<std::uint32_t>(),
              answer.json.at("same_as").get<std::uint32_t>());
  return kExitFine;
}

}  // namespace

void add_rollback(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<RollbackWords>();
  CLI::App* command =
      app.add_subcommand("rollback", "goes back to the rules that ran before, or to a version by number");
  words->whom = Whom::add_options(*command);
  command->add_option("version", words->to, "as `ringplane history` lists it")->check(CLI::Range(1U, UINT32_MAX));
  command->add_flag("--json", words->json, "the answer as JSON");
  command->callback([&chosen, words] { chosen = [words] { return rollback(*words); }; });
}

}  // namespace ringplane::cli
