#include "bench/traffic.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "firewall/ruleset.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::bench {
namespace {

using firewall::AddressMatch;
using firewall::PortMatch;

constexpr std::size_t kIpOffset = 14;
constexpr std::size_t kIpChecksumOffset = kIpOffset + 10;
constexpr std::size_t kAddressOffset = kIpOffset + 12;
constexpr std::size_t kTcpOffset = kIpOffset + 20;
constexpr std::uint16_t kWindow = 0x2000;
/// Tries before a rule is given up: it may hold fewer different connections than are asked of it.
constexpr std::uint32_t kTries = 64;

bool can_hold_tcp(const firewall::Rule& rule) noexcept {
  return rule.action == firewall::Action::kPass && !rule.is_anchor() && rule.way != firewall::RuleWay::kOut &&
         (rule.family == wire::Family::kNone || rule.family == wire::Family::kIpv4) &&
         (rule.protocol < 0 || rule.protocol == wire::protocol::kTcp) && !rule.fragment &&
         rule.source.kind != AddressMatch::Kind::kTable && rule.destination.kind != AddressMatch::Kind::kTable;
}

/// A host that data planes accept: no loopback, no multicast, no broadcast.
bool is_host(std::uint32_t address) noexcept {
  const std::uint32_t first = address >> 24;
  return first != 0 && first != 127 && first < 224;
}

std::uint32_t point_of(const AddressMatch& match, std::uint32_t bits) noexcept {
  if (match.kind != AddressMatch::Kind::kPrefix || match.negated) return bits;
  const std::uint32_t host = match.prefix.length >= 32 ? 0 : ~std::uint32_t{0} >> match.prefix.length;
  return match.prefix.address.ipv4() | (bits & host);
}

std::uint16_t point_of(const PortMatch& match, std::uint16_t bits) noexcept {
  switch (match.op) {
    case PortMatch::Operator::kEqual: return match.first;
    case PortMatch::Operator::kRange:
      return static_cast<std::uint16_t>(match.first + bits % (std::uint32_t{match.second} - match.first + 1));
    default: return bits;  // whether it holds shows when the connection is made
  }
}

std::uint64_t mix(std::uint64_t value) noexcept {
  return base::Random(value)();
}

std::uint64_t number_of(const Connection& connection) noexcept {
  return mix((std::uint64_t{connection.client} << 32 | connection.server) ^
             mix(std::uint64_t{connection.client_port} << 16 | connection.server_port));
}

/// The connections that were taken, by fingerprint: open addressing, so that ten million of them stay affordable.
class Taken {
 public:
  explicit Taken(std::uint64_t count) : slots_(std::bit_ceil(count * 2 + 2)) {}
  bool insert(std::uint64_t number) noexcept {
    number |= 1;
    for (std::size_t i = number >> 1;; ++i) {
      std::uint64_t& slot = slots_[i & (slots_.size() - 1)];
      if (slot == number) return false;
      if (slot == 0) {
        slot = number;
        return true;
      }
    }
  }

 private:
  std::vector<std::uint64_t> slots_;
};

void put16(std::uint8_t* to, std::uint32_t value) noexcept {
  const std::uint16_t wire = std::byteswap(static_cast<std::uint16_t>(value));
  std::memcpy(to, &wire, sizeof wire);
}
void put32(std::uint8_t* to, std::uint32_t value) noexcept {
  const std::uint32_t wire = std::byteswap(value);
  std::memcpy(to, &wire, sizeof wire);
}

std::uint8_t flags_of(Step step) noexcept {
  switch (step) {
    case Step::kSyn: return wire::tcp_flag::kSyn;
    case Step::kSynAck: return wire::tcp_flag::kSyn | wire::tcp_flag::kAck;
    case Step::kFin:
    case Step::kFinAck: return wire::tcp_flag::kFin | wire::tcp_flag::kAck;
    default: return wire::tcp_flag::kAck;
  }
}

}  // namespace

