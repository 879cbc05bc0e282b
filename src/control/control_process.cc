#include "control/control_process.h"

#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <expected>
#include <filesystem>
#include <fstream>
#include <ios>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>

#include "api/http_server.h"
#include "api/message.h"
#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/config.h"
#include "control/data_link.h"
#include "control/estate.h"
#include "control/outlets.h"
#include "control/reservations.h"
#include "control/rule_version.h"
#include "control/rulebook.h"
#include "report/log_outlet.h"

namespace ringplane::control {
namespace {

constexpr int kExitOfFailure = 1;
constexpr int kTickMs = 50;
constexpr timespec kRest{.tv_sec = 0, .tv_nsec = 50'000'000};
constexpr std::uint64_t kStandbyPauseNs = 10 * base::kNanosPerSecond;  // one that is ended at once must cost little

/// A client that cannot be let in for want of descriptors makes every poll(2) return at once.
void rest_if_out_of_descriptors(int any) {
  if (!base::duplicate(any)) nanosleep(&kRest, nullptr);
}

}  // namespace

Program Program::running() {
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

bool Deaths::note(std::uint64_t now_ns) {
  constexpr std::uint64_t kWindowNs = 30 * base::kNanosPerSecond;
  std::erase_if(recent_, [&](std::uint64_t then) { return now_ns - then > kWindowNs; });
  recent_.push_back(now_ns);
  return recent_.size() >= kMost;
}

ControlProcess::ControlProcess(Config config, Estate estate, DataLink link, Rulebook book, base::FileDescriptor signals)
    : config_(std::move(config)),
      outlets_(config_),
      estate_(std::move(estate)),
      link_(std::move(link)),
      book_(std::move(book)),
      signals_(std::move(signals)) {
  add_routes();
}

base::Result<void> ControlProcess::serve_at(base::FileDescriptor listener, api::HttpOptions options) {
  auto server = api::HttpServer::create(std::move(listener), std::move(options),
                                        [this](api::Request request) { return router_.answer(std::move(request)); });
  if (!server) return std::unexpected(std::move(server.error()));
  servers_.push_back(std::move(*server));
  return {};
}

int ControlProcess::run() {
  prepare_standby();
  service_notice_.ready("running");
  while (!stopping_) turn();
  service_notice_.stopping();
  return stop();
}

void ControlProcess::start_with(RuleVersion version) {
  book_.started(std::move(version), *this);
}

void ControlProcess::come_with(const base::Result<RuleVersion>& on_disk) {
  note_holder(estate_.holdings, config_);
  book_.found(estate_.holdings, *this);
  if (!on_disk || book_.wants(*on_disk)) (void)book_.apply({.by = "start"});
}

base::Result<std::string> ControlProcess::go_over(base::Holdings rules) {
  if (!link_ && !revive()) return base::fail("no data process can be started: see the daemon's messages");
  Message message{.kind = MessageKind::kRules, .body = {}, .holdings = std::move(rules)};
  auto done = link_->call(message);
  if (!done) return std::unexpected(std::move(done.error()));
  replace_rules(estate_, std::move(message.holdings));
  dismiss_standby();  // it has the old ones
  prepare_standby();
  return std::move(done->body);
}

base::Result<void> ControlProcess::keep(base::Holdings known) {
  Message message{.kind = MessageKind::kKeep, .body = {}, .holdings = std::move(known)};
  if (link_) {
    if (auto done = link_->call(message); !done) return std::unexpected(std::move(done.error()));
  }
  replace_rules(estate_, std::move(message.holdings));
  return {};
}

void ControlProcess::turn() {
  std::vector<pollfd> waits{pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                            pollfd{.fd = link_ ? link_->end_descriptor() : -1, .events = POLLIN, .revents = 0},
                            pollfd{.fd = standby_ ? standby_->end_descriptor() : -1, .events = POLLIN, .revents = 0}};
  int patience_ms = tap_streams_.empty() ? kTickMs : TapStreams::kTickMs;
  for (const api::HttpServer& server : servers_) {
    waits.push_back({.fd = server.descriptor(), .events = POLLIN, .revents = 0});
    patience_ms = server.patience_ms(patience_ms);
  }
  poll(waits.data(), waits.size(), patience_ms);
  if (waits[2].revents != 0) dismiss_standby();  // it was ended by somebody
  if (link_ && !standby_ && base::monotonic_ns() - standby_tried_ns_ > kStandbyPauseNs) prepare_standby();
  service_notice_.alive(base::monotonic_ns());
  book_.watch_deadline(base::monotonic_ns());
  if (waits[1].revents != 0) bury();
  if ((waits[0].revents & POLLIN) != 0) take_signal();
  for (api::HttpServer& server : servers_) server.serve();
  tap_streams_.pump(link_ ? &*link_ : nullptr);
  if (std::any_of(waits.begin() + 3, waits.end(), [](const pollfd& each) { return each.revents != 0; })) {
    rest_if_out_of_descriptors(signals_.get());
  }
  if (auto fresh = outlets_.renew(estate_.holdings, base::monotonic_ns()); !fresh.all().empty()) {
    (void)hand_over(std::move(fresh));
  }
  if (becoming_new_) become_the_new_program();
}

void ControlProcess::take_signal() {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGHUP) {
      service_notice_.reloading();
      service_notice_.ready(
          book_.apply({.by = "sighup"}) ? "running" : "running; the last reload failed, the rules before it stay");
    } else if (info.ssi_signo == SIGUSR1) {
      if (const auto reopened = reopen_log(); !reopened) spdlog::warn("{}", reopened.error().message);
    } else {
      stopping_ = true;
    }
  }
}

