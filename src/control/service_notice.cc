#include "control/service_notice.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/file_descriptor.h"

namespace ringplane::control {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody changes the environment
  return value == nullptr ? "" : value;
}

/// 0 if `text` is no number.
std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() && read.ptr == text.data() + text.size() ? number : 0;
}

}  // namespace

ServiceNotice ServiceNotice::from_environment() {
  constexpr std::uint64_t kMostMicroseconds = std::uint64_t{1} << 50;
  ServiceNotice notice;
  notice.path_ = variable("NOTIFY_SOCKET");
  const std::string watched = variable("WATCHDOG_PID");
  const std::uint64_t microseconds = number_of(variable("WATCHDOG_USEC"));
  if (watched.empty() || number_of(watched) == static_cast<std::uint64_t>(getpid())) {
    notice.watchdog_ns_ = std::min(microseconds, kMostMicroseconds) * 1'000;
  }
  // The protocol knows paths and abstract names.
  const bool usable = notice.path_.starts_with('/') || notice.path_.starts_with('@');
  if (!usable || notice.path_.size() < 2 || notice.path_.size() >= sizeof(sockaddr_un::sun_path)) {
    if (!notice.path_.empty()) spdlog::warn("NOTIFY_SOCKET is no socket: '{}'; nobody is told our state", notice.path_);
    notice.path_.clear();
    return notice;
  }
  notice.socket_ = base::FileDescriptor(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return notice;
}

void ServiceNotice::ready(const std::string& status) {
  tell("READY=1\nSTATUS=" + status);
}

void ServiceNotice::reloading() {
  // systemd 253 and later wants to know when, so as not to take an older READY for the answer.
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(base::monotonic_ns() / 1'000));
}

void ServiceNotice::stopping() {
  tell("STOPPING=1");
}

void ServiceNotice::alive(std::uint64_t now_ns) {
  if (watchdog_ns_ == 0 || now_ns - told_alive_ns_ < watchdog_ns_ / 2) return;
  told_alive_ns_ = now_ns;
  tell("WATCHDOG=1");
}

void ServiceNotice::tell(const std::string& lines) {
  if (path_.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  if (path_[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  if (sendto(socket_.get(), lines.data(), lines.size(), MSG_NOSIGNAL, to, length) >= 0) return;
  spdlog::warn("the service manager at {} cannot be told '{}' ({})", path_, lines.substr(0, lines.find('\n')),
               std::strerror(errno));
}

}  // namespace ringplane::control
