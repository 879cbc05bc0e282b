#include "control/daemon.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <expected>
#include <memory>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>

#include "base/file_descriptor.h"
#include "base/memory_file.h"
#include "base/result.h"
#include "control/config.h"
#include "control/control_process.h"
#include "control/data_link.h"
#include "control/estate.h"
#include "control/reservations.h"
#include "control/rule_version.h"
#include "control/rulebook.h"
#include "control/ways_in.h"
#include "firewall/diagnostic.h"

namespace ringplane::control {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitBadConfiguration = 78;

int exit_code(const base::Error& error) {
  return error.kind == base::ErrorKind::kBadConfiguration ? kExitBadConfiguration : kExitFailed;
}

int refuse(const base::Error& error) {
  std::fprintf(stderr, "ringplane: %s\n", error.message.c_str());
  return exit_code(error);
}

/// The signals the daemon waits for, taken out of the normal way before any thread starts.
base::FileDescriptor open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return base::FileDescriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

void announce(const std::string& ready) {
  const auto said = nlohmann::json::parse(ready, nullptr, false);
  for (const auto& port : said.at("ports")) spdlog::info("{}", port.get<std::string>());
  spdlog::info("{} rules, {} worker(s), room for {} flows, frames on {}", said.value("rules", 0U),
               said.value("workers", 0U), said.value("flows", 0U), said.value("pages", ""));
  spdlog::info("isolation of the data process: {}", said.value("isolation", ""));
  spdlog::info("running");
}

/// Comes to a data process that goes on though its control process has died.
int attend(const Config& config, DataLink link, Estate estate, WaysIn ways_in, base::FileDescriptor signals,
           const base::Result<RuleVersion>& rules) {
  spdlog::info("attached to the data process {}, which has gone on", link.pid());
  if (estate.order.config_text != config.text) {
    spdlog::warn("{} has changed; that takes effect when ringplane is stopped and started", config.path);
  }
  Config running = parse_config(estate.order.config_text, estate.order.config_path).config;
  Rulebook book(running);
  ControlProcess process(std::move(running), std::move(estate), std::move(link), std::move(book), std::move(signals));
  if (auto led = ways_in.lead_to(process); !led) return refuse(led.error());
  process.come_with(rules);
  spdlog::info("running");
  return process.run();
}

}  // namespace

int run_daemon(const std::string& config_path) {
  auto logger = std::make_shared<spdlog::logger>("ringplane", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("ringplane: %v");
  spdlog::set_default_logger(logger);
  spdlog::flush_on(spdlog::level::info);

  const ConfigResult config = read_config(config_path);
  if (!config.ok()) {
    for (const auto& diagnostic : config.diagnostics)
      std::fprintf(stderr, "%s\n", firewall::render(diagnostic).c_str());
    return kExitBadConfiguration;
  }
  base::FileDescriptor signals = open_signals();
  auto rules = read_version(config.config);
  // First, so that nobody comes to the data process of a control process that lives.
  auto ways_in = WaysIn::open(config.config.control);
  if (!ways_in) return refuse(ways_in.error());
  Estate estate;
  if (auto link = DataLink::attach(listener_path(config.config), estate)) {
    return attend(config.config, std::move(*link), std::move(estate), std::move(*ways_in), std::move(signals), rules);
  }
  if (!rules) {
    std::fprintf(stderr, "%s\n", rules.error().message.c_str());
    return kExitBadConfiguration;
  }
  Rulebook book(config.config);
  RuleVersion version = book.version_to_start_with(std::move(*rules));
  auto packed = base::make_text_file(version.packed, "the rules");
  if (!packed) return refuse(packed.error());
  auto taken = take_estate(config.config, version.ruleset.options, std::move(*packed));
  if (!taken) return refuse(taken.error());
  auto link = DataLink::prepare(*taken);
  const auto ready = link ? link->go(*taken) : base::Result<std::string>(std::unexpected(link.error()));
  if (!ready) {
    unlink(listener_path(config.config).c_str());
    remove_reservations(taken->holdings);
    return refuse(ready.error());
  }
  ControlProcess process(config.config, std::move(*taken), std::move(*link), std::move(book), std::move(signals));
  if (auto led = ways_in->lead_to(process); !led) return refuse(led.error());
  process.start_with(std::move(version));
  announce(*ready);
  return process.run();
}

}  // namespace ringplane::control
