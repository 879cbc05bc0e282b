#include "doctor/netlink.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <span>
#include <vector>

#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/file_descriptor.h"
#include "doctor/kernel.h"

namespace ringplane::doctor {
namespace {

using Bytes = std::span<const std::uint8_t>;

// include/uapi/linux/netdev.h, which Debian 12's headers do not have yet.
constexpr const char* kNetdevFamily = "netdev";
constexpr std::uint8_t kDeviceGet = 1;        // NETDEV_CMD_DEV_GET
constexpr std::uint16_t kDeviceIndex = 1;     // NETDEV_A_DEV_IFINDEX
constexpr std::uint16_t kDeviceFeatures = 3;  // NETDEV_A_DEV_XDP_FEATURES
constexpr std::size_t kAnswerBytes = 1U << 16;

template <class T>
void append(std::vector<std::uint8_t>& message, const T& value) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
  message.insert(message.end(), bytes, bytes + sizeof value);
}

void append_attribute(std::vector<std::uint8_t>& message, std::uint16_t kind, Bytes value) {
  append(message, nlattr{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + value.size()), .nla_type = kind});
  message.insert(message.end(), value.begin(), value.end());
  message.resize((message.size() + NLA_ALIGNTO - 1) / NLA_ALIGNTO * NLA_ALIGNTO);
}

template <class T>
T value_of(Bytes bytes, T otherwise) {
  T value = otherwise;
  if (bytes.size() >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// Asks one thing and returns the body of the one answer.
Asked<std::vector<std::uint8_t>> converse(int protocol, std::uint16_t kind, const std::vector<std::uint8_t>& body) {
  const base::FileDescriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!socket.valid()) return std::unexpected(errno);
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::vector<std::uint8_t> message;
  append(message, nlmsghdr{.nlmsg_len = static_cast<std::uint32_t>(sizeof(nlmsghdr) + body.size()),
                           .nlmsg_type = kind,
                           .nlmsg_flags = NLM_F_REQUEST,
                           .nlmsg_seq = 1,
                           .nlmsg_pid = 0});
  message.insert(message.end(), body.begin(), body.end());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(socket.get(), message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&kernel),
             sizeof kernel) < 0) {
    return std::unexpected(errno);
  }
  std::vector<std::uint8_t> answer(kAnswerBytes);
  const ssize_t count = recv(socket.get(), answer.data(), answer.size(), 0);
  if (count < 0) return std::unexpected(errno);
  const auto header = value_of<nlmsghdr>({answer.data(), static_cast<std::size_t>(count)}, {});
  if (header.nlmsg_len < sizeof header || header.nlmsg_len > static_cast<std::size_t>(count))
    return std::unexpected(EBADMSG);
  answer.resize(header.nlmsg_len);
  answer.erase(answer.begin(), answer.begin() + sizeof header);
  if (header.nlmsg_type == NLMSG_ERROR) return std::unexpected(-value_of<int>(answer, -EBADMSG));
  return answer;
}

Bytes behind(const std::vector<std::uint8_t>& answer, std::size_t header_bytes) {
  return Bytes(answer).subspan(std::min(answer.size(), header_bytes));
}

Asked<std::uint16_t> family_of_netdev() {
  std::vector<std::uint8_t> body;
  append(body, genlmsghdr{.cmd = CTRL_CMD_GETFAMILY, .version = 1, .reserved = 0});
  append_attribute(body, CTRL_ATTR_FAMILY_NAME,
                   {reinterpret_cast<const std::uint8_t*>(kNetdevFamily), std::strlen(kNetdevFamily) + 1});
  const auto answer = converse(NETLINK_GENERIC, GENL_ID_CTRL, body);
  if (!answer) return std::unexpected(answer.error());
  const auto family = value_of<std::uint16_t>(attribute(behind(*answer, GENL_HDRLEN), CTRL_ATTR_FAMILY_ID), 0);
  if (family == 0) return std::unexpected(EBADMSG);
  return family;
}

Bytes bytes_of(const std::uint32_t& number) {
  return {reinterpret_cast<const std::uint8_t*>(&number), sizeof number};
}

}  // namespace

std::span<const std::uint8_t> attribute(std::span<const std::uint8_t> attributes, std::uint16_t kind) {
  while (attributes.size() >= NLA_HDRLEN) {
    const auto header = value_of<nlattr>(attributes, {});
    if (header.nla_len < NLA_HDRLEN || header.nla_len > attributes.size()) return {};
    if ((header.nla_type & NLA_TYPE_MASK) == kind) return attributes.subspan(NLA_HDRLEN, header.nla_len - NLA_HDRLEN);
    const std::size_t whole = (std::size_t{header.nla_len} + NLA_ALIGNTO - 1) / NLA_ALIGNTO * NLA_ALIGNTO;
    attributes = attributes.subspan(std::min(whole, attributes.size()));
  }
  return {};
}

Asked<LinkDetails> ask_link_details(std::uint32_t index) {
  std::vector<std::uint8_t> body;
  ifinfomsg question{};
  question.ifi_index = static_cast<int>(index);
  append(body, question);
  const auto answer = converse(NETLINK_ROUTE, RTM_GETLINK, body);
  if (!answer) return std::unexpected(answer.error());
  const Bytes attributes = behind(*answer, sizeof(ifinfomsg));
  // The first says it all but where programs of several kinds are attached.
  const Bytes xdp = attribute(attributes, IFLA_XDP);
  LinkDetails details{.other_index = value_of<std::uint32_t>(attribute(attributes, IFLA_LINK), 0),
                      .other_is_elsewhere = !attribute(attributes, IFLA_LINK_NETNSID).empty(),
                      .xdp_program = 0};
  for (const std::uint16_t kind : {IFLA_XDP_PROG_ID, IFLA_XDP_DRV_PROG_ID, IFLA_XDP_HW_PROG_ID}) {
    if (details.xdp_program == 0) details.xdp_program = value_of<std::uint32_t>(attribute(xdp, kind), 0);
  }
  return details;
}

Asked<std::uint64_t> ask_xdp_features(std::uint32_t index) {
  const auto family = family_of_netdev();
  if (!family) return std::unexpected(family.error());
  std::vector<std::uint8_t> body;
  append(body, genlmsghdr{.cmd = kDeviceGet, .version = 1, .reserved = 0});
  append_attribute(body, kDeviceIndex, bytes_of(index));
  const auto answer = converse(NETLINK_GENERIC, *family, body);
  if (!answer) return std::unexpected(answer.error());
  const Bytes features = attribute(behind(*answer, GENL_HDRLEN), kDeviceFeatures);
  if (features.size() < sizeof(std::uint64_t)) return std::unexpected(EBADMSG);
  return value_of<std::uint64_t>(features, 0);
}

}  // namespace ringplane::doctor
