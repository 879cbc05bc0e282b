// For tests and benchmarks: random pf.conf texts, and packets drawn near their rules, so that rules do match. The same
// Random gives the same text and packets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/random.h"
#include "firewall/match_key.h"
#include "firewall/ruleset.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

/// RINGPLANE_SEED= repeats a run.
inline std::uint64_t seed_of_run() {
  const char* given = std::getenv("RINGPLANE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : base::os_random_seed();
}

class RandomRules {
 public:
  explicit RandomRules(std::uint64_t seed) : random_(seed) {}

  /// A text of about `count` statements with everything that the language has.
  std::string text(std::size_t count) {
    std::string out =
        "table <a> { 10.0.0.0/8, !10.1.0.0/16, 10.1.2.0/24, 2001:db8::/32, !2001:db8:1::/48 }\n"
        "table <b> { 192.0.2.0/28, 0.0.0.0/1, ::/1 }\ntable <c> { }\n";
    if (one_in(4)) out += "set block-policy return\n";
    if (one_in(8)) out += "set skip on dmz\n";
    unsigned depth = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (one_in(12) && depth < 3) {
        out += anchor();
        ++depth;
      } else if (depth > 0 && one_in(4)) {
        out += "}\n";
        --depth;
      } else {
        out += rule();
      }
    }
    for (; depth > 0; --depth) out += "}\n";
    return out;
  }

  MatchKey packet(const Ruleset& ruleset) {
    MatchKey key;
    key.family = one_in(3) ? wire::Family::kIpv6 : wire::Family::kIpv4;
    key.source = address(key.family);
    key.destination = address(key.family);
    key.port = base::PortId{static_cast<std::uint8_t>(random_.below(ruleset.port_names.size() + 1))};
    key.way = one_in(2) ? Way::kIn : Way::kOut;
    constexpr std::array<std::uint8_t, 5> kProtocols = {6, 6, 17, 1, 47};
    key.protocol = kProtocols[random_.below(kProtocols.size())];
    if (key.protocol == 1 && key.family == wire::Family::kIpv6) key.protocol = 58;
    key.is_fragment = one_in(20);
    if (!key.is_fragment) add_transport(key);
    key.ip_tos = one_in(2) ? 0x10 : 0;
    key.has_ip_options = one_in(20);
    key.tag = static_cast<TagId>(one_in(4) ? random_.below(ruleset.tags.size()) : 0);
    key.random = static_cast<std::uint32_t>(random_());
    if (!ruleset.rules.empty() && !one_in(4)) aim(ruleset, ruleset.rules[random_.below(ruleset.rules.size())], key);
    return key;
  }

  /// One statement: a rule, or several by its lists.
  std::string rule() {
    constexpr std::array<std::string_view, 7> kActions = {
        "pass", "pass", "block", "block return", "block drop", "match", "block return-icmp(host-unr)"};
    const std::string_view action = pick(kActions);
    std::string out = std::string(action) + way();
    if (one_in(5)) out += one_in(2) ? " log" : " log (all)";
    if (one_in(5)) out += " quick";
    if (one_in(2)) out += interface();
    const std::uint64_t kind = random_.below(5);
    if (kind == 0) {
      out += one_in(2) ? " inet proto icmp all icmp-type { echoreq, unreach code port-unr }"
                       : " inet6 proto icmp6 from any to any icmp6-type echoreq";
    } else {
      constexpr std::array<std::string_view, 3> kTransports = {" proto tcp", " proto { tcp udp }", " proto udp"};
      if (kind < 3) out += pick(kTransports);
      if (kind == 3 && one_in(2)) out += " proto gre";
      const wire::Family both = family();
      out += " from " + host(both) + (kind < 3 && one_in(4) ? ports() : "");
      out += " to " + host(both) + (kind < 3 && one_in(2) ? ports() : "");
      if (kind < 3 && one_in(5)) out += one_in(2) ? " flags S/SA" : " flags any";
    }
    if (action == "pass" && one_in(3)) out += one_in(2) ? " no state" : " keep state (max 10)";
    if (kind > 2 && one_in(10)) out += " fragment";
    if (one_in(8)) out += " tos lowdelay";
    if (action == "pass" && one_in(4)) out += " allow-opts";
    if (one_in(8)) out += " tag " + tag();
    if (one_in(8)) out += (one_in(3) ? " ! tagged " : " tagged ") + tag();
    if (one_in(16)) out += " probability 50%";
    return out + "\n";
  }

 private:
  bool one_in(std::uint64_t n) { return random_.below(n) == 0; }
  template <std::size_t kCount>
  std::string_view pick(const std::array<std::string_view, kCount>& words) {
    return words[random_.below(kCount)];
  }

  void add_transport(MatchKey& key) {
    if (key.protocol == 6 || key.protocol == 17) {
      key.source_port = port();
      key.destination_port = port();
    }
    constexpr std::array<std::uint8_t, 4> kFlags = {0x02, 0x12, 0x10, 0x04};
    if (key.protocol == 6) key.tcp_flags = kFlags[random_.below(kFlags.size())];
    constexpr std::array<std::uint8_t, 4> kTypes = {8, 0, 3, 128};
    if (key.protocol == 1 || key.protocol == 58) {
      key.icmp_type = kTypes[random_.below(kTypes.size())];
      key.icmp_code = static_cast<std::uint8_t>(random_.below(4));
    }
  }

  /// Moves the packet towards one rule.
  void aim(const Ruleset& ruleset, const Rule& rule, MatchKey& key) {
    if (rule.family != wire::Family::kNone && rule.family != key.family) {
      key.family = rule.family;
      key.source = address(key.family);
      key.destination = address(key.family);
    }
    if (rule.way != RuleWay::kBoth) key.way = rule.way == RuleWay::kIn ? Way::kIn : Way::kOut;
    if (rule.protocol >= 0 && rule.protocol != key.protocol) {
      key.protocol = static_cast<std::uint8_t>(rule.protocol);
      key.source_port = key.destination_port = 0;
      key.tcp_flags = key.icmp_type = key.icmp_code = 0;
      if (!key.is_fragment) add_transport(key);
    }
    for (std::size_t i = 0; i < ruleset.port_names.size(); ++i) {
      if (rule.ports != Rule::kEveryPort && ((rule.ports >> i) & 1U) != 0) {
        key.port = base::PortId{static_cast<std::uint8_t>(i)};
      }
    }
    const auto into = [this, &key](const AddressMatch& match, wire::IpAddress& to) {
      if (match.kind != AddressMatch::Kind::kPrefix || match.prefix.family != key.family || one_in(8)) return;
      const wire::IpAddress noise = address(key.family);
      for (unsigned bit = 0; bit < match.prefix.length; ++bit) {
        const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
        to.bytes[bit / 8] =
            static_cast<std::uint8_t>((to.bytes[bit / 8] & ~mask) | (match.prefix.address.bytes[bit / 8] & mask));
      }
      if (match.prefix.length < 8) to.bytes[1] = noise.bytes[1];
    };
    into(rule.source, key.source);
    into(rule.destination, key.destination);
    if (rule.destination_port.op != PortMatch::Operator::kAny && (key.protocol == 6 || key.protocol == 17) &&
        !key.is_fragment) {
      key.destination_port = static_cast<std::uint16_t>(rule.destination_port.first + random_.below(3) - 1);
    }
    if (rule.tagged != kNoTag && one_in(2)) key.tag = rule.tagged;
  }

  std::uint16_t port() {
    constexpr std::array<std::uint16_t, 8> kPorts = {0, 22, 53, 80, 443, 1024, 6000, 65535};
    return one_in(4) ? static_cast<std::uint16_t>(random_()) : kPorts[random_.below(kPorts.size())];
  }

  wire::IpAddress address(wire::Family family) {
    constexpr std::array<std::string_view, 8> kIpv4 = {"10.0.0.1",    "10.1.0.1",  "10.1.2.3",  "192.0.2.10",
                                                       "192.0.2.100", "127.0.0.1", "224.0.0.1", "172.16.5.4"};
    constexpr std::array<std::string_view, 5> kIpv6 = {"2001:db8::1", "2001:db8:1::1", "2001:db8:1:2::3", "fe80::1",
                                                       "ff02::1"};
    const std::string_view text = family == wire::Family::kIpv4 ? pick(kIpv4) : pick(kIpv6);
    return wire::parse_host_address(text)->address;
  }

  std::string anchor() {
    std::string out = "anchor";
    if (one_in(2)) out += " \"inner\"";
    out += way();
    if (one_in(4)) out += " quick";
    if (one_in(3)) out += interface();
    out += one_in(3) ? " from " + host(family()) + " to any" : "";
    if (one_in(6)) out += " tagged " + tag();
    if (one_in(6)) out += " tag " + tag();
    if (one_in(10)) out += " probability 50%";
    return out + " {\n";
  }

  std::string way() {
    constexpr std::array<std::string_view, 3> kWays = {"", " in", " out"};
    return std::string(pick(kWays));
  }
  std::string interface() {
    constexpr std::array<std::string_view, 5> kNames = {" on lan", " on wan", " on ! lan", " on { lan dmz }",
                                                        " on any"};
    return std::string(pick(kNames));
  }
  std::string tag() { return one_in(2) ? "RED" : "BLUE"; }

  /// One that goes with the family (kNone: with both).
  std::string host(wire::Family family) {
    constexpr std::array<std::string_view, 8> kBoth = {"any", "any",   "<a>", "! <a>",
                                                       "<b>", "! <b>", "<c>", "{ 10.1.2.3, 2001:db8::1 }"};
    constexpr std::array<std::string_view, 9> kIpv4 = {
        "10.0.0.0/8",   "! 10.0.0.0/8",        "10.1.2.0/24", "10.1.2.3",   "192.0.2.0/28",
        "192.0.2.8/29", "10.0.0.1 - 10.1.0.9", "0.0.0.0/0",   "128.0.0.0/1"};
    constexpr std::array<std::string_view, 5> kIpv6 = {"2001:db8::/32", "! 2001:db8:1::/48", "2001:db8::1", "::/0",
                                                       "2001:db8:1:2::/64"};
    if (family == wire::Family::kNone || one_in(4)) return std::string(pick(kBoth));
    return std::string(family == wire::Family::kIpv4 ? pick(kIpv4) : pick(kIpv6));
  }
  wire::Family family() {
    constexpr std::array<wire::Family, 4> kFamilies = {wire::Family::kNone, wire::Family::kIpv4, wire::Family::kIpv4,
                                                       wire::Family::kIpv6};
    return kFamilies[random_.below(kFamilies.size())];
  }
  std::string ports() {
    constexpr std::array<std::string_view, 14> kPorts = {
        " port 22",       " port { 80 443 }", " port 1024:65535", " port 6000:6007", " port != 53",
        " port < 1024",   " port > 1024",     " port 22 >< 80",   " port 22 <> 443", " port <= 0",
        " port >= 65535", " port < 0",        " port 80:80",      " port 80 >< 81"};
    return std::string(pick(kPorts));
  }

  base::Random random_;
};

}  // namespace ringplane::firewall
