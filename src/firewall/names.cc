#include "firewall/names.h"

#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::firewall {
namespace {

struct Named {
  std::string_view name;
  std::uint8_t value;
};

// Of several names for one number the first is printed (IANA protocol-numbers).
constexpr Named kProtocols[] = {
    {"tcp", 6},      {"udp", 17},    {"icmp", 1},   {"ipv6-icmp", 58}, {"icmp6", 58}, {"icmpv6", 58},   {"igmp", 2},
    {"ipencap", 4},  {"ipv4", 4},    {"egp", 8},    {"ipv6", 41},      {"rsvp", 46},  {"gre", 47},      {"esp", 50},
    {"ah", 51},      {"mobile", 55}, {"eigrp", 88}, {"ospf", 89},      {"ipip", 94},  {"etherip", 97},  {"pim", 103},
    {"ipcomp", 108}, {"carp", 112},  {"vrrp", 112}, {"l2tp", 115},     {"sctp", 132}, {"udplite", 136}, {"pfsync", 240},
};

constexpr int kTcp = 1;
constexpr int kUdp = 2;
struct Service {
  std::string_view name;
  std::uint16_t port;
  int protocols;
};
constexpr Service kServices[] = {
    {"echo", 7, kTcp | kUdp},
    {"discard", 9, kTcp | kUdp},
    {"daytime", 13, kTcp | kUdp},
    {"ftp-data", 20, kTcp},
    {"ftp", 21, kTcp},
    {"ssh", 22, kTcp | kUdp},
    {"telnet", 23, kTcp},
    {"smtp", 25, kTcp},
    {"time", 37, kTcp | kUdp},
    {"whois", 43, kTcp},
    {"domain", 53, kTcp | kUdp},
    {"bootps", 67, kUdp},
    {"bootpc", 68, kUdp},
    {"tftp", 69, kUdp},
    {"gopher", 70, kTcp},
    {"finger", 79, kTcp},
    {"www", 80, kTcp},
    {"http", 80, 0},
    {"kerberos", 88, kTcp | kUdp},
    {"pop3", 110, kTcp},
    {"sunrpc", 111, kTcp | kUdp},
    {"portmap", 111, 0},
    {"auth", 113, kTcp},
    {"ident", 113, 0},
    {"nntp", 119, kTcp},
    {"ntp", 123, kTcp | kUdp},
    {"netbios-ns", 137, kTcp | kUdp},
    {"netbios-dgm", 138, kTcp | kUdp},
    {"netbios-ssn", 139, kTcp | kUdp},
    {"imap", 143, kTcp},
    {"imap2", 143, 0},
    {"snmp", 161, kUdp},
    {"snmp-trap", 162, kUdp},
    {"snmptrap", 162, 0},
    {"bgp", 179, kTcp},
    {"irc", 194, kTcp},
    {"ldap", 389, kTcp},
    {"https", 443, kTcp | kUdp},
    {"microsoft-ds", 445, kTcp | kUdp},
    {"isakmp", 500, kUdp},
    {"syslog", 514, kUdp},
    {"shell", 514, kTcp},
    {"printer", 515, kTcp},
    {"route", 520, kUdp},
    {"router", 520, 0},
    {"submission", 587, kTcp},
    {"ldaps", 636, kTcp},
    {"domain-s", 853, kTcp},
    {"rsync", 873, kTcp},
    {"imaps", 993, kTcp},
    {"pop3s", 995, kTcp},
    {"socks", 1080, kTcp},
    {"openvpn", 1194, kTcp | kUdp},
    {"ms-sql-s", 1433, kTcp},
    {"radius", 1812, kUdp},
    {"radacct", 1813, kUdp},
    {"nfsd", 2049, kTcp | kUdp},
    {"nfs", 2049, 0},
    {"mysql", 3306, kTcp},
    {"ms-wbt-server", 3389, kTcp},
    {"ipsec-nat-t", 4500, kUdp},
    {"sip", 5060, kTcp | kUdp},
    {"xmpp-client", 5222, kTcp},
    {"mdns", 5353, kUdp},
    {"postgresql", 5432, kTcp},
    {"x11", 6000, kTcp},
    {"http-alt", 8080, kTcp},
};

constexpr Named kIcmpTypes[] = {
    {"echoreq", 8},    {"echorep", 0},    {"unreach", 3},    {"squench", 4},   {"redir", 5},
    {"althost", 6},    {"routeradv", 9},  {"routersol", 10}, {"timex", 11},    {"paramprob", 12},
    {"timereq", 13},   {"timerep", 14},   {"inforeq", 15},   {"inforep", 16},  {"maskreq", 17},
    {"maskrep", 18},   {"trace", 30},     {"dataconv", 31},  {"mobredir", 32}, {"ipv6-where", 33},
    {"ipv6-here", 34}, {"mobregreq", 35}, {"mobregrep", 36}, {"skip", 39},     {"photuris", 40},
};
constexpr Named kIcmp6Types[] = {
    {"unreach", 1},      {"toobig", 2},       {"timex", 3},        {"paramprob", 4},   {"echoreq", 128},
    {"echorep", 129},    {"groupqry", 130},   {"listqry", 130},    {"grouprep", 131},  {"listenrep", 131},
    {"groupterm", 132},  {"listendone", 132}, {"routersol", 133},  {"routeradv", 134}, {"neighbrsol", 135},
    {"neighbradv", 136}, {"redir", 137},      {"routrrenum", 138}, {"wrureq", 139},    {"fqdnreq", 139},
    {"niqry", 139},      {"wrurep", 140},     {"fqdnrep", 140},    {"nirep", 140},     {"mtraceresp", 200},
    {"mtrace", 201},
};

struct Code {
  std::string_view name;
  std::uint8_t type;
  std::uint8_t code;
};
constexpr Code kIcmpCodes[] = {
    {"net-unr", 3, 0},    {"host-unr", 3, 1},       {"proto-unr", 3, 2},     {"port-unr", 3, 3},
    {"needfrag", 3, 4},   {"srcfail", 3, 5},        {"net-unk", 3, 6},       {"host-unk", 3, 7},
    {"isolate", 3, 8},    {"net-prohib", 3, 9},     {"host-prohib", 3, 10},  {"net-tos", 3, 11},
    {"host-tos", 3, 12},  {"filter-prohib", 3, 13}, {"host-preced", 3, 14},  {"cutoff-preced", 3, 15},
    {"redir-net", 5, 0},  {"redir-host", 5, 1},     {"redir-tos-net", 5, 2}, {"redir-tos-host", 5, 3},
    {"normal-adv", 9, 0}, {"common-adv", 9, 16},    {"transit", 11, 0},      {"reassemb", 11, 1},
    {"badhead", 12, 0},   {"optmiss", 12, 1},       {"badlen", 12, 2},       {"unknown-ind", 40, 0},
    {"auth-fail", 40, 1}, {"decrypt-fail", 40, 2},
};
constexpr Code kIcmp6Codes[] = {
    {"noroute-unr", 1, 0}, {"admin-unr", 1, 1}, {"notnbr-unr", 1, 2},    {"beyond-unr", 1, 2},
    {"addr-unr", 1, 3},    {"port-unr", 1, 4},  {"transit", 3, 0},       {"reassemb", 3, 1},
    {"badhead", 4, 0},     {"nxthdr", 4, 1},    {"redironlink", 137, 0}, {"redirrouter", 137, 1},
};

// RFC 791 words, and the DSCPs of RFC 2474, 2597, 3246 in the upper six bits.
constexpr Named kTosNames[] = {
    {"lowdelay", 0x10},   {"throughput", 0x08}, {"reliability", 0x04}, {"critical", 0xa0}, {"inetcontrol", 0xc0},
    {"netcontrol", 0xe0}, {"ef", 0xb8},         {"af11", 0x28},        {"af12", 0x30},     {"af13", 0x38},
    {"af21", 0x48},       {"af22", 0x50},       {"af23", 0x58},        {"af31", 0x68},     {"af32", 0x70},
    {"af33", 0x78},       {"af41", 0x88},       {"af42", 0x90},        {"af43", 0x98},     {"cs0", 0x00},
    {"cs1", 0x20},        {"cs2", 0x40},        {"cs3", 0x60},         {"cs4", 0x80},      {"cs5", 0xa0},
    {"cs6", 0xc0},        {"cs7", 0xe0},
};

std::optional<std::uint8_t> find(std::span<const Named> names, std::string_view name) noexcept {
  for (const Named& entry : names) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

template <class Integer>
std::optional<Integer> whole_number(std::string_view text) noexcept {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

constexpr bool is_ipv6(wire::Family family) noexcept {
  return family == wire::Family::kIpv6;
}

std::span<const Code> codes_of(wire::Family family) noexcept {
  if (is_ipv6(family)) return kIcmp6Codes;
  return kIcmpCodes;
}

constexpr std::string_view kFlagLetters = "FSRPAUEW";

constexpr std::string_view kReserved[] = {
    "all",          "any",           "block",        "pass",       "match",        "in",       "out",      "on",
    "log",          "quick",         "inet",         "inet6",      "proto",        "from",     "to",       "port",
    "flags",        "keep",          "state",        "modulate",   "no",           "label",    "tag",      "tagged",
    "set",          "table",         "anchor",       "antispoof",  "include",      "load",     "self",     "user",
    "group",        "queue",         "return",       "drop",       "probability",  "tos",      "fragment", "allow-opts",
    "icmp-type",    "icmp6-type",    "received-on",  "rtable",     "once",         "nat",      "rdr",      "binat",
    "scrub",        "altq",          "nat-anchor",   "rdr-anchor", "binat-anchor", "rdomain",  "prio",     "os",
    "nat-to",       "rdr-to",        "binat-to",     "af-to",      "route-to",     "reply-to", "dup-to",   "divert-to",
    "divert-reply", "divert-packet", "max-pkt-rate", "synproxy",
};

}  // namespace

std::optional<std::uint8_t> find_protocol(std::string_view name) {
  if (const auto number = whole_number<std::uint8_t>(name)) return number;
  if (const auto known = find(kProtocols, name)) return known;
  const std::string terminated(name);
  const protoent* entry = getprotobyname(terminated.c_str());
  if (entry == nullptr || entry->p_proto < 0 || entry->p_proto > 255) return std::nullopt;
  return static_cast<std::uint8_t>(entry->p_proto);
}

std::string protocol_name(std::uint8_t protocol) {
  for (const Named& entry : kProtocols) {
    if (entry.value == protocol) return std::string(entry.name);
  }
  return std::to_string(protocol);
}

std::optional<std::uint16_t> find_service(std::string_view name) {
  if (const auto number = whole_number<std::uint16_t>(name)) return number;
  for (const Service& service : kServices) {
    if (service.name == name) return service.port;
  }
  if (name.empty() || name.find_first_not_of("0123456789") == std::string_view::npos) return std::nullopt;
  const std::string terminated(name);
  const servent* entry = getservbyname(terminated.c_str(), "tcp");
  if (entry == nullptr) entry = getservbyname(terminated.c_str(), "udp");
  if (entry == nullptr) return std::nullopt;
  const auto port = static_cast<std::uint16_t>(entry->s_port);
  return static_cast<std::uint16_t>((port >> 8) | (port << 8));
}

std::string_view service_name(std::uint16_t port, int protocol) noexcept {
  const int wanted = protocol == wire::protocol::kTcp ? kTcp : protocol == wire::protocol::kUdp ? kUdp : 0;
  for (const Service& service : kServices) {
    if (service.port == port && (service.protocols & wanted) != 0) return service.name;
  }
  return "";
}

std::optional<std::uint8_t> find_icmp_type(std::string_view name, wire::Family family) noexcept {
  if (const auto number = whole_number<std::uint8_t>(name)) return number;
  return is_ipv6(family) ? find(kIcmp6Types, name) : find(kIcmpTypes, name);
}

std::optional<std::uint8_t> find_icmp_code(std::string_view name, std::uint8_t type, wire::Family family) noexcept {
  if (const auto number = whole_number<std::uint8_t>(name)) return number;
  for (const Code& code : codes_of(family)) {
    if (code.type == type && code.name == name) return code.code;
  }
  return std::nullopt;
}

std::string icmp_type_name(std::uint8_t type, wire::Family family) {
  const std::span<const Named> names =
      is_ipv6(family) ? std::span<const Named>(kIcmp6Types) : std::span<const Named>(kIcmpTypes);
  for (const Named& entry : names) {
    if (entry.value == type) return std::string(entry.name);
  }
  return std::to_string(type);
}

std::string icmp_code_name(std::uint8_t code, std::uint8_t type, wire::Family family) {
  for (const Code& entry : codes_of(family)) {
    if (entry.type == type && entry.code == code) return std::string(entry.name);
  }
  return std::to_string(code);
}

std::optional<std::uint8_t> find_tos(std::string_view name) noexcept {
  return find(kTosNames, name);
}

std::optional<std::uint8_t> parse_tcp_flags(std::string_view letters) noexcept {
  std::uint8_t flags = 0;
  for (const char letter : letters) {
    const std::size_t bit = kFlagLetters.find(letter);
    if (bit == std::string_view::npos) return std::nullopt;
    flags = static_cast<std::uint8_t>(flags | (1U << bit));
  }
  if (letters.empty()) return std::nullopt;
  return flags;
}

std::string tcp_flag_letters(std::uint8_t flags) {
  std::string letters;
  for (std::size_t bit = 0; bit < kFlagLetters.size(); ++bit) {
    if (((flags >> bit) & 1U) != 0) letters += kFlagLetters[bit];
  }
  return letters;
}

bool is_reserved_word(std::string_view word) noexcept {
  return std::ranges::find(kReserved, word) != std::end(kReserved);
}

}  // namespace ringplane::firewall
