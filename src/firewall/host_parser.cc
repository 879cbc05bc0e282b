// Addresses and ports: what stands behind from and to, and inside tables.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "firewall/address_range.h"
#include "firewall/diagnostic.h"
#include "firewall/lexer.h"
#include "firewall/names.h"
#include "firewall/parser.h"
#include "firewall/rule_expander.h"
#include "firewall/ruleset.h"
#include "firewall/ruleset_draft.h"
#include "firewall/statement_reader.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

/// "10", "10.1", "192.168.1": octets from the left; the length follows the class as inet_net_pton(3) has it.
std::optional<wire::Prefix> parse_short_ipv4(std::string_view text) {
  std::uint32_t address = 0;
  unsigned octets = 0;
  while (!text.empty()) {
    std::uint32_t octet = 0;
    std::size_t digits = 0;
    while (digits < text.size() && digits < 3 && text[digits] >= '0' && text[digits] <= '9') {
      octet = octet * 10 + static_cast<std::uint32_t>(text[digits++] - '0');
    }
    if (digits == 0 || octet > 255 || octets == 4) return std::nullopt;
    address |= octet << (24 - 8 * octets++);
    text.remove_prefix(digits);
    if (text.empty()) break;
    if (text.front() != '.' || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
  }
  if (octets == 0) return std::nullopt;
  const std::uint32_t first = address >> 24;
  unsigned length = first >= 240 ? 32 : first >= 224 ? 8 : first >= 192 ? 24 : first >= 128 ? 16 : 8;
  length = std::max(length, 8 * octets);
  return wire::Prefix::of(wire::Family::kIpv4, wire::IpAddress::from_ipv4(address), length);
}

bool is_unsupported_host(const Token& token) {
  return token.is("no-route") || token.is("urpf-failed") || token.is("route");
}

}  // namespace

void StatementReader::read_from_to(RuleStatement& statement) {
  if (take_if("all")) return;
  if (take_if("from")) {
    if (!token_.is("port")) read_hosts(statement.sources);
    if (token_.is("os")) refuse_feature();
    if (take_if("port")) read_ports(statement.source_ports);
    if (token_.is("os")) refuse_feature();
  }
  if (take_if("to")) {
    if (!token_.is("port")) read_hosts(statement.destinations);
    if (take_if("port")) read_ports(statement.destination_ports);
  }
}

void StatementReader::read_hosts(std::vector<HostItem>& hosts) {
  if (take_if("any")) return;
  one_or_list([this, &hosts] { read_host(hosts); });
}

TableId StatementReader::read_table_name() {
  expect("<");
  const Token name = take_text("the table's name");
  expect(">");
  return draft_.named_table(name.text, name.where);
}

void StatementReader::read_host(std::vector<HostItem>& hosts) {
  const bool negated = take_if("!");
  if (is_unsupported_host(token_)) fail(token_, fmt::format("not yet: {}", token_.text));
  if (token_.is_symbol('<')) {
    hosts.push_back({.match = {.kind = AddressMatch::Kind::kTable, .negated = negated, .table = read_table_name()}});
    return;
  }
  if (token_.is_symbol('(')) return read_interface_address(hosts, negated);
  if (token_.is("any")) {
    if (negated) fail(token_, "'! any' matches nothing");
    take();
    hosts.emplace_back();
    return;
  }
  HostText host = read_address(false);
  if (!host.range.empty()) {
    const wire::Family family = host.prefixes.front().family;
    const TableId table = draft_.unnamed_table(host.range, host.prefixes);
    hosts.push_back(
        {.match = {.kind = AddressMatch::Kind::kTable, .negated = negated, .table = table}, .family = family});
    return;
  }
  for (const wire::Prefix& prefix : host.prefixes) {
    hosts.push_back({.match = {.kind = AddressMatch::Kind::kPrefix, .negated = negated, .prefix = prefix},
                     .family = prefix.family});
  }
}

/// `(lan)`, `(lan:network)`: one rule for all the interface's addresses, as they are when the text is read.
void StatementReader::read_interface_address(std::vector<HostItem>& hosts, bool negated) {
  take();
  const Token name = take_text("an interface");
  expect(")");
  int length = -1;
  if (take_if("/")) length = read_prefix_length();
  const std::size_t colon = std::min(name.text.find(':'), name.text.size());
  const std::string_view interface = name.text.substr(0, colon);
  const std::string text = fmt::format("({}){}", name.text, length < 0 ? std::string() : "/" + std::to_string(length));
  std::vector<wire::Prefix> prefixes;
  if (draft_.addresses_of(interface).empty()) {
    (void)draft_.port_mask(interface, name.where);
    draft_.report(
        Severity::kWarning, name.where,
        fmt::format("the addresses of interface '{}' are not known here: ({}) holds none", interface, name.text));
  } else {
    prefixes = resolve(name, length);
  }
  const TableId table = draft_.unnamed_table(text, prefixes);
  hosts.push_back({.match = {.kind = AddressMatch::Kind::kTable, .negated = negated, .table = table}});
}

int StatementReader::read_prefix_length() {
  return static_cast<int>(take_number("a prefix length", 128));
}

