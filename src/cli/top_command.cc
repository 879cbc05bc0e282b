#include <array>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>

#include "cli/client.h"
#include "cli/commands.h"
#include "top/keys.h"
#include "top/top.h"

namespace ringplane::cli {
namespace {

int run_top(const Whom& whom, const top::Options& options) {
  const auto client = client_of(whom);
  if (!client) return kExitBadConfiguration;
  const auto done = top::run(*client, options);
  if (done) return kExitFine;
  std::fprintf(stderr, "ringplane: %s\n", done.error().message.c_str());
  return kExitFailed;
}

/// CLI11's own words for a number out of range are about types.
std::string wrong_interval(const std::string& text) {
  double seconds = 0;
  std::size_t end = 0;
  try {
    seconds = std::stod(text, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  if (end == text.size() && seconds >= top::kLeastInterval && seconds <= top::kMostInterval) return {};
  std::array<char, 100> said{};
  std::snprintf(said.data(), said.size(), "give seconds from %g to %g", top::kLeastInterval, top::kMostInterval);
  return said.data();
}

}  // namespace

void add_top(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<top::Options>();
  CLI::App* command = app.add_subcommand("top", "what the running daemon does, live; keys: h tells");
  const auto whom = Whom::add_options(*command);
  command->add_option("--interval", options->interval_s, "seconds between two looks, 0.2 to 60")
      ->capture_default_str()
      ->check(CLI::Validator(wrong_interval, "SECONDS"));
  command->add_flag("--once", options->once, "one plain page, over one interval, to standard output");
  command->callback([&chosen, whom, options] { chosen = [whom, options] { return run_top(*whom, *options); }; });
}

}  // namespace ringplane::cli
