// ARP for Ethernet and IPv4 (RFC 826). The only kind a bridge has to understand.
#pragma once

#include <cstdint>
#include <cstring>
#include <expected>

#include "base/drop_reason.h"
#include "wire/ethernet.h"
#include "wire/ip_address.h"

namespace ringplane::wire {

struct ArpPacket {
  static constexpr std::uint16_t kRequest = 1;
  static constexpr std::uint16_t kReply = 2;
  static constexpr std::size_t kBytes = 28;

  std::uint16_t operation = kRequest;
  MacAddress sender_mac{};
  IpAddress sender_address;
  MacAddress target_mac{};
  IpAddress target_address;

  /// Writes kBytes bytes.
  void emit(MutableBytes out) const noexcept;
  [[nodiscard]] bool operator==(const ArpPacket&) const noexcept = default;
};

class ArpView {
 public:
  /// Fails with arp_malformed.
  [[nodiscard]] static std::expected<ArpView, base::DropReason> parse(Bytes bytes) noexcept;
  [[nodiscard]] std::uint16_t operation() const noexcept { return header_at<Be16>(bytes_.subspan(6)); }
  [[nodiscard]] ArpPacket value() const noexcept;

 private:
  explicit ArpView(Bytes bytes) noexcept : bytes_(bytes) {}
  Bytes bytes_;
};

}  // namespace ringplane::wire
