#include <cstdio>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "control/config.h"
#include "control/status_socket.h"

namespace ringplane::cli {
namespace {

int upgrade(const std::string& socket) {
  const auto reply = control::ask(socket, "upgrade");
  if (!reply) {
    std::fprintf(stderr, "ringplane: %s\n", reply.error().message.c_str());
    return kExitFailed;
  }
  const auto said = nlohmann::json::parse(*reply, nullptr, false);
  if (!said.contains("upgraded")) {
    std::fprintf(stderr, "ringplane: %s\n", said.value("error", *reply).c_str());
    return kExitFailed;
  }
  std::printf("%s runs now\n", said["upgraded"].get<std::string>().c_str());
  return kExitFine;
}

}  // namespace

void add_upgrade(CLI::App& app, Command& chosen) {
  auto socket = std::make_shared<std::string>(control::ControlConfig{}.socket);
  CLI::App* command = app.add_subcommand(
      "upgrade", "replaces a running ringplane by the program that is on disk now, without losing a connection");
  command->add_option("--socket", *socket, "the daemon's control socket")->capture_default_str();
  command->callback([&chosen, socket] { chosen = [socket] { return upgrade(*socket); }; });
}

}  // namespace ringplane::cli
