#include <cstdio>
#include <memory>
#include <string>

#include <CLI/App.hpp>

#include "cli/commands.h"

namespace ringplane::cli {

void add_import(CLI::App& app, Command& chosen) {
  auto format = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("import", "translates another firewall's rules into pf.conf (not yet)");
  command->add_option("format", *format, "iptables-save")->required();
  command->callback([&chosen, format] {
    chosen = [format] {
      std::fprintf(stderr,
                   "ringplane: not yet: import of '%s'; write the rules in pf.conf form and try them with 'ringplane "
                   "check -f'\n",
                   format->c_str());
      return kExitFailed;
    };
  });
}

}  // namespace ringplane::cli
