#include "cli/rule_difference_text.h"

#include <cstddef>
#include <cstdio>
#include <string>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace ringplane::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string rule_text(const Json& rule) {
  const std::string change = rule.at("change");
  const std::string place = rule.at("place");
  if (change == "removed") return fmt::format("- {}  # {}\n", rule.at("was").get<std::string>(), place);
  const std::string now = rule.at("now");
  if (change == "added") return fmt::format("+ {}  # {}\n", now, place);
  if (change == "moved") return fmt::format("> {}  # {}\n", now, place);
  return fmt::format("~ {}  # {}\n  was: {}\n", now, place, rule.at("was").get<std::string>());
}

}  // namespace

std::string difference_text(const Json& difference) {
  std::string text;
  for (const Json& option : difference.at("options_removed")) text += "- " + option.get<std::string>() + "\n";
  for (const Json& option : difference.at("options_added")) text += "+ " + option.get<std::string>() + "\n";
  for (const Json& table : difference.at("tables")) {
    const std::string change = table.at("change");
    text += fmt::format("{} table <{}>: {} entries added, {} removed\n",
                        change == "added"     ? "+"
                        : change == "removed" ? "-"
                                              : "~",
                        table.at("table").get<std::string>(), table.at("entries_added").get<std::size_t>(),
                        table.at("entries_removed").get<std::size_t>());
  }
  for (const Json& rule : difference.at("rules")) text += rule_text(rule);
  if (const std::size_t more = difference.at("not_listed"); more != 0) text += fmt::format("and {} more rules\n", more);
  text += fmt::format("rules: {} added, {} removed, {} changed, {} moved\n", difference.at("added").get<std::size_t>(),
                      difference.at("removed").get<std::size_t>(), difference.at("changed").get<std::size_t>(),
                      difference.at("moved").get<std::size_t>());
  return text;
}

void print_tests_and_warnings(const Json& answer) {
  if (const std::size_t tests = answer.value("tests", std::size_t{0}); tests != 0)
    std::printf("%zu tests hold\n", tests);
  std::fflush(stdout);
  for (const Json& warning : answer.value("warnings", Json::array())) {
    std::fprintf(stderr, "ringplane: warning: %s\n", warning.get<std::string>().c_str());
  }
}

}  // namespace ringplane::cli
