#include "control/daemon.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/heap.h"
#include "base/mapped_memory.h"
#include "base/result.h"
#include "control/config.h"
#include "control/data_plane.h"
#include "control/eve_log.h"
#include "control/eve_writer.h"
#include "control/show.h"
#include "control/status_socket.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/policy.h"
#include "firewall/ruleset.h"
#include "port/port.h"
#include "worker/log_record.h"

namespace ringplane::control {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitBadConfiguration = 78;
constexpr int kTickMs = 50;

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
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return base::FileDescriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

/// The rules that the configuration names; warnings are logged, errors returned.
base::Result<std::shared_ptr<const firewall::Policy>> compile_rules(const Config& config) {
  firewall::ParseResult parsed = firewall::parse_file(config.rules_path, environment_of(config));
  if (parsed.ok()) {
    for (const auto& warning : parsed.diagnostics) spdlog::warn("{}", firewall::render(warning));
  }
  return firewall::Policy::create(std::move(parsed));
}

class Daemon {
 public:
  Daemon(std::unique_ptr<DataPlane> plane, StatusSocket socket, EveWriter writer, base::FileDescriptor signals)
      : plane_(std::move(plane)),
        socket_(std::move(socket)),
        writer_(std::move(writer)),
        signals_(std::move(signals)) {}

  int run() {
    plane_->start();
    for (const auto& port : plane_->ports()) spdlog::info("{}", port->description());
    spdlog::info("{} rules, {} worker(s), room for {} flows, frames on {}", plane_->snapshot().policy->rule_count(),
                 plane_->workers().size(), plane_->config().flows.limit, base::name_of(plane_->arena().pages()));
    spdlog::info("running");
    link_.resize(plane_->ports().size(), port::LinkState::kUp);
    while (!stopping_) turn();
    const std::uint32_t missing = plane_->stop();
    write_logs();
    writer_.flush();
    if (missing != 0) {
      spdlog::error("{} frames did not come home: please report this", missing);
      return kExitFailed;
    }
    spdlog::info("stopped, all {} frames home", plane_->arena().frame_count());
    return 0;
  }

 private:
  void turn() {
    std::array<pollfd, 2> waits{pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                pollfd{.fd = socket_.descriptor(), .events = POLLIN, .revents = 0}};
    poll(waits.data(), waits.size(), kTickMs);
    if ((waits[0].revents & POLLIN) != 0) take_signal();
    if ((waits[1].revents & POLLIN) != 0) {
      socket_.serve([this](const std::string& request) { return answer(request); });
    }
    write_logs();
    plane_->spread_overloads();
    watch_links();
  }

  void take_signal() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGHUP) {
        reload();
      } else {
        stopping_ = true;
      }
    }
  }

  void reload() {
    auto policy = compile_rules(plane_->config());
    if (!policy) {
      spdlog::error("the rules stay as they are, since the new ones have errors:\n{}", policy.error().message);
      return;
    }
    const firewall::Limits& limits = (*policy)->options().limits;
    const std::uint32_t room = plane_->config().flows.limit;
    if (limits.states_set && limits.states != room) {
      spdlog::warn("set limit states takes effect at the next start; until then there is room for {} flows", room);
    }
    write_logs();  // records of the present rules, while their labels are at hand
    if (auto reloaded = plane_->reload(std::move(*policy)); !reloaded) {
      spdlog::error("the rules stay as they are: {}", reloaded.error().message);
      return;
    }
    spdlog::info("reloaded: {} rules, generation {}", plane_->snapshot().policy->rule_count(),
                 plane_->snapshot().generation);
  }

  /// "show WHAT [LIMIT]"; anything else is answered with an error.
  std::string answer(const std::string& request) {
    std::istringstream words(request);
    std::string verb;
    std::string what;
    std::uint32_t limit = 1000;
    words >> verb >> what >> limit;
    nlohmann::ordered_json reply;
    if (verb == "show") reply = show(*plane_, what, limit);
    if (reply.is_null())
      reply = {{"error", "unknown request; known are: show ports, rules, flows, drops, workers, memory"}};
    return reply.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }

  void write_logs() {
    const std::uint64_t wall_offset_ns = base::wall_clock_ns() - base::monotonic_ns();
    plane_->drain_logs([&](const worker::LogRecord& record) {
      const worker::Snapshot& snapshot = plane_->snapshot();
      const firewall::Ruleset* ruleset =
          record.generation == snapshot.generation ? &snapshot.policy->ruleset() : nullptr;
      const std::string& interface = plane_->config().ports[record.port.value].interface;
      writer_.write(eve_line(record, ruleset, interface, record.now_ns + wall_offset_ns));
    });
    writer_.flush();
  }

  void watch_links() {
    // Asking the device is a system call: every second is enough for a message.
    if (const std::uint64_t now_ns = base::monotonic_ns(); now_ns - links_asked_ns_ >= base::kNanosPerSecond) {
      links_asked_ns_ = now_ns;
    } else {
      return;
    }
    std::uint64_t down = 0;
    for (std::size_t i = 0; i < link_.size(); ++i) {
      const port::LinkState state = plane_->ports()[i]->link_state();
      if (state != port::LinkState::kUp) down |= std::uint64_t{1} << i;
      if (state == std::exchange(link_[i], state)) continue;
      const PortConfig& port = plane_->config().ports[i];
      if (state == port::LinkState::kGone) {
        spdlog::error("port {}: interface {} is gone; bring it back and restart ringplane to use it again", port.name,
                      port.interface);
      } else {
        spdlog::warn("port {}: interface {} is {}", port.name, port.interface, port::name_of(state));
      }
    }
    for (const auto& worker : plane_->workers()) worker->set_ports_down(down);
  }

  std::unique_ptr<DataPlane> plane_;
  StatusSocket socket_;
  EveWriter writer_;
  base::FileDescriptor signals_;
  std::vector<port::LinkState> link_;
  std::uint64_t links_asked_ns_ = 0;
  bool stopping_ = false;
};

}  // namespace

int run_daemon(const std::string& config_path) {
  base::keep_freed_memory();  // rules that are compiled beside the workers must not hold these up
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
  auto policy = compile_rules(config.config);
  if (!policy) {
    std::fprintf(stderr, "%s\n", policy.error().message.c_str());
    return kExitBadConfiguration;
  }
  base::FileDescriptor signals = open_signals();
  auto socket = StatusSocket::listen(config.config.control.socket);
  if (!socket) return refuse(socket.error());
  auto writer = EveWriter::open(config.config.log.file);
  if (!writer) return refuse(writer.error());
  auto plane = DataPlane::create(config.config, std::move(*policy));
  if (!plane) return refuse(plane.error());
  return Daemon(std::move(*plane), std::move(*socket), std::move(*writer), std::move(signals)).run();
}

}  // namespace ringplane::control
