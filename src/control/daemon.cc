#include "control/daemon.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <expected>
#include <filesystem>
#include <fstream>
#include <ios>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/memory_file.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/config.h"
#include "control/data_link.h"
#include "control/estate.h"
#include "control/rule_files.h"
#include "control/service_notice.h"
#include "control/status_socket.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/policy.h"
#include "firewall/ruleset.h"

namespace ringplane::control {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitBadConfiguration = 78;
constexpr int kTickMs = 50;
constexpr std::uint64_t kStandbyPauseNs = 10 * base::kNanosPerSecond;  // one that is ended at once must cost little

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

/// What the configuration names, read once: compiled, and packed for the data process.
struct Rules {
  std::shared_ptr<const firewall::Policy> policy;
  base::FileDescriptor packed;
};

/// Warnings are logged, errors returned.
base::Result<Rules> read_rules(const Config& config) {
  RecordedFiles files;
  firewall::Environment environment = environment_of(config);
  environment.files = &files;
  firewall::ParseResult parsed = firewall::parse_file(config.rules_path, environment);
  if (parsed.ok()) {
    for (const auto& warning : parsed.diagnostics) spdlog::warn("{}", firewall::render(warning));
  }
  auto policy = firewall::Policy::create(std::move(parsed));
  if (!policy) return std::unexpected(std::move(policy.error()));
  auto packed = files.pack();
  if (!packed) return std::unexpected(std::move(packed.error()));
  return Rules{std::move(*policy), std::move(*packed)};
}

/// This program as it was started, to be started again.
struct Program {
  std::string path;
  std::vector<std::string> words;

  static Program running() {
    std::error_code ignored;
    Program program{.path = std::filesystem::read_symlink("/proc/self/exe", ignored).string(), .words = {}};
    // Of a file that was replaced since.
    if (constexpr std::string_view kDeleted = " (deleted)"; program.path.ends_with(kDeleted)) {
      program.path.resize(program.path.size() - kDeleted.size());
    }
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    for (std::string word; std::getline(file, word, '\0');) program.words.push_back(word);
    return program;
  }
};

/// Deaths of data processes. Too many in too short a time are a loop that starting another one does not end.
class Deaths {
 public:
  /// One more; true: it is a loop.
  bool note(std::uint64_t now_ns) {
    std::erase_if(recent_, [&](std::uint64_t then) { return now_ns - then > kWindowNs; });
    recent_.push_back(now_ns);
    return recent_.size() >= kMost;
  }
  void forget() { recent_.clear(); }
  static constexpr std::size_t kMost = 5;

 private:
  static constexpr std::uint64_t kWindowNs = 30 * base::kNanosPerSecond;
  std::vector<std::uint64_t> recent_;
};

class Daemon {
 public:
  Daemon(Config config, Estate estate, DataLink link, StatusSocket socket, base::FileDescriptor signals)
      : config_(std::move(config)),
        estate_(std::move(estate)),
        link_(std::move(link)),
        socket_(std::move(socket)),
        signals_(std::move(signals)) {}

  int run() {
    prepare_standby();
    service_notice_.ready("running");
    while (!stopping_) turn();
    service_notice_.stopping();
    return stop();
  }
  /// Rules on disk that are not those of a data process that was found running. False: they stay as they are.
  bool reload() {
    auto rules = read_rules(config_);
    if (!rules) {
      spdlog::error("the rules stay as they are, since the new ones have errors:\n{}", rules.error().message);
      return false;
    }
    const firewall::Limits& limits = rules->policy->options().limits;
    if (limits.states_set && limits.states != estate_.order.flow_limit) {
      spdlog::warn("set limit states takes effect at the next start; until then there is room for {} flows",
                   estate_.order.flow_limit);
    }
    if (!link_ && !revive()) return false;
    Message message{.kind = MessageKind::kRules, .body = {}, .holdings = {}};
    auto added = message.holdings.add_duplicate("rules", rules->packed.get());
    const auto reloaded = added ? link_->call(message) : base::Result<Message>(std::unexpected(added.error()));
    if (!reloaded) {
      spdlog::error("the rules stay as they are: {}", reloaded.error().message);
      return false;
    }
    estate_.holdings.add("rules", std::move(rules->packed));
    dismiss_standby();  // it has the old ones
    prepare_standby();
    spdlog::info("reloaded: {} rules, generation {}", rules->policy->rule_count(), reloaded->body);
    return true;
  }

