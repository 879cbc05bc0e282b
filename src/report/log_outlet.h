// LogOutlet: where EVE lines go, as the control process sees it. It opens what `log.file` names, and again when a file
// is to be rotated, when somebody has moved it away (logrotate), and when the reader at a unix socket has gone and
// another has come; the data process, which can open nothing, is handed each new descriptor. Control thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "report/options.h"

namespace ringplane::report {

class LogOutlet {
 public:
  /// Opens nothing. `config` is kept.
  explicit LogOutlet(LogConfig config) : config_(std::move(config)) {}

  /// Opens it for the first time. Not valid: there is none, or nobody reads at the socket yet. Fails with a sentence if
  /// the path cannot be written.
  [[nodiscard]] base::Result<base::FileDescriptor> open();
  /// Whoever writes into `now`, the present descriptor (-1: none), is to write elsewhere: take next() and hand it over.
  /// Called every tick; looks a few times a second.
  [[nodiscard]] bool is_due(int now, std::uint64_t now_ns);
  /// The next descriptor; a file that has grown too long was renamed before. Fails with a sentence: all stays.
  [[nodiscard]] base::Result<base::FileDescriptor> next(int now);
  /// The file again by its name, for who has renamed it.
  [[nodiscard]] base::Result<base::FileDescriptor> reopen();
  [[nodiscard]] const std::string& target() const noexcept { return config_.file; }

 private:
  [[nodiscard]] bool is_socket() const noexcept { return config_.file.starts_with(LogConfig::kSocketPrefix); }
  [[nodiscard]] bool is_file() const noexcept { return !config_.file.empty() && config_.file != "-" && !is_socket(); }
  [[nodiscard]] bool is_too_long(int now) const noexcept;
  [[nodiscard]] bool was_moved(int now) const noexcept;
  [[nodiscard]] bool has_no_reader(int now) noexcept;
  [[nodiscard]] base::Result<base::FileDescriptor> rotate();
  [[nodiscard]] base::Result<base::FileDescriptor> connect();

  LogConfig config_;
  std::uint64_t socket_birth_ = 0;  ///< of the path, when it was connected to
  std::uint64_t looked_ns_ = 0;
  std::uint64_t rest_until_ns_ = 0;  ///< after a failure
};

/// Cuts what stands behind the last newline off the end of a log that nobody writes into at the moment: a line of which
/// a full disk or a death has left half. Anything but a file is left alone.
void cut_to_whole_lines(int log) noexcept;

}  // namespace ringplane::report
