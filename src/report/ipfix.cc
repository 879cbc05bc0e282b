#include "report/ipfix.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "wire/ip_address.h"

namespace ringplane::report {
namespace {

constexpr std::uint16_t kVersion = 10;      // RFC 7011 3.1
constexpr std::uint16_t kTemplateSet = 2;   // 3.3.2
constexpr std::size_t kHeaderBytes = 16;    // 3.1: version, length, export time, sequence number, domain
constexpr std::size_t kLengthAt = 2;        // in the header and in a set's header
constexpr std::size_t kSetHeaderBytes = 4;  // 3.3.2: id, length

/// 3.2: an information element and how many bytes of it a record has.
struct Field {
  std::uint16_t element;
  std::uint16_t bytes;
};
constexpr std::size_t kFieldCount = 14;
using Fields = std::array<Field, kFieldCount>;

/// In the order in which add() writes them.
constexpr Fields fields_of(wire::Family family) {
  const bool ipv4 = family == wire::Family::kIpv4;
  const std::uint16_t address_bytes = ipv4 ? 4 : 16;
  return {{
      {ipv4 ? std::uint16_t{8} : std::uint16_t{27}, address_bytes},   // sourceIPv4Address, sourceIPv6Address
      {ipv4 ? std::uint16_t{12} : std::uint16_t{28}, address_bytes},  // destinationIPv4Address, destinationIPv6Address
      {7, 2},                                                         // sourceTransportPort
      {11, 2},                                                        // destinationTransportPort
      {4, 1},                                                         // protocolIdentifier
      {136, 1},                                                       // flowEndReason
      {58, 2},                                                        // vlanId
      {ipv4 ? std::uint16_t{32} : std::uint16_t{139}, 2},             // icmpTypeCodeIPv4, icmpTypeCodeIPv6
      {10, 4},                                                        // ingressInterface
      {14, 4},                                                        // egressInterface
      {2, 8},                                                         // packetDeltaCount
      {1, 8},                                                         // octetDeltaCount
      {152, 8},                                                       // flowStartMilliseconds
      {153, 8},                                                       // flowEndMilliseconds
  }};
}

constexpr std::size_t record_bytes(wire::Family family) {
  std::size_t bytes = 0;
  for (const Field& field : fields_of(family)) bytes += field.bytes;
  return bytes;
}
static_assert(kHeaderBytes + kSetHeaderBytes + 2 * (4 + kFieldCount * 4) + kSetHeaderBytes +
                  record_bytes(wire::Family::kIpv6) <=
              IpfixMessage::kLeastBytes);

void write_length(std::uint8_t* at, std::size_t length) noexcept {
  at[0] = static_cast<std::uint8_t>(length >> 8);
  at[1] = static_cast<std::uint8_t>(length);
}

}  // namespace

IpfixMessage::IpfixMessage(std::uint32_t domain, std::size_t bytes) noexcept : domain_(domain) {
  set_most_bytes(bytes);
  begin(0);
}

void IpfixMessage::set_most_bytes(std::size_t bytes) noexcept {
  most_ = std::clamp(bytes, kLeastBytes, kMostBytes);
}

template <class Integer>
void IpfixMessage::put(Integer value) noexcept {
  for (std::size_t i = sizeof value; i-- > 0;) bytes_[used_++] = static_cast<std::uint8_t>(value >> (8 * i));
}

void IpfixMessage::put_address(const wire::IpAddress& address, wire::Family family) noexcept {
  const std::size_t bytes = family == wire::Family::kIpv4 ? 4 : 16;
  std::memcpy(&bytes_[used_], address.bytes.data(), bytes);
  used_ += bytes;
}

void IpfixMessage::begin(std::uint32_t export_time_s) noexcept {
  used_ = 0;
  set_ = 0;
  records_ = 0;
  put(kVersion);
  put(std::uint16_t{0});  // the length, by finish()
  put(export_time_s);
  put(sequence_);
  put(domain_);
}

void IpfixMessage::open_set(std::uint16_t id) noexcept {
  set_ = used_;
  set_id_ = id;
  put(id);
  put(std::uint16_t{0});  // the length, by close_set()
}

void IpfixMessage::close_set() noexcept {
  if (set_ != 0) write_length(&bytes_[set_ + kLengthAt], used_ - set_);
  set_ = 0;
}

void IpfixMessage::add_templates() noexcept {
  open_set(kTemplateSet);
  for (const wire::Family family : {wire::Family::kIpv4, wire::Family::kIpv6}) {
    put(family == wire::Family::kIpv4 ? kIpv4Template : kIpv6Template);
    put(static_cast<std::uint16_t>(kFieldCount));
    for (const Field& field : fields_of(family)) {
      put(field.element);
      put(field.bytes);
    }
  }
  close_set();
}

bool IpfixMessage::add(const IpfixRecord& record) noexcept {
  const std::uint16_t id = record.family == wire::Family::kIpv4 ? kIpv4Template : kIpv6Template;
  const bool is_open = set_ != 0 && set_id_ == id;
  if (used_ + (is_open ? 0 : kSetHeaderBytes) + record_bytes(record.family) > most_) return false;
  if (!is_open) {
    close_set();
    open_set(id);
  }
  put_address(record.source, record.family);
  put_address(record.destination, record.family);
  put(record.source_port);
  put(record.destination_port);
  put(record.protocol);
  put(static_cast<std::uint8_t>(record.end_reason));
  put(record.vlan);
  put(record.icmp_type_code);
  put(record.ingress);
  put(record.egress);
  put(record.packets);
  put(record.bytes);
  put(record.start_ms);
  put(record.end_ms);
  ++records_;
  return true;
}

std::span<const std::uint8_t> IpfixMessage::finish() noexcept {
  close_set();
  write_length(&bytes_[kLengthAt], used_);
  sequence_ += records_;
  return std::span(bytes_).first(used_);
}

}  // namespace ringplane::report
