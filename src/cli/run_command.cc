#include <memory>
#include <string>

#include <CLI/App.hpp>

#include "cli/commands.h"
#include "control/daemon.h"

namespace ringplane::cli {

void add_run(CLI::App& app, Command& chosen) {
  auto config = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("run", "the data plane, in the foreground; SIGTERM stops it, SIGHUP reloads the rules");
  command->add_option("-c,--config", *config, "configuration file (ringplane.toml)")->required();
  command->callback([&chosen, config] { chosen = [config] { return control::run_daemon(*config); }; });
}

}  // namespace ringplane::cli
