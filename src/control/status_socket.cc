#include "control/status_socket.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <expected>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::control {
namespace {

constexpr std::size_t kMaxRequestBytes = 4096;
constexpr int kMaxClientsAtOnce = 16;

base::Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return base::fail("control.socket: the path '" + path + "' must have 1 to " +
                          std::to_string(sizeof address.sun_path - 1) + " bytes",
                      base::ErrorKind::kBadConfiguration);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

base::FileDescriptor connect_to(const sockaddr_un& address) {
  base::FileDescriptor client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return client;
}

void set_patience(int fd, int milliseconds) {
  const timeval patience{.tv_sec = milliseconds / 1000, .tv_usec = suseconds_t{milliseconds % 1000} * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

bool send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

/// Up to the newline, without it; "" if none comes in time.
std::string receive_line(int fd) {
  std::string line;
  std::array<char, 512> chunk{};
  while (line.size() < kMaxRequestBytes) {
    const ssize_t received = recv(fd, chunk.data(), chunk.size(), 0);
    if (received <= 0) return "";
    line.append(chunk.data(), static_cast<std::size_t>(received));
    if (const auto end = line.find('\n'); end != std::string::npos) return line.substr(0, end);
  }
  return "";
}

}  // namespace

base::Result<StatusSocket> StatusSocket::listen(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  if (connect_to(*address).valid()) {
    return base::fail("another ringplane answers at " + path + ": stop it, or give this one its own control.socket");
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_socket(path, ignored)) {
    return base::fail("control.socket: " + path + " exists and is no socket: remove it or choose another path",
                      base::ErrorKind::kBadConfiguration);
  }
  std::filesystem::remove(path, ignored);
  base::FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      ::listen(listener.get(), kMaxClientsAtOnce) != 0) {
    return base::fail("cannot make the control socket " + path + " (" + std::strerror(errno) +
                      "): choose another control.socket");
  }
  chmod(path.c_str(), S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP);
  return StatusSocket(std::move(listener), path);
}

StatusSocket::~StatusSocket() {
  if (listener_.valid()) unlink(path_.c_str());
}

void StatusSocket::serve(const std::function<std::string(const std::string&)>& answer) {
  constexpr int kPatienceMs = 200;
  for (int i = 0; i < kMaxClientsAtOnce; ++i) {
    const base::FileDescriptor client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client.valid()) return;
    set_patience(client.get(), kPatienceMs);
    const std::string request = receive_line(client.get());
    if (!request.empty()) send_all(client.get(), answer(request));
  }
}

base::Result<std::string> ask(const std::string& path, const std::string& request) {
  constexpr int kPatienceMs = 15'000;
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  const base::FileDescriptor server = connect_to(*address);
  if (!server.valid()) {
    return base::fail("no ringplane answers at " + path + " (" + std::strerror(errno) +
                      "): start one with 'ringplane run', or name its socket with --socket");
  }
  set_patience(server.get(), kPatienceMs);
  std::string reply;
  if (send_all(server.get(), request + "\n")) {
    std::array<char, 65536> chunk{};
    for (ssize_t received = 0; (received = recv(server.get(), chunk.data(), chunk.size(), 0)) > 0;) {
      reply.append(chunk.data(), static_cast<std::size_t>(received));
    }
  }
  if (reply.empty()) return base::fail("ringplane at " + path + " gave no answer");
  return reply;
}

}  // namespace ringplane::control
