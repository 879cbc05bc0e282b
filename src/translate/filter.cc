#include "translate/filter.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/ip_address.h"

namespace ringplane::translate {
bool is_table_name(std::string_view name) noexcept {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  const auto begins = [](char c) { return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_'; };
  return !name.empty() && name.size() <= 31 && begins(name.front()) && std::ranges::all_of(name, plain);
}

PortRanges sorted(PortRanges ranges) {
  std::ranges::sort(ranges);
  PortRanges merged;
  for (const auto& [low, high] : ranges) {
    if (!merged.empty() && low <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, high);
    } else {
      merged.emplace_back(low, high);
    }
  }
  return merged;
}

PortRanges complement_of(const PortRanges& ranges) {
  PortRanges others;
  std::uint32_t next = 0;
  for (const auto& [low, high] : sorted(ranges)) {
    if (low > next) others.emplace_back(static_cast<std::uint16_t>(next), static_cast<std::uint16_t>(low - 1));
    next = std::uint32_t{high} + 1;
  }
  if (next <= 0xffff) others.emplace_back(static_cast<std::uint16_t>(next), std::uint16_t{0xffff});
  return others;
}

PortRanges common_of(const PortRanges& first, const PortRanges& second) {
  PortRanges both;
  for (const auto& [low, high] : first) {
    for (const auto& [other_low, other_high] : second) {
      const std::uint16_t from = std::max(low, other_low);
      const std::uint16_t to = std::min(high, other_high);
      if (from <= to) both.emplace_back(from, to);
    }
  }
  return sorted(std::move(both));
}

void narrow_ports(FilterRule& rule, PortRanges FilterRule::* side, const PortRanges& wanted) {
  PortRanges& ports = rule.*side;
  ports = ports.empty() ? sorted(wanted) : common_of(ports, wanted);
  rule.never = rule.never || ports.empty();
}

void narrow_protocols(FilterRule& rule, std::vector<std::uint8_t> protocols) {
  std::ranges::sort(protocols);
  if (rule.protocols.empty()) {
    rule.protocols = std::move(protocols);
    return;
  }
  std::vector<std::uint8_t> both;
  std::ranges::set_intersection(rule.protocols, protocols, std::back_inserter(both));
  rule.never = rule.never || both.empty();
  rule.protocols = std::move(both);
}

void narrow_family(FilterRule& rule, wire::Family family) {
  if (rule.family != wire::Family::kNone && rule.family != family) rule.never = true;
  rule.family = family;
}

namespace {

/// What a list of addresses says of the family, and what the family says of the list. A table may hold both.
void settle_addresses(FilterRule& rule, AddressCondition& address) {
  if (address.prefixes.empty()) return;
  const wire::Family first = address.prefixes.front().family;
  const bool of_one =
      std::ranges::all_of(address.prefixes, [first](const wire::Prefix& prefix) { return prefix.family == first; });
  if (of_one && address.tables.empty() && rule.family == wire::Family::kNone) rule.family = first;
  if (rule.family == wire::Family::kNone) return;
  std::erase_if(address.prefixes, [&rule](const wire::Prefix& prefix) { return prefix.family != rule.family; });
  rule.never = rule.never || (address.is_any() && !address.negated);
}

}  // namespace

void settle(FilterRule& rule) {
  if (!rule.flags.empty() || (rule.verdict == Verdict::kReject && rule.answer.kind == Answer::Kind::kReset))
    narrow_protocols(rule, {kTcp});
  if (!rule.icmp.empty()) narrow_protocols(rule, {icmp_of(rule.family)});
  if (rule.protocols.empty() && (!rule.source_ports.empty() || !rule.destination_ports.empty()))
    rule.protocols = {kTcp, kUdp};
  // The second side may tell the family that the first is short of.
  for (AddressCondition* side : {&rule.source, &rule.destination, &rule.source}) settle_addresses(rule, *side);
  if (rule.family != wire::Family::kNone && !rule.protocols.empty()) {
    std::erase(rule.protocols, icmp_of(rule.family == wire::Family::kIpv4 ? wire::Family::kIpv6 : wire::Family::kIpv4));
    rule.never = rule.never || rule.protocols.empty();
  }
}

void narrow_flags(FilterRule& rule, FlagsCondition flags, bool negated) {
  std::vector<FlagsCondition> wanted;
  if (!negated) {
    wanted.push_back(flags);
  } else {
    // One bit that differs is enough.
    for (unsigned bit = 0; bit < 8; ++bit) {
      const auto mask = static_cast<std::uint8_t>(1U << bit);
      if ((flags.mask & mask) != 0) wanted.push_back({mask, static_cast<std::uint8_t>(~flags.value & mask)});
    }
  }
  std::vector<FlagsCondition> both;
  if (rule.flags.empty()) {
    both = std::move(wanted);
  } else {
    for (const FlagsCondition& one : rule.flags) {
      for (const FlagsCondition& other : wanted) {
        if (((one.value ^ other.value) & one.mask & other.mask) != 0) continue;
        both.push_back(
            {static_cast<std::uint8_t>(one.mask | other.mask), static_cast<std::uint8_t>(one.value | other.value)});
      }
    }
  }
  rule.never = rule.never || both.empty();
  rule.flags = std::move(both);
}

}  // namespace ringplane::translate
