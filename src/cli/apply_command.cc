#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/rule_difference_text.h"

namespace ringplane::cli {
namespace {

struct ApplyWords {
  std::shared_ptr<Whom> whom;
  std::string confirm;
  bool dry_run = false;
  bool json = false;
};

/// "60s", "5m", "1h", "90": seconds.
std::optional<std::uint32_t> seconds_in(const std::string& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(end, text.data() + text.size());
  if (error != std::errc() || number > 1'000'000) return std::nullopt;
  if (unit.empty() || unit == "s") return number;
  if (unit == "m") return number * 60;
  if (unit == "h") return number * 3600;
  return std::nullopt;
}

int apply(const ApplyWords& words) {
  nlohmann::json wish{{"dry_run", words.dry_run}};
  if (!words.confirm.empty()) {
    const auto seconds = seconds_in(words.confirm);
    if (!seconds) {
      std::fprintf(stderr, "ringplane: --confirm takes a time such as 60s or 5m, not '%s'\n", words.confirm.c_str());
      return kExitUsage;
    }
    wish["confirm_s"] = *seconds;
  }
  const Answer answer = post(*words.whom, "/v1/apply", wish);
  if (answer.exit_code != kExitFine) return answer.exit_code;
  if (words.json) {
    std::printf("%s\n", answer.json.dump(2).c_str());
    return kExitFine;
  }
  std::printf("%s", difference_text(answer.json.at("difference")).c_str());
  print_tests_and_warnings(answer.json);
  const std::size_t rules = answer.json.at("rules");
  if (words.dry_run) {
    std::printf("nothing was changed; it would be %zu rules\n", rules);
  } else {
    std::printf("version %u runs: %zu rules\n", answer.json.at("version").get<std::uint32_t>(), rules);
  }
  if (answer.json.contains("confirm_s")) {
    std::printf("version %u comes back in %u s, unless you type: ringplane confirm\n",
                answer.json.at("before").get<std::uint32_t>(), answer.json.at("confirm_s").get<std::uint32_t>());
  }
  return kExitFine;
}

}  // namespace

void add_apply(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<ApplyWords>();
  CLI::App* command =
      app.add_subcommand("apply", "reads the rules again, runs their tests, tells the difference and swaps");
  words->whom = Whom::add_options(*command);
  command->add_option("--confirm", words->confirm,
                      "go back by itself unless `ringplane confirm` comes in this time, 5s to 1h");
  command->add_flag("--dry-run,--check", words->dry_run, "only tell what would change");
  command->add_flag("--json", words->json, "the answer as JSON");
  command->callback([&chosen, words] { chosen = [words] { return apply(*words); }; });
}

}  // namespace ringplane::cli
