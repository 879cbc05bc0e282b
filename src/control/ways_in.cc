#include "control/ways_in.h"

#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "api/message.h"
#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "base/unix_socket.h"
#include "control/config.h"
#include "control/control_process.h"

namespace ringplane::control {
namespace {

constexpr int kBacklog = 1024;
constexpr std::size_t kShortestToken = 16;

/// One word in a file that others cannot read.
base::Result<std::string> read_token(const std::string& path) {
  struct stat facts{};
  std::ifstream file(path);
  std::string token;
  if (!(file >> token) || stat(path.c_str(), &facts) != 0) {
    return base::fail("control.token_file: " + path + " cannot be read: make it with 'openssl rand -hex 32'",
                      base::ErrorKind::kBadConfiguration);
  }
  if (token.size() < kShortestToken) {
    return base::fail("control.token_file: the token in " + path + " is shorter than " +
                          std::to_string(kShortestToken) + " characters",
                      base::ErrorKind::kBadConfiguration);
  }
  if ((facts.st_mode & S_IRWXO) != 0) {
    return base::fail("control.token_file: everybody can read " + path + ": chmod 640 it",
                      base::ErrorKind::kBadConfiguration);
  }
  return token;
}

base::Result<base::FileDescriptor> listen_on_loopback(std::uint16_t port, bool over_ipv6) {
  base::FileDescriptor listener(socket(over_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  constexpr int kYes = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &kYes, sizeof kYes);
  const sockaddr_in address{
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  sockaddr_in6 address6{};
  address6.sin6_family = AF_INET6;
  address6.sin6_port = htons(port);
  address6.sin6_addr = in6addr_loopback;
  const int bound = over_ipv6 ? bind(listener.get(), reinterpret_cast<const sockaddr*>(&address6), sizeof address6)
                              : bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (bound == 0 && listen(listener.get(), kBacklog) == 0) return listener;
  return base::fail("control.http: cannot listen at port " + std::to_string(port) + " (" + std::strerror(errno) +
                    "): choose another");
}

/// One line a second at most: a flood of them must not fill the disk.
class RefusalLog {
 public:
  void note(const api::Request& request, int status) {
    ++count_;
    const std::uint64_t now_ns = base::monotonic_ns();
    if (now_ns - last_ns_ < base::kNanosPerSecond) return;
    last_ns_ = now_ns;
    std::string path = request.path.substr(0, 100);
    std::ranges::replace_if(path, [](unsigned char c) { return std::isprint(c) == 0; }, '?');
    spdlog::warn("refused {} request(s), the last one with {}: {} {}", std::exchange(count_, 0), status,
                 request.method.substr(0, 16), path);
  }

 private:
  std::uint64_t count_ = 0;
  std::uint64_t last_ns_ = 0;
};

}  // namespace

base::Result<WaysIn> WaysIn::open(const ControlConfig& config) {
  if (base::connect_to(config.socket)) {
    return base::fail("another ringplane answers at " + config.socket +
                      ": stop it, or give this one its own control.socket");
  }
  WaysIn ways;
  auto listener = base::listen_at(config.socket, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP, kBacklog);
  if (!listener) return base::fail("control.socket: " + listener.error().message, listener.error().kind);
  ways.unix_listener_ = std::move(*listener);
  ways.path_ = config.socket;
  // Without such a group it stays ours alone.
  if (const group* const found = getgrnam(config.group.c_str()); found != nullptr) {
    if (chown(config.socket.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0)
      spdlog::warn("cannot give {} to the group {} ({})", config.socket, config.group, std::strerror(errno));
  }
  if (config.http_port == 0) return ways;
  auto token = read_token(config.token_file);
  if (!token) return std::unexpected(std::move(token.error()));
  auto tcp = listen_on_loopback(config.http_port, config.http_over_ipv6);
  if (!tcp) return std::unexpected(std::move(tcp.error()));
  ways.tcp_listener_ = std::move(*tcp);
  ways.token_ = std::move(*token);
  ways.tcp_writes_ = config.http_writes;
  return ways;
}

WaysIn::~WaysIn() {
  if (!path_.empty()) unlink(path_.c_str());
}

base::Result<void> WaysIn::lead_to(ControlProcess& process) {
  const auto on_refused = [log = RefusalLog()](const api::Request& request, int status) mutable {
    log.note(request, status);
  };
  // The socket too: ssh can let a port of the reader's machine, with a browser, lead to it.
  const std::vector<std::string> names{"localhost", "127.0.0.1", "[::1]", "ringplane"};
  if (auto served = process.serve_at(std::move(unix_listener_), {.names = names, .on_refused = on_refused}); !served)
    return served;
  if (!tcp_listener_.valid()) return {};
  return process.serve_at(std::move(tcp_listener_), {.token = token_,
                                                     .may_write = tcp_writes_,
                                                     .names = names,
                                                     .is_public = &ControlProcess::is_public,
                                                     .on_refused = on_refused});
}

}  // namespace ringplane::control
