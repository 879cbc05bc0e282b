// ServiceNotice: what a service manager that started us is told of our state, by the protocol of sd_notify(3): a
// datagram of "KEY=value" lines to the socket in NOTIFY_SOCKET. Without that variable nothing is sent. Control thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/file_descriptor.h"

namespace ringplane::control {

class ServiceNotice {
 public:
  /// Out of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
  [[nodiscard]] static ServiceNotice from_environment();

  /// Everything is open and packets move; also the end of reloading(). `status` is for people.
  void ready(const std::string& status);
  /// The rules are read again; ready() follows, whatever comes of it.
  void reloading();
  void stopping();
  /// Every turn of the control thread: twice in a watchdog's time tells that it still turns.
  void alive(std::uint64_t now_ns);

 private:
  void tell(const std::string& lines);

  std::string path_;  // "": nobody to tell; "@...": an abstract address
  base::FileDescriptor socket_;
  std::uint64_t watchdog_ns_ = 0;  // 0: nobody watches
  std::uint64_t told_alive_ns_ = 0;
};

}  // namespace ringplane::control
