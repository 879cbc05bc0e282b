#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "base/result.h"
#include "cli/commands.h"
#include "control/replay.h"

namespace ringplane::cli {
namespace {

struct ReplayWords {
  control::ReplayOptions options;
  std::vector<std::string> inputs;
  bool quiet = false;
  bool json = false;
};

int run_replay(ReplayWords& words) {
  for (const std::string& input : words.inputs) {
    const auto equals = input.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == input.size()) {
      std::fprintf(stderr, "ringplane: --in takes PORT=FILE, such as lan=a.pcap, not '%s'\n", input.c_str());
      return kExitUsage;
    }
    words.options.inputs.push_back({.port = input.substr(0, equals), .path = input.substr(equals + 1)});
  }
  const auto summary = control::replay(words.options, [&](const nlohmann::ordered_json& line) {
    if (!words.quiet) std::printf("%s\n", line.dump().c_str());
  });
  if (!summary) {
    std::fprintf(stderr, "%s%s\n", summary.error().kind == base::ErrorKind::kBadConfiguration ? "" : "ringplane: ",
                 summary.error().message.c_str());
    return summary.error().kind == base::ErrorKind::kBadConfiguration ? kExitBadConfiguration : kExitFailed;
  }
  for (const std::string& warning : summary->warnings) std::fprintf(stderr, "ringplane: %s\n", warning.c_str());
  if (words.json) {
    const nlohmann::ordered_json report{{"packets", summary->packets},
                                        {"passed", summary->passed},
                                        {"dropped", summary->dropped},
                                        {"rejected", summary->rejected},
                                        {"flows_total", summary->flows_total},
                                        {"flows_live", summary->flows_live},
                                        {"cut", summary->cut}};
    std::printf("%s\n", nlohmann::ordered_json{{"summary", report}}.dump().c_str());
  } else {
    std::fprintf(stderr, "%llu packets: %llu passed, %llu dropped (%llu of them answered), %llu flows\n",
                 static_cast<unsigned long long>(summary->packets), static_cast<unsigned long long>(summary->passed),
                 static_cast<unsigned long long>(summary->dropped), static_cast<unsigned long long>(summary->rejected),
                 static_cast<unsigned long long>(summary->flows_total));
    if (summary->cut != 0) {
      std::fprintf(stderr, "%llu packets are cut in the captures: take them with the whole snap length\n",
                   static_cast<unsigned long long>(summary->cut));
    }
  }
  return summary->warnings.empty() ? kExitFine : kExitFailed;
}

}  // namespace

void add_replay(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<ReplayWords>();
  CLI::App* command =
      app.add_subcommand("replay", "captures through the same pipeline: no root, no NIC; one JSON line per packet");
  command->add_option("-f,--file", words->options.rules_path, "rules file (pf.conf)")->required();
  command->add_option("--in", words->inputs, "PORT=FILE: a capture as received on that port; once or twice")
      ->required();
  command->add_option("--peer", words->options.peer,
                      "name of the other port when there is one --in (default wan, or lan for wan)");
  command->add_option("--out-dir", words->options.out_dir,
                      "write forwarded packets to DIR/PORT.pcap, by the port they leave by");
  command->add_flag("--quiet", words->quiet, "no line per packet, only the summary");
  command->add_flag("--json", words->json, "the summary as a last JSON line too");
  command->callback([&chosen, words] { chosen = [words] { return run_replay(*words); }; });
}

}  // namespace ringplane::cli
