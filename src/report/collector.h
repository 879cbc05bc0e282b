// Where flow records go: the address of an IPFIX collector, and a UDP socket that knows it. RFC 7011 10.3.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "wire/ip_address.h"

namespace ringplane::report {

struct Collector {
  wire::HostAddress host;
  std::uint16_t port = 0;
};

/// "192.0.2.9:4739" or "[2001:db8::9]:4739".
[[nodiscard]] std::optional<Collector> parse_collector(std::string_view text);
/// A socket that sends there. Nothing is sent yet; nobody need be there.
[[nodiscard]] base::Result<base::FileDescriptor> connect_to_collector(std::string_view text);

}  // namespace ringplane::report
