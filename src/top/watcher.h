// Watcher: asks a running ringplane again and again, in a thread of its own, so that keys are answered while the daemon
// is not. What it hears lies ready for the one thread that owns it, which a descriptor tells.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "api/http_client.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "top/sample.h"

namespace ringplane::top {

struct Pace {
  double interval_s = 1;
  bool is_paused = false;
  [[nodiscard]] bool operator==(const Pace&) const = default;
};

class Watcher {
 public:
  /// Begins after `first_s` seconds.
  Watcher(const api::HttpClient& client, const Wanted& wanted, const Pace& pace, double first_s);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  /// Within a second, also in the middle of a question.
  ~Watcher();

  /// Other lists are asked for at once.
  void want(const Wanted& wanted, const Pace& pace);
  /// Readable while there is news.
  [[nodiscard]] int descriptor() const noexcept { return bell_.get(); }
  /// In order; what could not be had is an error.
  [[nodiscard]] std::vector<base::Result<Sample>> news();

 private:
  void run();
  [[nodiscard]] bool is_due(std::uint64_t now_ns) const noexcept { return !pace_.is_paused && now_ns >= due_ns_; }

  std::atomic<bool> stopping_{false};
  api::HttpClient client_;
  base::FileDescriptor bell_;
  std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  Wanted wanted_;
  Pace pace_;
  std::uint64_t due_ns_;
  std::uint64_t asked_ns_;
  bool has_new_wish_ = false;
  std::vector<base::Result<Sample>> news_;
  std::thread thread_;
};

}  // namespace ringplane::top
