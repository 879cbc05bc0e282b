// WaysIn: where requests come in: the unix socket, whose mode and group say who may, and, if the configuration wants
// it, a TCP port on loopback, where a token does. Taken at the very start, so that no second ringplane takes the same;
// removed from the file system at the end.
#pragma once

#include <string>

#include "api/http_server.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "control/config.h"

namespace ringplane::control {

class ControlProcess;

class WaysIn {
 public:
  /// Fails with a sentence if another ringplane answers there; a socket that nobody answers at is replaced.
  [[nodiscard]] static base::Result<WaysIn> open(const ControlConfig& config);
  WaysIn(WaysIn&&) noexcept = default;
  WaysIn& operator=(WaysIn&&) noexcept = default;
  ~WaysIn();

  /// From now on `process` answers.
  [[nodiscard]] base::Result<void> lead_to(ControlProcess& process);

 private:
  WaysIn() = default;

  base::FileDescriptor unix_listener_;
  base::FileDescriptor tcp_listener_;  // not valid: none is wanted
  std::string path_;                   // "": moved from
  std::string token_;
  bool tcp_writes_ = false;
};

}  // namespace ringplane::control
