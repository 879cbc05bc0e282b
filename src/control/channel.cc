#include "control/channel.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"

namespace ringplane::control {
namespace {

constexpr std::uint32_t kMagic = 0x5250'4331;
constexpr std::uint32_t kMostBodyBytes = 1U << 30;
constexpr std::uint32_t kMostDescriptors = 4096;
/// The kernel takes at most 253 in one message (SCM_MAX_FD).
constexpr std::uint32_t kDescriptorsAtOnce = 128;

struct Header {
  std::uint32_t magic = kMagic;
  std::uint32_t kind = 0;
  std::uint32_t body_bytes = 0;
  std::uint32_t names_bytes = 0;
  std::uint32_t descriptors = 0;
};

std::unexpected<base::Error> broken(const char* why) {
  return base::fail(std::string("the other process does not answer: ") + why);
}

bool send_bytes(int fd, const void* data, std::size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t sent = ::send(fd, at, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    at += sent;
    bytes -= static_cast<std::size_t>(sent);
  }
  return true;
}

bool receive_bytes(int fd, void* data, std::size_t bytes) {
  auto* at = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t got = recv(fd, at, bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (got == 0) errno = EPIPE;
      return false;
    }
    at += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

/// Descriptors travel beside one byte.
bool send_descriptors(int fd, std::span<const int> descriptors) {
  char byte = 0;
  iovec part{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kDescriptorsAtOnce)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
  std::memcpy(CMSG_DATA(header), descriptors.data(), sizeof(int) * descriptors.size());
  return sendmsg(fd, &message, MSG_NOSIGNAL) == 1;
}

bool receive_descriptors(int fd, std::uint32_t count, std::vector<base::FileDescriptor>& into) {
  char byte = 0;
  iovec part{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kDescriptorsAtOnce)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) != 1) return false;
  std::uint32_t got = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < here; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
      into.emplace_back(descriptor);
      ++got;
    }
  }
  return got == count && (message.msg_flags & MSG_CTRUNC) == 0;
}

base::Result<sockaddr_un> channel_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return base::fail("control.socket: the path '" + path + "' is too long: at most " +
                          std::to_string(sizeof address.sun_path - 1) + " bytes",
                      base::ErrorKind::kBadConfiguration);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

}  // namespace

base::Result<Channel> Channel::connect(const std::string& path, int patience_ms) {
  const auto address = channel_address(path);
  if (!address) return std::unexpected(address.error());
  base::FileDescriptor client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return base::fail("nobody answers at " + path + ": " + std::strerror(errno));
  }
  Channel channel(std::move(client));
  channel.set_patience(patience_ms);
  return channel;
}

void Channel::set_patience(int milliseconds) noexcept {
  const timeval patience{.tv_sec = milliseconds / 1000, .tv_usec = suseconds_t{milliseconds % 1000} * 1000};
  setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

base::Result<void> Channel::send(const Message& message) {
  std::string names;
  std::vector<int> descriptors;
  for (const auto& [name, descriptor] : message.holdings.all()) {
    names += name + "\n";
    descriptors.push_back(descriptor.get());
  }
  const Header header{.magic = kMagic,
                      .kind = static_cast<std::uint32_t>(message.kind),
                      .body_bytes = static_cast<std::uint32_t>(message.body.size()),
                      .names_bytes = static_cast<std::uint32_t>(names.size()),
                      .descriptors = static_cast<std::uint32_t>(descriptors.size())};
  bool sent = message.body.size() <= kMostBodyBytes && send_bytes(socket_.get(), &header, sizeof header) &&
              send_bytes(socket_.get(), message.body.data(), message.body.size()) &&
              send_bytes(socket_.get(), names.data(), names.size());
  for (std::size_t first = 0; sent && first < descriptors.size(); first += kDescriptorsAtOnce) {
    const std::size_t count = std::min<std::size_t>(kDescriptorsAtOnce, descriptors.size() - first);
    sent = send_descriptors(socket_.get(), std::span(descriptors).subspan(first, count));
  }
  if (!sent) return broken(std::strerror(errno));
  return {};
}

base::Result<Message> Channel::receive() {
  Header header;
  if (!receive_bytes(socket_.get(), &header, sizeof header)) return broken(std::strerror(errno));
  if (header.magic != kMagic || header.body_bytes > kMostBodyBytes || header.names_bytes > kMostBodyBytes ||
      header.descriptors > kMostDescriptors) {
    return broken("it speaks another language (is it another version?)");
  }
  Message message{
      .kind = static_cast<MessageKind>(header.kind), .body = std::string(header.body_bytes, '\0'), .holdings = {}};
  std::string names(header.names_bytes, '\0');
  if (!receive_bytes(socket_.get(), message.body.data(), message.body.size()) ||
      !receive_bytes(socket_.get(), names.data(), names.size())) {
    return broken(std::strerror(errno));
  }
  std::vector<base::FileDescriptor> descriptors;
  while (descriptors.size() < header.descriptors) {
    const auto left = header.descriptors - static_cast<std::uint32_t>(descriptors.size());
    if (!receive_descriptors(socket_.get(), std::min(left, kDescriptorsAtOnce), descriptors)) {
      return broken("not all descriptors came (too many are open: raise `ulimit -n`, LimitNOFILE=)");
    }
  }
  std::istringstream lines(names);
  for (base::FileDescriptor& descriptor : descriptors) {
    std::string name;
    if (!std::getline(lines, name)) return broken("it speaks another language (is it another version?)");
    message.holdings.add(std::move(name), std::move(descriptor));
  }
  return message;
}

base::Result<Message> Channel::call(const Message& message) {
  if (auto sent = send(message); !sent) return std::unexpected(std::move(sent.error()));
  return receive_answer();
}

base::Result<Message> Channel::receive_answer() {
  auto answer = receive();
  if (!answer || answer->kind != MessageKind::kFailed) return answer;
  const bool bad_configuration = answer->body.starts_with('1');
  return base::fail(answer->body.substr(std::min<std::size_t>(1, answer->body.size())),
                    bad_configuration ? base::ErrorKind::kBadConfiguration : base::ErrorKind::kFailed);
}

Message failed(const base::Error& error) {
  const bool bad_configuration = error.kind == base::ErrorKind::kBadConfiguration;
  return {.kind = MessageKind::kFailed, .body = (bad_configuration ? "1" : "0") + error.message, .holdings = {}};
}

base::Result<base::FileDescriptor> listen_at(const std::string& path) {
  const auto address = channel_address(path);
  if (!address) return std::unexpected(address.error());
  unlink(path.c_str());
  base::FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t before = umask(S_IRWXG | S_IRWXO);
  const bool bound = bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0;
  umask(before);
  if (bound && listen(listener.get(), 4) == 0) return listener;
  return base::fail("cannot make the socket " + path + " (" + std::strerror(errno) +
                    "): choose another control.socket");
}

}  // namespace ringplane::control
