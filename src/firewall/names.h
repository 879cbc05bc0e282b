// The names that pf.conf uses for numbers: protocols, services, ICMP types and codes, types of service. The well-known
// ones are kept here, so that a text means the same on every machine; other names are asked of /etc/protocols and
// /etc/services. Not for the burst path.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/ip_address.h"

namespace ringplane::firewall {

[[nodiscard]] std::optional<std::uint8_t> find_protocol(std::string_view name);
/// The name, or the number in digits.
[[nodiscard]] std::string protocol_name(std::uint8_t protocol);

/// "ssh" or "443".
[[nodiscard]] std::optional<std::uint16_t> find_service(std::string_view name);
/// "" if the port has no well-known name under `protocol` (TCP or UDP).
[[nodiscard]] std::string_view service_name(std::uint16_t port, int protocol) noexcept;

[[nodiscard]] std::optional<std::uint8_t> find_icmp_type(std::string_view name, wire::Family family) noexcept;
[[nodiscard]] std::optional<std::uint8_t> find_icmp_code(std::string_view name, std::uint8_t type,
                                                         wire::Family family) noexcept;
/// The name, or the number in digits.
[[nodiscard]] std::string icmp_type_name(std::uint8_t type, wire::Family family);
[[nodiscard]] std::string icmp_code_name(std::uint8_t code, std::uint8_t type, wire::Family family);

/// "lowdelay", "af21", ...: the whole TOS byte.
[[nodiscard]] std::optional<std::uint8_t> find_tos(std::string_view name) noexcept;

/// "SA" -> SYN and ACK; nullopt: a letter that is no flag, or "".
[[nodiscard]] std::optional<std::uint8_t> parse_tcp_flags(std::string_view letters) noexcept;
[[nodiscard]] std::string tcp_flag_letters(std::uint8_t flags);

/// Words of the grammar, which name no macro, and nothing else without quotes.
[[nodiscard]] bool is_reserved_word(std::string_view word) noexcept;

}  // namespace ringplane::firewall