StatementReader::HostText StatementReader::read_address(bool inside_table) {
  if (token_.kind == TokenKind::kQuoted || (token_.kind != TokenKind::kWord && token_.kind != TokenKind::kNumber)) {
    unexpected(inside_table ? "an address" : "an address, a table or an interface");
  }
  const Token first = take();
  HostText host;
  if (take_if("-")) {
    read_range_end(first, host);
    return host;
  }
  int length = -1;
  if (take_if("/")) length = read_prefix_length();
  if (first.kind == TokenKind::kNumber && length < 0) {
    fail(first, fmt::format("'{}' is no address: a network needs its length, such as 10/8", first.text));
  }
  host.prefixes = resolve(first, length);
  return host;
}

void StatementReader::read_range_end(const Token& first, HostText& host) {
  const Token last = take_text("the range's last address");
  const auto from = wire::parse_host_address(first.text);
  const auto to = wire::parse_host_address(last.text);
  if (!from) fail(first, fmt::format("'{}' is no address", first.text));
  if (!to) fail(last, fmt::format("'{}' is no address", last.text));
  if (from->family != to->family || to->address < from->address) fail(first, "the range ends before it begins");
  host.prefixes = prefixes_of_range(*from, *to);
  host.range = fmt::format("{} - {}", first.text, last.text);
}

std::vector<wire::Prefix> StatementReader::resolve(const Token& name, int length) {
  const auto with_length = [this, &name, length](wire::Family family, const wire::IpAddress& address, unsigned own) {
    const unsigned bits = wire::address_bits(family);
    if (length > static_cast<int>(bits)) fail(name, fmt::format("the prefix length is above {}", bits));
    return wire::Prefix::of(family, address, length < 0 ? own : static_cast<unsigned>(length));
  };
  if (const auto host = wire::parse_host_address(name.text)) {
    return {with_length(host->family, host->address, wire::address_bits(host->family))};
  }
  if (const auto prefix = parse_short_ipv4(name.text)) {
    return {with_length(prefix->family, prefix->address, prefix->length)};
  }
  if (name.text.find('%') != std::string_view::npos) fail(name, "not yet: scoped addresses (address%interface)");

  const std::size_t colon = std::min(name.text.find(':'), name.text.size());
  const std::string_view interface = name.text.substr(0, colon);
  const std::string_view modifier = name.text.substr(colon);
  const auto addresses = draft_.addresses_of(interface);
  if (addresses.empty()) {
    if (draft_.is_interface(interface) || !modifier.empty()) {
      fail(name, fmt::format("the addresses of interface '{}' are not known here", interface));
    }
    fail(name, fmt::format("'{}' is neither an address nor an interface with addresses; does not apply here: host "
                           "names, the data plane never waits for DNS",
                           name.text));
  }
  const bool is_network = modifier == ":network";
  const bool is_first = modifier == ":0";
  if (!modifier.empty() && !is_network && !is_first) {
    fail(name, fmt::format("not yet: '{}' behind an interface; ':network' and ':0' are known", modifier));
  }
  std::vector<wire::Prefix> prefixes;
  for (const KnownPort::Address& address : addresses) {
    const wire::Family family = address.host.family;
    // A length does not suit both families: "lo0/24" means the family that it can mean.
    if (length > static_cast<int>(wire::address_bits(family))) continue;
    if (is_first && std::ranges::any_of(prefixes, [family](const auto& p) { return p.family == family; })) continue;
    const wire::Prefix prefix =
        with_length(family, address.host.address, is_network ? address.length : wire::address_bits(family));
    if (std::ranges::find(prefixes, prefix) == prefixes.end()) prefixes.push_back(prefix);
  }
  if (prefixes.empty()) fail(name, "the prefix length is above 32");
  return prefixes;
}

void StatementReader::read_ports(std::vector<PortMatch>& ports) {
  one_or_list([this, &ports] { ports.push_back(read_port()); });
}

std::uint16_t StatementReader::service(const Token& at, std::string_view name) {
  const auto port = find_service(name);
  if (port) return *port;
  const bool is_number = !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
  fail(at, is_number ? fmt::format("port {} is above 65535", name) : fmt::format("'{}' is no known service", name));
}

PortMatch StatementReader::read_port() {
  using Operator = PortMatch::Operator;
  struct Unary {
    std::string_view text;
    Operator op;
  };
  static constexpr Unary kUnary[] = {{"=", Operator::kEqual},   {"!=", Operator::kNotEqual},
                                     {"<", Operator::kLess},    {"<=", Operator::kLessOrEqual},
                                     {">", Operator::kGreater}, {">=", Operator::kGreaterOrEqual}};
  PortMatch match;
  for (const Unary& unary : kUnary) {
    if (!take_if(unary.text)) continue;
    const Token name = take_text("a port");
    match.op = unary.op;
    match.first = service(name, name.text);
    return match;
  }
  const Token name = take_text("a port");
  if (const std::size_t colon = name.text.find(':'); colon != std::string_view::npos) {
    match.op = Operator::kRange;
    match.first = service(name, name.text.substr(0, colon));
    match.second = service(name, name.text.substr(colon + 1));
    if (match.first > match.second) fail(name, "the port range ends before it begins");
    return match;
  }
  match.first = service(name, name.text);
  match.op = Operator::kEqual;
  if (token_.is("><") || token_.is("<>")) {
    match.op = take().is("><") ? Operator::kInside : Operator::kOutside;
    const Token second = take_text("a port");
    match.second = service(second, second.text);
  }
  return match;
}

}  // namespace ringplane::firewall