base::Result<void> ControlProcess::hand_over(base::Holdings fresh) {
  base::Result<void> done;
  if (link_) {
    Message message{.kind = MessageKind::kOutlets, .body = {}, .holdings = {}};
    for (const auto& [name, descriptor] : fresh.all()) {
      if (done) done = message.holdings.add_duplicate(name, descriptor.get());
    }
    if (done) {
      if (const auto taken = link_->call(message); !taken) done = std::unexpected(taken.error());
    }
  }
  if (done) {
    Outlets::settle(estate_.holdings, std::move(fresh));
  } else {
    spdlog::error("the data process goes on with the old log: {}", done.error().message);
  }
  return done;
}

base::Result<nlohmann::ordered_json> ControlProcess::reopen_log() {
  auto fresh = outlets_.reopen();
  if (!fresh) return std::unexpected(std::move(fresh.error()));
  if (const auto done = hand_over(std::move(*fresh)); !done) return std::unexpected(done.error());
  return nlohmann::ordered_json{{"reopened", config_.log.file}};
}

void ControlProcess::bury() {
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

base::Result<void> ControlProcess::replace(std::uint64_t since_ns) {
  auto next = standby_ ? base::Result<DataLink>(std::move(*standby_)) : DataLink::prepare(estate_);
  standby_.reset();
  if (!next) return std::unexpected(std::move(next.error()));
  report::cut_to_whole_lines(estate_.holdings.find("log"));
  const auto found = next->go(estate_);
  if (!found) return std::unexpected(found.error());
  link_ = std::move(*next);
  announce_takeover(*found, since_ns);
  return {};
}

void ControlProcess::prepare_standby() {
  standby_tried_ns_ = base::monotonic_ns();
  if (std::ranges::any_of(config_.ports, &PortConfig::is_dpdk)) return;
  auto prepared = DataLink::prepare(estate_);
  if (prepared) {
    standby_ = std::move(*prepared);
  } else {
    spdlog::warn("no data process stands by: {}", prepared.error().message);
  }
}

void ControlProcess::dismiss_standby() {
  if (!standby_) return;
  standby_->kill();
  (void)standby_->how_it_ended();
  standby_.reset();
}

void ControlProcess::announce_takeover(const std::string& ready, std::uint64_t since_ns) {
  const auto said = nlohmann::json::parse(ready, nullptr, false);
  const std::uint64_t took_us = (base::monotonic_ns() - since_ns) / 1'000;
  if (!said.value("flows_trusted", true)) {
    spdlog::error("the flow table did not hold together: it was dropped, and connections begin anew");
  }
  spdlog::info("running again after {}.{:03} ms: {} flows kept, {} dropped", took_us / 1'000, took_us % 1'000,
               said.value("flows_kept", 0), said.value("flows_dropped", 0));
}

void ControlProcess::fail(const std::string& why) {
  const auto failures = set_bypass(estate_, config_, true);
  for (const std::string& failure : failures) spdlog::error("{}", failure);
  spdlog::error("{}; bridges are {} now. Find the cause, then send SIGHUP (or restart ringplane)", why, bypass_text());
}

std::string ControlProcess::bypass_text() const {
  std::string text;
  for (const BridgeConfig& bridge : config_.bridges) {
    text += (text.empty() ? "" : ", ") + config_.ports[bridge.first].name + "-" + config_.ports[bridge.second].name +
            (bridge.fail_open ? " open (unfiltered)" : " closed");
  }
  return text.empty() ? "none" : text;
}

bool ControlProcess::revive() {
  deaths_.forget();
  if (const auto replaced = replace(base::monotonic_ns()); !replaced) {
    spdlog::error("no data process can be started: {}", replaced.error().message);
    return false;
  }
  for (const std::string& failure : set_bypass(estate_, config_, false)) spdlog::error("{}", failure);
  return true;
}

base::Result<nlohmann::ordered_json> ControlProcess::upgrade() {
  if (std::ranges::any_of(config_.ports, &PortConfig::is_dpdk)) {
    return base::fail("a device of DPDK cannot be handed on: stop ringplane and start the new program");
  }
  auto next = DataLink::prepare(estate_, program_.path);
  const auto ready = next ? next->await_ready() : base::Result<void>(std::unexpected(next.error()));
  if (!ready) return base::fail("nothing was changed, since the new program is of no use: " + ready.error().message);
  const std::uint64_t since_ns = base::monotonic_ns();
  if (link_) {
    if (const auto left = link_->call({.kind = MessageKind::kLeave, .body = {}, .holdings = {}}); !left) link_->kill();
    (void)link_->how_it_ended();
    link_.reset();
  }
  report::cut_to_whole_lines(estate_.holdings.find("log"));
  const auto found = next->go(estate_);
  if (!found) {
    fail("the new data process did not take over: " + found.error().message);
    return std::unexpected(found.error());
  }
  link_ = std::move(*next);
  announce_takeover(*found, since_ns);
  for (const std::string& failure : set_bypass(estate_, config_, false)) spdlog::error("{}", failure);
  return nlohmann::ordered_json{{"upgraded", program_.path}};
}

void ControlProcess::become_the_new_program() {
  becoming_new_ = false;
  dismiss_standby();
  std::vector<char*> words;
  for (std::string& word : program_.words) words.push_back(word.data());
  words.push_back(nullptr);
  execv(program_.path.c_str(), words.data());
  spdlog::error("cannot run {} ({}): the control process stays the old one", program_.path, std::strerror(errno));
  prepare_standby();
}

int ControlProcess::stop() {
  dismiss_standby();
  remove_reservations(estate_.holdings);
  unlink(listener_path(config_).c_str());
  if (!link_) return kExitOfFailure;
  const auto stopped = link_->call({.kind = MessageKind::kStop, .body = {}, .holdings = {}});
  if (!stopped) {
    spdlog::error("the data process did not stop: {}", stopped.error().message);
    link_->kill();
    return kExitOfFailure;
  }
  (void)link_->how_it_ended();
  const auto said = nlohmann::json::parse(stopped->body, nullptr, false);
  if (const auto missing = said.value("missing", 0U); missing != 0) {
    spdlog::error("{} frames did not come home: please report this", missing);
    return kExitOfFailure;
  }
  spdlog::info("stopped, all {} frames home", said.value("frames", 0U));
  return 0;
}

}  // namespace ringplane::control