base::Result<std::vector<Connection>> make_connections(const firewall::Ruleset& ruleset, std::uint64_t count,
                                                       std::uint64_t seed) {
  std::vector<const firewall::Rule*> rules;
  for (const firewall::Rule& rule : ruleset.rules) {
    if (can_hold_tcp(rule)) rules.push_back(&rule);
  }
  static const firewall::Rule anything;
  if (rules.empty()) rules.push_back(&anything);
  base::Random random(seed);
  Taken taken(count);
  std::vector<Connection> connections;
  connections.reserve(count);
  std::uint64_t failures = 0;
  while (connections.size() < count) {
    const firewall::Rule& rule = *rules[random.below(rules.size())];
    bool made = false;
    for (std::uint32_t i = 0; i < kTries && !made; ++i) {
      const std::uint64_t addresses = random();
      const std::uint64_t ports = random();
      const Connection connection{
          .client = point_of(rule.source, static_cast<std::uint32_t>(addresses)),
          .server = point_of(rule.destination, static_cast<std::uint32_t>(addresses >> 32)),
          .client_port = point_of(rule.source_port, static_cast<std::uint16_t>(ports)),
          .server_port = point_of(rule.destination_port, static_cast<std::uint16_t>(ports >> 16))};
      if (!is_host(connection.client) || !is_host(connection.server) || connection.client == connection.server)
        continue;
      made = taken.insert(number_of(connection));
      if (made) connections.push_back(connection);
    }
    if (!made && ++failures > 100 * rules.size() + count) {
      return base::fail("the passing rules hold only " + std::to_string(connections.size()) +
                        " different TCP connections over IPv4; ask for fewer flows or give wider rules");
    }
  }
  return connections;
}

FrameWriter::FrameWriter() noexcept : templates_{}, sums_{} {
  for (std::size_t i = 0; i < templates_.size(); ++i) {
    const Step step = static_cast<Step>(i);
    std::uint8_t* frame = templates_[i].data();
    const std::uint8_t client = from_client(step) ? 1 : 2;
    static constexpr std::array<std::uint8_t, 5> kMac{0x02, 0, 0, 0, 0};
    std::memcpy(frame, kMac.data(), 5);
    std::memcpy(frame + 6, kMac.data(), 5);
    frame[5] = static_cast<std::uint8_t>(3 - client);
    frame[11] = client;
    put16(frame + 12, 0x0800);
    frame[kIpOffset] = 0x45;
    put16(frame + kIpOffset + 2, 40);
    put16(frame + kIpOffset + 6, 0x4000);  // don't fragment
    frame[kIpOffset + 8] = 64;
    frame[kIpOffset + 9] = wire::protocol::kTcp;
    frame[kTcpOffset + 12] = 0x50;
    frame[kTcpOffset + 13] = flags_of(step);
    put16(frame + kTcpOffset + 14, kWindow);
    for (std::size_t at = kIpOffset; at < kAddressOffset; at += 2) {
      sums_[i] += static_cast<std::uint32_t>(frame[at] << 8 | frame[at + 1]);
    }
  }
}

void FrameWriter::write(std::uint8_t* to, const Connection& connection, Step step) const noexcept {
  const auto index = static_cast<std::size_t>(step);
  const bool client_sends = from_client(step);
  const std::uint32_t source = client_sends ? connection.client : connection.server;
  const std::uint32_t destination = client_sends ? connection.server : connection.client;
  const std::uint32_t source_port = client_sends ? connection.client_port : connection.server_port;
  const std::uint32_t destination_port = client_sends ? connection.server_port : connection.client_port;
  // Initial sequence numbers of both sides; what each has sent so far is its SYN and, later, its FIN.
  const std::uint32_t client_isn = connection.client * 0x9e3779b1U + connection.client_port;
  const std::uint32_t server_isn = connection.server * 0x85ebca6bU + connection.server_port;
  const std::uint32_t client_sent = step == Step::kSyn ? 0 : step == Step::kLastAck ? 2 : 1;
  const std::uint32_t server_sent = step == Step::kSynAck ? 0 : 1;
  const std::uint32_t client_acks = step == Step::kLastAck ? 2 : 1;
  const std::uint32_t server_acks = step == Step::kFinAck ? 2 : 1;

  std::memcpy(to, templates_[index].data(), 64);
  put32(to + kAddressOffset, source);
  put32(to + kAddressOffset + 4, destination);
  put32(to + kTcpOffset, source_port << 16 | destination_port);
  put32(to + kTcpOffset + 4, client_sends ? client_isn + client_sent : server_isn + server_sent);
  if (step != Step::kSyn) {
    put32(to + kTcpOffset + 8, client_sends ? server_isn + client_acks : client_isn + server_acks);
  }
  std::uint32_t sum = sums_[index] + (source >> 16) + (source & 0xffff) + (destination >> 16) + (destination & 0xffff);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  put16(to + kIpChecksumOffset, ~sum);
}

std::uint64_t fingerprint(const std::uint8_t* frame) noexcept {
  std::uint32_t source;
  std::uint32_t destination;
  std::uint32_t ports;
  std::memcpy(&source, frame + kAddressOffset, 4);
  std::memcpy(&destination, frame + kAddressOffset + 4, 4);
  std::memcpy(&ports, frame + kTcpOffset, 4);
  return (std::uint64_t{source} + destination) * 0x9e3779b97f4a7c15ULL + (ports ^ ports >> 16);
}

}  // namespace ringplane::bench
