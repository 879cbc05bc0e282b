#include "control/status_socket.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <expected>
#include <functional>
#include <string>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "control/unix_socket.h"

namespace ringplane::control {
namespace {

constexpr std::size_t kMaxRequestBytes = 4096;
constexpr int kMaxClientsAtOnce = 16;

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
  if (connect_to(path)) {
    return base::fail("another ringplane answers at " + path + ": stop it, or give this one its own control.socket");
  }
  auto listener = listen_at(path, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP, kMaxClientsAtOnce);
  if (!listener) return std::unexpected(std::move(listener.error()));
  return StatusSocket(std::move(*listener), path);
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
    if (request.empty()) continue;
    const std::string reply = answer(request);
    (void)send_all(client.get(), reply.data(), reply.size());
  }
}

base::Result<std::string> ask(const std::string& path, const std::string& request) {
  constexpr int kPatienceMs = 15'000;
  const auto connected = connect_to(path);
  if (!connected && connected.error().kind == base::ErrorKind::kBadConfiguration) {
    return std::unexpected(connected.error());
  }
  if (!connected) {
    return base::fail("no ringplane answers at " + path + " (" + std::strerror(errno) +
                      "): start one with 'ringplane run', or name its socket with --socket");
  }
  const base::FileDescriptor& server = *connected;
  set_patience(server.get(), kPatienceMs);
  std::string reply;
  const std::string line = request + "\n";
  if (send_all(server.get(), line.data(), line.size())) {
    std::array<char, 65536> chunk{};
    for (ssize_t received = 0; (received = recv(server.get(), chunk.data(), chunk.size(), 0)) > 0;) {
      reply.append(chunk.data(), static_cast<std::size_t>(received));
    }
  }
  if (reply.empty()) return base::fail("ringplane at " + path + " gave no answer");
  return reply;
}

}  // namespace ringplane::control
