#include "base/unix_socket.h"

#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <expected>
#include <filesystem>
#include <string>
#include <system_error>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::base {
namespace {

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail("the path of a socket must have 1 to " + std::to_string(sizeof address.sun_path - 1) + " bytes, not '" +
                    path + "'",
                ErrorKind::kBadConfiguration);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

}  // namespace

Result<FileDescriptor> connect_to(const std::string& path, int type) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  FileDescriptor client(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (connect(client.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0) return client;
  return fail("nobody answers at " + path + " (" + std::strerror(errno) + ")");
}

Result<FileDescriptor> listen_at(const std::string& path, mode_t mode, int backlog) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_socket(path, ignored)) {
    return fail(path + " exists and is no socket: remove it or choose another path", ErrorKind::kBadConfiguration);
  }
  std::filesystem::remove(path, ignored);
  FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // From the first moment on nobody else may come in.
  const mode_t before = umask(S_IRWXG | S_IRWXO);
  const bool bound = bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0;
  umask(before);
  if (bound && chmod(path.c_str(), mode) == 0 && listen(listener.get(), backlog) == 0) return listener;
  return fail("cannot make the socket " + path + " (" + std::strerror(errno) + "): choose another path");
}

FileDescriptor accept_from(int listener) noexcept {
  constexpr timespec kRest{.tv_sec = 0, .tv_nsec = 50'000'000};
  FileDescriptor client(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!client.valid() && (errno == EMFILE || errno == ENFILE)) nanosleep(&kRest, nullptr);
  return client;
}

void set_patience(int socket, int milliseconds) noexcept {
  const timeval patience{.tv_sec = milliseconds / 1000, .tv_usec = suseconds_t{milliseconds % 1000} * 1000};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

bool send_all(int socket, const void* data, std::size_t bytes) noexcept {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t sent = send(socket, at, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    at += sent;
    bytes -= static_cast<std::size_t>(sent);
  }
  return true;
}

}  // namespace ringplane::base
