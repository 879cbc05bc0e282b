#include <cstdio>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/client.h"
#include "cli/commands.h"

namespace ringplane::cli {
namespace {

int reopen_log(const Whom& whom) {
  const Answer answer = post(whom, "/v1/log/reopen", nlohmann::json::object());
  if (answer.exit_code == kExitFine) std::printf("%s was opened again\n", answer.json.value("reopened", "").c_str());
  return answer.exit_code;
}

}  // namespace

void add_reopen_log(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "reopen-log", "the log goes on in a new file, after somebody (logrotate) has renamed the old one");
  const auto whom = Whom::add_options(*command);
  command->callback([&chosen, whom] { chosen = [whom] { return reopen_log(*whom); }; });
}

}  // namespace ringplane::cli
