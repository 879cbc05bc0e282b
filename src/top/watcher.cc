#include "top/watcher.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <sys/eventfd.h>

#include "api/http_client.h"
#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "top/sample.h"

namespace ringplane::top {
namespace {

/// A daemon that takes longer is in trouble, and whoever looks should know.
constexpr std::uint32_t kPatienceS = 5;

std::uint64_t nanos(double seconds) {
  return static_cast<std::uint64_t>(seconds * static_cast<double>(base::kNanosPerSecond));
}

}  // namespace

Watcher::Watcher(const api::HttpClient& client, const Wanted& wanted, const Pace& pace, double first_s)
    : client_(client),
      bell_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      wanted_(wanted),
      pace_(pace),
      due_ns_(base::monotonic_ns() + nanos(first_s)),
      asked_ns_(due_ns_) {
  client_.set_patience(kPatienceS, &stopping_);
  // Signals are for the owner.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Watcher::~Watcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Watcher::want(const Wanted& wanted, const Pace& pace) {
  {
    const std::lock_guard lock(mutex_);
    if (wanted == wanted_ && pace == pace_) return;
    has_new_wish_ = has_new_wish_ || !(wanted == wanted_);
    wanted_ = wanted;
    pace_ = pace;
    due_ns_ = std::max(asked_ns_ + nanos(pace.interval_s), base::monotonic_ns());
  }
  changed_.notify_one();
}

std::vector<base::Result<Sample>> Watcher::news() {
  const std::lock_guard lock(mutex_);
  std::uint64_t count = 0;
  (void)!read(bell_.get(), &count, sizeof count);
  return std::exchange(news_, {});
}

void Watcher::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const std::uint64_t now_ns = base::monotonic_ns();
    const bool is_due_now = is_due(now_ns);
    if (!is_due_now && !has_new_wish_) {
      // While it is paused only a change wakes it.
      const std::uint64_t wait_ns = pace_.is_paused ? nanos(3600) : due_ns_ - now_ns;
      changed_.wait_for(lock, std::chrono::nanoseconds(wait_ns));
      continue;
    }
    has_new_wish_ = false;
    if (is_due_now) {
      asked_ns_ = now_ns;
      due_ns_ = now_ns + nanos(pace_.interval_s);
    }
    const Wanted wanted = wanted_;
    lock.unlock();
    auto sample = ask(client_, wanted, !is_due_now);
    lock.lock();
    // An answer to what nobody wants any more would be shown as one to what is wanted now.
    if (!(wanted == wanted_)) {
      if (is_due_now) due_ns_ = now_ns;
      continue;
    }
    news_.push_back(std::move(sample));
    const std::uint64_t one = 1;
    (void)!write(bell_.get(), &one, sizeof one);
  }
}

}  // namespace ringplane::top
