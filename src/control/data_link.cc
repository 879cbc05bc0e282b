#include "control/data_link.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/estate.h"
#include "control/start_order.h"

namespace ringplane::control {
namespace {

/// Memory for millions of flows is touched before a data process is ready.
constexpr int kStartPatienceMs = 180'000;
constexpr int kPatienceMs = 15'000;
constexpr int kListenerInChild = 3;

/// The same program as a data process, with the listener as descriptor 3 and, beside the standard ones, no other.
pid_t spawn(int listener) {
  const pid_t child = fork();
  if (child != 0) return child;
  // Only what is safe between fork and exec. All other descriptors are closed on exec.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setsid();  // a Ctrl-C is for the control process
  if (listener == kListenerInChild) {
    fcntl(listener, F_SETFD, 0);
  } else {
    dup2(listener, kListenerInChild);
  }
  execl("/proc/self/exe", "ringplane", "data-process", nullptr);
  _exit(127);
}

base::FileDescriptor watch(pid_t pid) {
  return base::FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace

base::Result<DataLink> DataLink::start(const Estate& estate, const std::string& listener_path, std::string& ready) {
  DataLink link;
  link.pid_ = spawn(estate.holdings.find("listener"));
  if (link.pid_ < 0) return base::fail(std::string("cannot start the data process: ") + std::strerror(errno));
  link.end_ = watch(link.pid_);
  const auto give_up = [&](const base::Error& error) {
    link.kill();
    const std::string how = link.how_it_ended();
    return base::fail(error.message + (error.message.starts_with("the other process") ? " (it " + how + ")" : ""),
                      error.kind);
  };
  auto channel = Channel::connect(listener_path, kStartPatienceMs);
  if (!channel) return give_up(channel.error());
  link.channel_ = std::move(*channel);
  Message start{.kind = MessageKind::kStart, .body = estate.order.to_text(), .holdings = {}};
  for (const auto& [name, descriptor] : estate.holdings.all()) {
    if (auto added = start.holdings.add_duplicate(name, descriptor.get()); !added) return give_up(added.error());
  }
  auto answer = link.channel_.call(start);
  if (!answer) return give_up(answer.error());
  link.channel_.set_patience(kPatienceMs);
  ready = std::move(answer->body);
  return link;
}

base::Result<DataLink> DataLink::attach(const std::string& listener_path, Estate& estate) {
  auto channel = Channel::connect(listener_path, kPatienceMs);
  if (!channel) return std::unexpected(std::move(channel.error()));
  auto all = channel->call({.kind = MessageKind::kSurrender, .body = {}, .holdings = {}});
  if (!all) return std::unexpected(std::move(all.error()));
  DataLink link;
  try {
    const auto said = nlohmann::json::parse(all->body);
    auto order = StartOrder::parse(said.at("order"));
    if (!order) return std::unexpected(std::move(order.error()));
    link.pid_ = said.at("pid");
    estate = {.order = std::move(*order), .holdings = std::move(all->holdings)};
  } catch (const nlohmann::json::exception& error) {
    return base::fail(std::string("the data process that runs makes no sense: ") + error.what());
  }
  link.end_ = watch(link.pid_);
  if (!link.end_.valid()) return base::fail("the data process has just ended");
  link.channel_ = std::move(*channel);
  return link;
}

std::string DataLink::how_it_ended() {
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return "ended (it was not our child)";
  if (WIFSIGNALED(status)) {
    return "was ended by signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
  }
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

void DataLink::kill() const noexcept {
  if (end_.valid()) syscall(SYS_pidfd_send_signal, end_.get(), SIGKILL, nullptr, 0);
}

}  // namespace ringplane::control
