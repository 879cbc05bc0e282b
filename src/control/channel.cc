#include "control/channel.h"

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

#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"
#include "base/unix_socket.h"

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
struct DescriptorMessage {
  char byte = 0;
  iovec part{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kDescriptorsAtOnce)> control{};
  msghdr head{};

  explicit DescriptorMessage(std::size_t count) noexcept {
    head.msg_iov = &part;
    head.msg_iovlen = 1;
    head.msg_control = control.data();
    head.msg_controllen = CMSG_SPACE(sizeof(int) * count);
  }
  DescriptorMessage(const DescriptorMessage&) = delete;
  DescriptorMessage& operator=(const DescriptorMessage&) = delete;
};

bool send_descriptors(int fd, std::span<const int> descriptors) {
  DescriptorMessage message(descriptors.size());
  cmsghdr* header = CMSG_FIRSTHDR(&message.head);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
  std::memcpy(CMSG_DATA(header), descriptors.data(), sizeof(int) * descriptors.size());
  return sendmsg(fd, &message.head, MSG_NOSIGNAL) == 1;
}

bool receive_descriptors(int fd, std::uint32_t count, std::vector<base::FileDescriptor>& into) {
  DescriptorMessage message(kDescriptorsAtOnce);
  if (recvmsg(fd, &message.head, MSG_CMSG_CLOEXEC) != 1) return false;
  std::uint32_t got = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message.head); header != nullptr; header = CMSG_NXTHDR(&message.head, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < here; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
      into.emplace_back(descriptor);
      ++got;
    }
  }
  return got == count && (message.head.msg_flags & MSG_CTRUNC) == 0;
}

}  // namespace

base::Result<Channel> Channel::connect(const std::string& path, int patience_ms) {
  auto client = base::connect_to(path);
  if (!client) return std::unexpected(std::move(client.error()));
  Channel channel(std::move(*client));
  channel.set_patience(patience_ms);
  return channel;
}

void Channel::set_patience(int milliseconds) noexcept {
  base::set_patience(socket_.get(), milliseconds);
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
  bool sent = message.body.size() <= kMostBodyBytes && base::send_all(socket_.get(), &header, sizeof header) &&
              base::send_all(socket_.get(), message.body.data(), message.body.size()) &&
              base::send_all(socket_.get(), names.data(), names.size());
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

}  // namespace ringplane::control
