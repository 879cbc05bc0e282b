// IPFIX messages of flow records, RFC 7011: the bytes, nothing else. A message has a header (3.1) and sets (3.3): one
// of templates (3.4.1) that say how records of IPv4 and IPv6 look, and sets of such records (3.4.3). Information
// elements are those of RFC 5102 and IANA's registry. One thread.
//
// A flow is two records, one each way, as long as something went that way: every collector understands that, while
// records of both ways in one (RFC 5103) are beyond some.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/flow_key.h"
#include "wire/ip_address.h"

namespace ringplane::report {

/// flowEndReason, RFC 5102 5.11.3.
enum class FlowEndReason : std::uint8_t {
  kIdleTimeout = 1,
  kEndOfFlow = 3,
  kForcedEnd = 4,
  kLackOfResources = 5,
};

/// One way of a flow.
struct IpfixRecord {
  wire::Family family = wire::Family::kIpv4;
  wire::IpAddress source{};
  wire::IpAddress destination{};
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t protocol = 0;
  FlowEndReason end_reason = FlowEndReason::kIdleTimeout;
  std::uint16_t vlan = 0;            ///< 0: no tag
  std::uint16_t icmp_type_code = 0;  ///< type * 256 + code
  std::uint32_t ingress = 0;         ///< index of the interface; 0: it has none
  std::uint32_t egress = 0;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  ///< of IP packets
  std::uint64_t start_ms = 0;
  std::uint64_t end_ms = 0;
};

class IpfixMessage {
 public:
  static constexpr std::uint16_t kIpv4Template = 256;  // the first that may be used, RFC 7011 3.4.1
  static constexpr std::uint16_t kIpv6Template = 257;
  /// What every path takes, RFC 7011 10.3.3.
  static constexpr std::size_t kLeastBytes = 512;
  static constexpr std::size_t kMostBytes = 1400;

  /// Messages of at most `bytes` (kLeastBytes to kMostBytes) for an observation domain.
  IpfixMessage(std::uint32_t domain, std::size_t bytes) noexcept;
  void set_most_bytes(std::size_t bytes) noexcept;

  /// Begins the next one.
  void begin(std::uint32_t export_time_s) noexcept;
  /// Before any record.
  void add_templates() noexcept;
  /// False: it has no room for the record.
  [[nodiscard]] bool add(const IpfixRecord& record) noexcept;
  /// Records in it.
  [[nodiscard]] std::uint32_t records() const noexcept { return records_; }
  /// The whole message; its records count for the sequence number of the next one.
  [[nodiscard]] std::span<const std::uint8_t> finish() noexcept;

 private:
  template <class Integer>
  void put(Integer value) noexcept;
  void put_address(const wire::IpAddress& address, wire::Family family) noexcept;
  void open_set(std::uint16_t id) noexcept;
  void close_set() noexcept;

  std::array<std::uint8_t, kMostBytes> bytes_{};
  std::size_t most_;
  std::size_t used_ = 0;
  std::size_t set_ = 0;       ///< where the open set begins; 0: none is open
  std::uint16_t set_id_ = 0;  ///< of the open set
  std::uint32_t domain_;
  std::uint32_t sequence_ = 0;  ///< records of all messages before
  std::uint32_t records_ = 0;
};

}  // namespace ringplane::report
