#include <cstdio>
#include <exception>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "cli/commands.h"

namespace ringplane::cli {

int run_program(int argc, const char* const* argv) {
  CLI::App app("A stateful firewall in line, in user space, on mapped NIC rings.", "ringplane");
  app.set_version_flag("--version", "ringplane " RINGPLANE_VERSION);
  app.require_subcommand(1);
  app.footer("Exit codes: 0 fine, 1 failed, 2 usage, 78 bad configuration. 'ringplane COMMAND --help' tells more.");
  Command chosen;
  for (const auto add :
       {add_run, add_check, add_explain, add_test, add_replay, add_show, add_top, add_apply, add_confirm, add_rollback,
        add_history, add_table, add_trace, add_capture, add_upgrade, add_reopen_log, add_import, add_doctor, add_bench})
    add(app, chosen);
  try {
    app.parse(argc, argv);
    return chosen();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitFine : kExitUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ringplane: %s\n", error.what());
    return kExitFailed;
  }
}

}  // namespace ringplane::cli
