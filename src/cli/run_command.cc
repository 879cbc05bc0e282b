#include <memory>
#include <string>

#include <CLI/App.hpp>

#include "cli/commands.h"
#include "control/daemon.h"
#include "control/data_process.h"

namespace ringplane::cli {

void add_run(CLI::App& app, Command& chosen) {
  auto config = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("run", "the data plane, in the foreground; SIGTERM stops it, SIGHUP reloads the rules");
  command->add_option("-c,--config", *config, "configuration file (ringplane.toml)")->required();
  command->callback([&chosen, config] { chosen = [config] { return control::run_daemon(*config); }; });

  // What `run` starts; not for people (an empty group hides it).
  constexpr int kChannel = 3;
  CLI::App* data = app.add_subcommand("data-process", "the part of `run` that touches packets")->group("");
  data->callback([&chosen] { chosen = [] { return control::run_data_process(kChannel); }; });
}

}  // namespace ringplane::cli
