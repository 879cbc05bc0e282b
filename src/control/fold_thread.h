// FoldThread: where policies are folded in a process that may start no thread any more once it has given up its rights.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "firewall/policy_editor.h"

namespace ringplane::control {

class FoldThread final : public firewall::Folder {
 public:
  FoldThread() = default;
  FoldThread(const FoldThread&) = delete;
  FoldThread& operator=(const FoldThread&) = delete;
  /// Waits for the fold under way; what waits behind it is not done.
  ~FoldThread() override;

  /// Once, while threads may be started.
  void start();
  void fold(Task task) override;

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> waiting_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace ringplane::control
