// A range of addresses as prefixes, which is what tables and the search structure are made of.
#pragma once

#include <vector>

#include "wire/ip_address.h"

namespace ringplane::firewall {

/// The fewest prefixes that make up first..last, ascending: at most 62 (IPv4) or 254 (IPv6). None if the two are of
/// different families or last < first.
[[nodiscard]] std::vector<wire::Prefix> prefixes_of_range(const wire::HostAddress& first,
                                                          const wire::HostAddress& last);

}  // namespace ringplane::firewall