 private:
  void turn() {
    std::array<pollfd, 4> waits{
        pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = socket_.descriptor(), .events = POLLIN, .revents = 0},
        pollfd{.fd = link_ ? link_->end_descriptor() : -1, .events = POLLIN, .revents = 0},
        pollfd{.fd = standby_ ? standby_->end_descriptor() : -1, .events = POLLIN, .revents = 0}};
    poll(waits.data(), waits.size(), kTickMs);
    if (waits[3].revents != 0) dismiss_standby();  // it was ended by somebody
    if (link_ && !standby_ && base::monotonic_ns() - standby_tried_ns_ > kStandbyPauseNs) prepare_standby();
    service_notice_.alive(base::monotonic_ns());
    if (waits[2].revents != 0) bury();
    if ((waits[0].revents & POLLIN) != 0) take_signal();
    if ((waits[1].revents & POLLIN) != 0) {
      socket_.serve([this](const std::string& request) { return answer(request); });
    }
    if (becoming_new_) become_the_new_program();
  }

  void take_signal() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGHUP) {
        service_notice_.reloading();
        service_notice_.ready(reload() ? "running" : "running; the last reload failed, the rules before it stay");
      } else {
        stopping_ = true;
      }
    }
  }

  /// The data process has died: start another on what it left, unless that is no use.
  void bury() {
    const std::uint64_t died_ns = base::monotonic_ns();
    const std::string how = link_->how_it_ended();
    link_.reset();
    if (deaths_.note(died_ns)) {
      fail("the data process " + how + ", and so did " + std::to_string(Deaths::kMost - 1) + " before it within 30 s");
      return;
    }
    spdlog::error("the data process {}; another takes over", how);
    if (const auto replaced = replace(died_ns); !replaced) {
      fail("no other data process can be started: " + replaced.error().message);
      return;
    }
    prepare_standby();
  }

  /// The one that stands by goes to work, or one that is started now.
  base::Result<void> replace(std::uint64_t since_ns) {
    auto next = standby_ ? base::Result<DataLink>(std::move(*standby_)) : DataLink::prepare(estate_);
    standby_.reset();
    if (!next) return std::unexpected(std::move(next.error()));
    const auto found = next->go();
    if (!found) return std::unexpected(found.error());
    link_ = std::move(*next);
    announce_takeover(*found, since_ns);
    return {};
  }

  /// Ready and waiting, a data process takes over in a few milliseconds, however many rules there are. Devices of DPDK
  /// can be opened by one process only.
  void prepare_standby() {
    standby_tried_ns_ = base::monotonic_ns();
    if (std::ranges::any_of(config_.ports, &PortConfig::is_dpdk)) return;
    auto prepared = DataLink::prepare(estate_);
    if (prepared) {
      standby_ = std::move(*prepared);
    } else {
      spdlog::warn("no data process stands by: {}", prepared.error().message);
    }
  }

  void dismiss_standby() {
    if (!standby_) return;
    standby_->kill();
    (void)standby_->how_it_ended();
    standby_.reset();
  }

  static void announce_takeover(const std::string& ready, std::uint64_t since_ns) {
    const auto said = nlohmann::json::parse(ready, nullptr, false);
    const std::uint64_t took_us = (base::monotonic_ns() - since_ns) / 1'000;
    if (!said.value("flows_trusted", true)) {
      spdlog::error("the flow table did not hold together: it was dropped, and connections begin anew");
    }
    spdlog::info("running again after {}.{:03} ms: {} flows kept, {} dropped", took_us / 1'000, took_us % 1'000,
                 said.value("flows_kept", 0), said.value("flows_dropped", 0));
  }

  /// Gives up until somebody says SIGHUP: what becomes of packets is for the configuration to say.
  void fail(const std::string& why) {
    const auto failures = set_bypass(estate_, config_, true);
    for (const std::string& failure : failures) spdlog::error("{}", failure);
    spdlog::error("{}; bridges are {} now. Find the cause, then send SIGHUP (or restart ringplane)", why,
                  bypass_text());
  }

  [[nodiscard]] std::string bypass_text() const {
    std::string text;
    for (const BridgeConfig& bridge : config_.bridges) {
      text += (text.empty() ? "" : ", ") + config_.ports[bridge.first].name + "-" + config_.ports[bridge.second].name +
              (bridge.fail_open ? " open (unfiltered)" : " closed");
    }
    return text.empty() ? "none" : text;
  }

  /// After fail(): tries again.
  bool revive() {
    deaths_.forget();
    if (const auto replaced = replace(base::monotonic_ns()); !replaced) {
      spdlog::error("no data process can be started: {}", replaced.error().message);
      return false;
    }
    for (const std::string& failure : set_bypass(estate_, config_, false)) spdlog::error("{}", failure);
    return true;
  }

  std::string answer(const std::string& request) {
    if (request.starts_with("show processes")) return processes_text();
    if (request == "upgrade") return upgrade();
    if (!link_) return error_text("no data process lives: see the daemon's messages, then send SIGHUP");
    auto reply = link_->call({.kind = MessageKind::kAsk, .body = request, .holdings = {}});
    return reply ? std::move(reply->body) : error_text(reply.error().message);
  }

  /// The program on disk, which may be a new one, takes the place of both processes: first of the data process, at
  /// once, then of this one (become_the_new_program()).
  std::string upgrade() {
    if (std::ranges::any_of(config_.ports, &PortConfig::is_dpdk)) {
      return error_text("a device of DPDK cannot be handed on: stop ringplane and start the new program");
    }
    auto next = DataLink::prepare(estate_, program_.path);
    const auto ready = next ? next->await_ready() : base::Result<void>(std::unexpected(next.error()));
    if (!ready) return error_text("nothing was changed, since the new program is of no use: " + ready.error().message);
    const std::uint64_t since_ns = base::monotonic_ns();
    if (link_) {
      if (const auto left = link_->call({.kind = MessageKind::kLeave, .body = {}, .holdings = {}}); !left)
        link_->kill();
      (void)link_->how_it_ended();
      link_.reset();
    }
    const auto found = next->go();
    if (!found) {
      fail("the new data process did not take over: " + found.error().message);
      return error_text(found.error().message);
    }
    link_ = std::move(*next);
    announce_takeover(*found, since_ns);
    for (const std::string& failure : set_bypass(estate_, config_, false)) spdlog::error("{}", failure);
    becoming_new_ = true;
    return nlohmann::json{{"upgraded", program_.path}}.dump() + "\n";
  }

  /// Same process, same words, new program: it comes to the data process as after a death.
  void become_the_new_program() {
    becoming_new_ = false;
    dismiss_standby();
    std::vector<char*> words;
    for (std::string& word : program_.words) words.push_back(word.data());
    words.push_back(nullptr);
    execv(program_.path.c_str(), words.data());
    spdlog::error("cannot run {} ({}): the control process stays the old one", program_.path, std::strerror(errno));
    prepare_standby();
  }

  [[nodiscard]] std::string processes_text() const {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    list.push_back({{"process", "control"}, {"pid", getpid()}});
    if (link_) list.push_back({{"process", "data"}, {"pid", link_->pid()}});
    if (standby_) list.push_back({{"process", "standby"}, {"pid", standby_->pid()}});
    return list.dump() + "\n";
  }

  static std::string error_text(const std::string& sentence) {
    return nlohmann::json{{"error", sentence}}.dump() + "\n";
  }

  int stop() {
    dismiss_standby();
    unlink(listener_path(config_).c_str());
    if (!link_) return kExitFailed;
    const auto stopped = link_->call({.kind = MessageKind::kStop, .body = {}, .holdings = {}});
    if (!stopped) {
      spdlog::error("the data process did not stop: {}", stopped.error().message);
      link_->kill();
      return kExitFailed;
    }
    (void)link_->how_it_ended();
    const auto said = nlohmann::json::parse(stopped->body, nullptr, false);
    if (const auto missing = said.value("missing", 0U); missing != 0) {
      spdlog::error("{} frames did not come home: please report this", missing);
      return kExitFailed;
    }
    spdlog::info("stopped, all {} frames home", said.value("frames", 0U));
    return 0;
  }

  Config config_;
  Estate estate_;
  std::optional<DataLink> link_;     // none: it has died, and no other could be kept alive
  std::optional<DataLink> standby_;  // ready to take its place
  StatusSocket socket_;
  base::FileDescriptor signals_;
  std::uint64_t standby_tried_ns_ = 0;
  Program program_ = Program::running();
  ServiceNotice service_notice_ = ServiceNotice::from_environment();
  Deaths deaths_;
  bool becoming_new_ = false;
  bool stopping_ = false;
};

