// `ringplane doctor`: whether this machine is fit for ringplane, and what to type if not.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/rules_source.h"
#include "control/config.h"
#include "control/estate.h"
#include "control/numa_plan.h"
#include "doctor/doctor.h"
#include "doctor/finding.h"
#include "doctor/machine.h"
#include "doctor/running_kernel.h"
#include "doctor/wishes.h"
#include "firewall/parser.h"
#include "flow/flow_table.h"
#include "frame/arena.h"

namespace ringplane::cli {
namespace {

constexpr std::uint32_t kEthernetAndTwoTagsBytes = 14 + 2 * 4;
constexpr std::uint32_t kLargestFrameBytes = 4096;

struct DoctorWords {
  std::string config_path;
  std::vector<std::string> interfaces;
  bool json = false;
};

std::uint32_t mtu_of(std::uint32_t frame_bytes) {
  return frame_bytes - frame::kHeadroomBytes - kEthernetAndTwoTagsBytes;
}

/// What every worker takes, as control/estate.cc takes it.
std::vector<doctor::MemoryWish> memory_of(const control::Config& config) {
  const std::vector<int> nodes = control::nodes_of_workers(config);
  const std::uint32_t workers = config.workers.count;
  const std::uint64_t frames_bytes = std::uint64_t{config.memory.frames} * config.memory.frame_bytes;
  const std::uint64_t flow_bytes = flow::FlowTable::bytes_for(control::share(config.flows.limit, workers));
  if (nodes.empty()) {
    std::vector<doctor::MemoryWish> wishes{{.bytes = frames_bytes}};
    for (std::uint32_t i = 0; i < workers; ++i) wishes.push_back({.bytes = flow_bytes});
    return wishes;
  }
  std::vector<doctor::MemoryWish> wishes;
  for (const int node : nodes) {
    wishes.push_back({.bytes = frames_bytes / workers, .node = node});
    wishes.push_back({.bytes = flow_bytes, .node = node});
  }
  return wishes;
}

doctor::PortWish wish_of(const control::PortConfig& port) {
  return {.name = port.name,
          .interface = port.is_dpdk() ? port.dpdk_device().substr(0, port.dpdk_device().find(',')) : port.interface,
          .is_dpdk = port.is_dpdk(),
          .native_only = port.mode == control::XdpMode::kNative,
          .generic_only = port.mode == control::XdpMode::kGeneric,
          .zero_copy = port.zero_copy};
}

doctor::Wishes wishes_of(const control::Config& config) {
  doctor::Wishes wishes{.workers = config.workers.count,
                        .cpus = config.workers.cpus,
                        .never_sleeps = config.workers.spin_turns == UINT32_MAX,
                        .memory = memory_of(config),
                        .huge_pages = config.memory.huge_pages,
                        .frames_bytes = std::uint64_t{config.memory.frames} * config.memory.frame_bytes,
                        .largest_mtu = mtu_of(config.memory.frame_bytes),
                        .larger_frames = config.memory.frame_bytes < kLargestFrameBytes ? kLargestFrameBytes : 0};
  for (const control::PortConfig& port : config.ports) wishes.ports.push_back(wish_of(port));
  for (const control::BridgeConfig& bridge : config.bridges) wishes.bridges.emplace_back(bridge.first, bridge.second);
  return wishes;
}

/// None: the configuration is wrong, and every error of it is told.
std::optional<doctor::Wishes> read_wishes(const std::string& path) {
  control::ConfigResult read = control::read_config(path);
  if (!read.ok()) {
    print_diagnostics(read.diagnostics);
    return std::nullopt;
  }
  // Rules may say how many flows there are; whether they are right otherwise is a question for `ringplane check`.
  const auto rules = firewall::parse_file(read.config.rules_path, control::environment_of(read.config));
  control::settle_limits(read.config, rules.ruleset.options);
  return wishes_of(read.config);
}

doctor::Wishes default_wishes(const doctor::Machine& machine, const std::vector<std::string>& interfaces) {
  const control::MemoryConfig memory;
  doctor::Wishes wishes{.frames_bytes = std::uint64_t{memory.frames} * memory.frame_bytes,
                        .largest_mtu = mtu_of(memory.frame_bytes),
                        .larger_frames = kLargestFrameBytes};
  for (const std::string& interface : interfaces.empty() ? doctor::possible_ports(machine) : interfaces) {
    wishes.ports.push_back({.name = interface, .interface = interface, .is_required = !interfaces.empty()});
  }
  return wishes;
}

void print(const std::vector<doctor::Finding>& findings, bool json) {
  if (!json) {
    for (const doctor::Finding& finding : findings) std::fputs(doctor::text_of(finding).c_str(), stdout);
    return;
  }
  auto list = nlohmann::ordered_json::array();
  for (const auto& [subject, what, said] : findings) {
    list.push_back({{"level", doctor::name_of(said.level)},
                    {"subject", subject},
                    {"what", what},
                    {"finding", said.finding},
                    {"advice", said.advice}});
  }
  std::printf("%s\n", list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

int examine(const DoctorWords& words) {
  if (!words.config_path.empty() && !words.interfaces.empty()) {
    std::fprintf(stderr, "ringplane: give either --config or the names of interfaces\n");
    return kExitUsage;
  }
  const doctor::RunningKernel kernel;
  const doctor::Machine machine("", kernel);
  const auto wishes = words.config_path.empty() ? std::optional(default_wishes(machine, words.interfaces))
                                                : read_wishes(words.config_path);
  if (!wishes) return kExitBadConfiguration;
  const std::vector<doctor::Finding> findings = doctor::examine(machine, *wishes);
  print(findings, words.json);
  std::string broken;
  for (const doctor::Finding& finding : findings) {
    if (finding.said.level != doctor::Level::kBroken) continue;
    broken += (broken.empty() ? "" : ", ") + finding.subject + " " + finding.what;
  }
  if (broken.empty()) return kExitFine;
  std::fprintf(stderr, "ringplane: this keeps it from working: %s\n", broken.c_str());
  return kExitFailed;
}

}  // namespace

void add_doctor(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<DoctorWords>();
  CLI::App* command = app.add_subcommand(
      "doctor", "tells what of this machine is fine, what costs speed, and what to type; changes nothing");
  command->add_option("-c,--config", words->config_path, "configuration file: its ports, workers and memory are meant");
  command->add_option("interfaces", words->interfaces,
                      "without a configuration: these interfaces, or all that could be ports");
  command->add_flag("--json", words->json, "the findings as JSON");
  command->callback([&chosen, words] { chosen = [words] { return examine(*words); }; });
}

}  // namespace ringplane::cli
