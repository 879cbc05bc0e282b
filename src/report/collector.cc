#include "report/collector.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "wire/ip_address.h"

namespace ringplane::report {

std::optional<Collector> parse_collector(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view address = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool brackets = address.starts_with('[') && address.ends_with(']');
  if (brackets) address = address.substr(1, address.size() - 2);
  const auto host = wire::parse_host_address(address);
  if (!host || brackets != (host->family == wire::Family::kIpv6)) return std::nullopt;
  Collector collector{.host = *host, .port = 0};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), collector.port);
  if (error != std::errc() || end != port.data() + port.size() || collector.port == 0) return std::nullopt;
  return collector;
}

base::Result<base::FileDescriptor> connect_to_collector(std::string_view text) {
  const auto collector = parse_collector(text);
  if (!collector) return base::fail("ipfix.collector: " + std::string(text) + " is no address with a port");
  const bool ipv4 = collector->host.family == wire::Family::kIpv4;
  const auto& bytes = collector->host.address.bytes;
  sockaddr_storage address{};
  socklen_t length = sizeof(sockaddr_in);
  if (ipv4) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(collector->port);
    std::memcpy(&to.sin_addr, bytes.data(), sizeof to.sin_addr);
    std::memcpy(&address, &to, sizeof to);
  } else {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(collector->port);
    std::memcpy(&to.sin6_addr, bytes.data(), sizeof to.sin6_addr);
    std::memcpy(&address, &to, sizeof to);
    length = sizeof to;
  }
  base::FileDescriptor socket(::socket(ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.valid() && connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0) return socket;
  return base::fail("ipfix.collector: there is no way to " + std::string(text) + " (" + std::strerror(errno) +
                        "): is there a route to it?",
                    base::ErrorKind::kBadConfiguration);
}

}  // namespace ringplane::report
