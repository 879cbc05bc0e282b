// For tests: the far end of a veth pair, in a network namespace that exists only as a descriptor of this process, so
// that it vanishes with the process however that ends. Needs root. One thread: entering a namespace is per thread.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sys/socket.h>

#include "base/file_descriptor.h"

namespace ringplane::port {

inline constexpr std::uint16_t kTestEtherType = 0x88b5;  // IEEE 802, local experimental

inline std::string fd_path(int fd) {
  return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd);
}

inline bool run(const std::string& command) {
  return std::system(("{ " + command + "; } >/dev/null 2>&1").c_str()) == 0;
}

/// The network namespace of the calling thread.
inline base::FileDescriptor current_namespace() {
  return base::FileDescriptor(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

/// Inside the namespace while it lives.
class Inside {
 public:
  explicit Inside(const base::FileDescriptor& space) : back_(current_namespace()) {
    EXPECT_EQ(setns(space.get(), CLONE_NEWNET), 0);
  }
  ~Inside() { EXPECT_EQ(setns(back_.get(), CLONE_NEWNET), 0); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  base::FileDescriptor back_;
};

inline base::FileDescriptor make_namespace() {
  const base::FileDescriptor back = current_namespace();
  EXPECT_EQ(unshare(CLONE_NEWNET), 0);
  base::FileDescriptor made = current_namespace();
  EXPECT_TRUE(run("ip link set lo up"));
  EXPECT_EQ(setns(back.get(), CLONE_NEWNET), 0);
  return made;
}

/// The far end of a veth pair: interface "peer" in a namespace of its own, with a raw socket on it.
struct Peer {
  base::FileDescriptor space;
  base::FileDescriptor raw;

  void open_raw() {
    const Inside inside(space);
    raw = base::FileDescriptor(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(kTestEtherType)));
    const int buffer = 1 << 24;
    setsockopt(raw.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(kTestEtherType);
    address.sll_ifindex = static_cast<int>(if_nametoindex("peer"));
    ASSERT_EQ(bind(raw.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  void send(std::uint32_t number, std::size_t length = 60) const {
    const std::vector<std::uint8_t> bytes = packet(number, length);
    ASSERT_EQ(::send(raw.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(length)) << std::strerror(errno);
  }
  /// The number in the next test packet, or -1 if none comes.
  [[nodiscard]] std::int64_t receive(int timeout_ms = 1000) const {
    pollfd waiting{.fd = raw.get(), .events = POLLIN, .revents = 0};
    std::array<std::uint8_t, 4096> bytes{};
    while (poll(&waiting, 1, timeout_ms) == 1) {
      sockaddr_ll from{};
      socklen_t from_length = sizeof from;
      if (recvfrom(raw.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_length) < 18) {
        continue;
      }
      if (from.sll_pkttype == PACKET_OUTGOING) continue;
      return number_in(bytes);
    }
    return -1;
  }
  static std::vector<std::uint8_t> packet(std::uint32_t number, std::size_t length = 60) {
    std::vector<std::uint8_t> bytes(length, 0xee);
    std::fill_n(bytes.begin(), 6, 0xff);
    std::fill_n(bytes.begin() + 6, 6, 0x02);
    bytes[12] = kTestEtherType >> 8;
    bytes[13] = kTestEtherType & 0xff;
    std::memcpy(&bytes[14], &number, sizeof number);
    return bytes;
  }
  static std::int64_t number_in(std::span<const std::uint8_t> bytes) {
    std::uint32_t number = 0;
    std::memcpy(&number, &bytes[14], sizeof number);
    return number;
  }
};

}  // namespace ringplane::port
