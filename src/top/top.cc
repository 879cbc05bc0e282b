#include "top/top.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <expected>
#include <string>
#include <thread>
#include <utility>

#include <sys/ioctl.h>
#include <sys/signalfd.h>

#include "api/http_client.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "top/keys.h"
#include "top/rates.h"
#include "top/sample.h"
#include "top/terminal.h"
#include "top/view.h"
#include "top/watcher.h"

namespace ringplane::top {
namespace {

/// Nobody wants to look at a screen without rates for a minute.
constexpr double kFirstRatesS = 0.5;
constexpr std::size_t kPlainColumns = 80;

/// Signals that end or resize it, as a descriptor; handled as before when this goes.
class Signals {
 public:
  Signals() {
    sigset_t mask;
    sigemptyset(&mask);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) sigaddset(&mask, signal);
    pthread_sigmask(SIG_BLOCK, &mask, &before_);
    descriptor_ = base::FileDescriptor(signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC));
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }
  /// The next that has come; 0: none.
  [[nodiscard]] int next() const noexcept {
    signalfd_siginfo info{};
    return read(descriptor_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
  }

 private:
  sigset_t before_{};
  base::FileDescriptor descriptor_;
};

std::size_t columns_of_output() {
  winsize size{};
  const bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= kLeastSize.columns;
  return is_known ? size.ws_col : kPlainColumns;
}

base::Result<void> print_once(const api::HttpClient& client, State state, Sample first) {
  History history;
  history.take(std::move(first));
  std::this_thread::sleep_for(std::chrono::duration<double>(state.interval_s));
  auto second = ask(client, state.wanted(), false);
  if (!second) return std::unexpected(std::move(second.error()));
  history.take(std::move(*second));
  const std::string text = plain_text(history.model(), state, columns_of_output(), is_ascii());
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    return base::fail("cannot write to standard output");
  return {};
}

class Screen {
 public:
  Screen(Terminal& terminal, Watcher& watcher, State state, Sample first)
      : terminal_(terminal), watcher_(watcher), state_(std::move(state)), ascii_(is_ascii()) {
    history_.take(std::move(first));
  }

  void run(const Signals& signals) {
    while (!done_) {
      terminal_.show(draw(history_.model(), state_, {.size = terminal_.size(), .ascii = ascii_, .trouble = trouble_}));
      std::array<pollfd, 3> waits{pollfd{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                                  pollfd{.fd = signals.descriptor(), .events = POLLIN, .revents = 0},
                                  pollfd{.fd = watcher_.descriptor(), .events = POLLIN, .revents = 0}};
      if (poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return;
      take_signals(signals);
      take_keys();
      take_news();
      if ((waits[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) return;
    }
  }

 private:
  void take_signals(const Signals& signals) {
    while (const int signal = signals.next()) {
      if (signal == SIGWINCH) {
        terminal_.take_size();
      } else {
        done_ = true;
      }
    }
  }

  void take_keys() {
    for (const Key& key : terminal_.keys()) done_ = done_ || press(state_, key) == Effect::kQuit;
    watcher_.want(state_.wanted(), {.interval_s = state_.interval_s, .is_paused = state_.is_paused});
  }

  void take_news() {
    for (auto& each : watcher_.news()) {
      if (each) {
        trouble_.clear();
        history_.take(std::move(*each));
      } else {
        trouble_ = std::move(each.error().message);
      }
    }
  }

  Terminal& terminal_;
  Watcher& watcher_;
  State state_;
  History history_;
  std::string trouble_;
  bool ascii_;
  bool done_ = false;
};

}  // namespace

base::Result<void> run(const api::HttpClient& client, const Options& options) {
  State state;
  state.interval_s = options.interval_s;
  auto first = ask(client, state.wanted(), false);
  if (!first) return std::unexpected(std::move(first.error()));
  if (options.once || !is_terminal()) return print_once(client, std::move(state), std::move(*first));
  const Signals signals;  // before any thread is made
  auto terminal = Terminal::open();
  if (!terminal) return std::unexpected(std::move(terminal.error()));
  Watcher watcher(client, state.wanted(), {.interval_s = state.interval_s}, std::min(state.interval_s, kFirstRatesS));
  Screen(**terminal, watcher, std::move(state), std::move(*first)).run(signals);
  terminal->reset();  // before the watcher ends, which may take a second
  return {};
}

}  // namespace ringplane::top
