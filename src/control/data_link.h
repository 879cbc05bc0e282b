// DataLink: the control process's end of a data process: starts one or comes to one that runs, asks it, and knows when
// it has died. Control thread.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/estate.h"

namespace ringplane::control {

class DataLink {
 public:
  /// Starts a data process that gets ready on `estate` and waits; another may live in it meanwhile. Does not wait for
  /// it.
  [[nodiscard]] static base::Result<DataLink> prepare(const Estate& estate, const std::string& program = kSameProgram);
  static constexpr const char* kSameProgram = "/proc/self/exe";
  /// Waits until the prepared one is ready.
  [[nodiscard]] base::Result<void> await_ready();
  /// Nobody lives in its estate any more: lets the prepared one take over, when it is ready, and write into the outlets
  /// that `estate` has by now. Returns what it found (JSON).
  [[nodiscard]] base::Result<std::string> go(const Estate& estate);
  /// Comes to the one that runs there and takes over a second of all it holds.
  [[nodiscard]] static base::Result<DataLink> attach(const std::string& listener_path, Estate& estate);
  DataLink(DataLink&&) noexcept = default;
  DataLink& operator=(DataLink&&) noexcept = default;

  /// Polls readable when the process has ended.
  [[nodiscard]] int end_descriptor() const noexcept { return end_.get(); }
  [[nodiscard]] std::int32_t pid() const noexcept { return pid_; }
  /// After the end: "was ended by signal 11 (Segmentation fault)", "ended with exit code 1". Waits for it if it is our
  /// child.
  [[nodiscard]] std::string how_it_ended();
  /// One question and its answer (channel.h).
  [[nodiscard]] base::Result<Message> call(const Message& message) { return channel_.call(message); }
  /// SIGKILL: for one that does not answer any more, or is not needed.
  void kill() const noexcept;

 private:
  DataLink() = default;
  /// Ends it; the error with how it ended, if it was silent.
  [[nodiscard]] std::unexpected<base::Error> give_up(const base::Error& error);

  std::int32_t pid_ = -1;
  bool ready_ = false;
  base::FileDescriptor end_;
  Channel channel_;
};

}  // namespace ringplane::control
