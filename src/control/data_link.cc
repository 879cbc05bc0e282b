#include "control/data_link.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/estate.h"
#include "control/outlets.h"
#include "control/start_order.h"

namespace ringplane::control {
namespace {

/// Memory for millions of flows is touched before a data process is ready.
constexpr int kStartPatienceMs = 180'000;
constexpr int kLinkPatienceMs = 15'000;
constexpr int kEndPatienceMs = 5'000;
constexpr int kChannelInChild = 3;

/// `program` as a data process, with `channel` as descriptor 3 and, beside the standard ones, no other.
pid_t spawn(const std::string& program, int channel) {
  const pid_t child = fork();
  if (child != 0) return child;
  // Only what is safe between fork and exec. All other descriptors are closed on exec.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setsid();  // a Ctrl-C is for the control process
  if (channel == kChannelInChild) {
    fcntl(channel, F_SETFD, 0);
  } else {
    dup2(channel, kChannelInChild);
  }
  execl(program.c_str(), "ringplane", "data-process", nullptr);
  _exit(127);
}

base::FileDescriptor watch(pid_t pid) {
  return base::FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace

base::Result<DataLink> DataLink::prepare(const Estate& estate, const std::string& program) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return base::fail(std::string("cannot make a channel to the data process: ") + std::strerror(errno));
  }
  DataLink link;
  link.channel_ = Channel(base::FileDescriptor(ends[0]));
  const base::FileDescriptor far(ends[1]);
  link.pid_ = spawn(program, far.get());
  if (link.pid_ < 0) return base::fail(std::string("cannot start the data process: ") + std::strerror(errno));
  link.end_ = watch(link.pid_);
  if (!link.end_.valid()) {
    const int error = errno;
    (void)::kill(link.pid_, SIGKILL);  // our child, not waited for yet: the number is its own
    (void)link.how_it_ended();
    return base::fail(std::string("cannot watch over the data process: ") + std::strerror(error));
  }
  link.channel_.set_patience(kStartPatienceMs);
  Message start{.kind = MessageKind::kStart, .body = estate.order.to_text(), .holdings = {}};
  base::Result<void> sent;
  for (const auto& [name, descriptor] : estate.holdings.all()) {
    if (sent) sent = start.holdings.add_duplicate(name, descriptor.get());
  }
  if (sent) sent = link.channel_.send(start);
  if (sent) return link;
  return link.give_up(sent.error());
}

base::Result<void> DataLink::await_ready() {
  if (ready_) return {};
  auto prepared = channel_.receive_answer();
  if (!prepared) return give_up(prepared.error());
  ready_ = true;
  return {};
}

base::Result<std::string> DataLink::go(const Estate& estate) {
  if (auto ready = await_ready(); !ready) return std::unexpected(std::move(ready.error()));
  // Out of descriptors, it writes into those of the time when it was started: better than none that forwards.
  auto outlets = outlets_of(estate.holdings);
  auto found = channel_.call(
      {.kind = MessageKind::kGo, .body = {}, .holdings = outlets ? std::move(*outlets) : base::Holdings()});
  if (!found) return give_up(found.error());
  channel_.set_patience(kLinkPatienceMs);
  return std::move(found->body);
}

std::unexpected<base::Error> DataLink::give_up(const base::Error& error) {
  channel_.close();  // it may wait for a word
  // It ends by itself, and takes away what it has made (sockets of DPDK); unless it is stuck.
  pollfd waiting{.fd = end_.get(), .events = POLLIN, .revents = 0};
  if (poll(&waiting, 1, kEndPatienceMs) != 1) kill();
  const std::string how = how_it_ended();
  const bool is_silent = error.message.starts_with("the other process");
  return base::fail(is_silent ? "the data process " + how + " before it was ready" : error.message, error.kind);
}

base::Result<DataLink> DataLink::attach(const std::string& listener_path, Estate& estate) {
  auto channel = Channel::connect(listener_path, kLinkPatienceMs);
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