void announce(const std::string& ready) {
  const auto said = nlohmann::json::parse(ready, nullptr, false);
  for (const auto& port : said.at("ports")) spdlog::info("{}", port.get<std::string>());
  spdlog::info("{} rules, {} worker(s), room for {} flows, frames on {}", said.value("rules", 0U),
               said.value("workers", 0U), said.value("flows", 0U), said.value("pages", ""));
  spdlog::info("isolation of the data process: {}", said.value("isolation", ""));
  spdlog::info("running");
}

/// Comes to a data process that goes on though its control process has died.
int attend(const Config& config, DataLink link, Estate estate, StatusSocket socket, base::FileDescriptor signals,
           base::Result<Rules> rules) {
  const auto present = base::read_memory_file(estate.holdings.find("rules"));
  const bool other_rules =
      !rules || !present || base::read_memory_file(rules->packed.get()).value_or("") != present.value();
  spdlog::info("attached to the data process {}, which has gone on", link.pid());
  if (estate.order.config_text != config.text) {
    spdlog::warn("{} has changed; that takes effect when ringplane is stopped and started", config.path);
  }
  Config running = parse_config(estate.order.config_text, estate.order.config_path).config;
  Daemon daemon(std::move(running), std::move(estate), std::move(link), std::move(socket), std::move(signals));
  if (other_rules) (void)daemon.reload();
  spdlog::info("running");
  return daemon.run();
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
  auto rules = read_rules(config.config);
  // First, so that nobody comes to the data process of a control process that lives.
  auto socket = StatusSocket::listen(config.config.control.socket);
  if (!socket) return refuse(socket.error());
  Estate estate;
  if (auto link = DataLink::attach(listener_path(config.config), estate)) {
    return attend(config.config, std::move(*link), std::move(estate), std::move(*socket), std::move(signals),
                  std::move(rules));
  }
  if (!rules) {
    std::fprintf(stderr, "%s\n", rules.error().message.c_str());
    return kExitBadConfiguration;
  }
  auto taken = take_estate(config.config, *rules->policy, std::move(rules->packed));
  if (!taken) return refuse(taken.error());
  auto link = DataLink::prepare(*taken);
  const auto ready = link ? link->go() : base::Result<std::string>(std::unexpected(link.error()));
  if (!ready) {
    unlink(listener_path(config.config).c_str());
    return refuse(ready.error());
  }
  announce(*ready);
  return Daemon(config.config, std::move(*taken), std::move(*link), std::move(*socket), std::move(signals)).run();
}

}  // namespace ringplane::control
