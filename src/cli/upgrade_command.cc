#include <cstdio>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/client.h"
#include "cli/commands.h"

namespace ringplane::cli {
namespace {

int upgrade(const Whom& whom) {
  const Answer answer = post(whom, "/v1/upgrade", nlohmann::json::object());
  if (answer.exit_code == kExitFine) std::printf("%s runs now\n", answer.json.value("upgraded", "").c_str());
  return answer.exit_code;
}

}  // namespace

void add_upgrade(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "upgrade", "replaces a running ringplane by the program that is on disk now, without losing a connection");
  const auto whom = Whom::add_options(*command);
  command->callback([&chosen, whom] { chosen = [whom] { return upgrade(*whom); }; });
}

}  // namespace ringplane::cli
