#include "wire/arp.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"
#include "wire/ip_address.h"

namespace ringplane::wire {
namespace {

// Hardware type Ethernet, protocol IPv4, address lengths 6 and 4.
constexpr std::array<std::uint8_t, 6> kEthernetIpv4{0x00, 0x01, 0x08, 0x00, 6, 4};

}  // namespace

std::expected<ArpView, base::DropReason> ArpView::parse(Bytes bytes) noexcept {
  if (bytes.size() < ArpPacket::kBytes || std::memcmp(bytes.data(), kEthernetIpv4.data(), kEthernetIpv4.size()) != 0) {
    return std::unexpected(base::DropReason::arp_malformed);
  }
  return ArpView(bytes);
}

ArpPacket ArpView::value() const noexcept {
  ArpPacket packet{.operation = operation(),
                   .sender_address = IpAddress::from_wire(bytes_.data() + 14, Family::kIpv4),
                   .target_address = IpAddress::from_wire(bytes_.data() + 24, Family::kIpv4)};
  std::memcpy(packet.sender_mac.data(), bytes_.data() + 8, 6);
  std::memcpy(packet.target_mac.data(), bytes_.data() + 18, 6);
  return packet;
}

void ArpPacket::emit(MutableBytes out) const noexcept {
  std::memcpy(out.data(), kEthernetIpv4.data(), kEthernetIpv4.size());
  header_at<Be16>(out.subspan(6)) = operation;
  std::memcpy(out.data() + 8, sender_mac.data(), 6);
  std::memcpy(out.data() + 14, sender_address.bytes.data(), 4);
  std::memcpy(out.data() + 18, target_mac.data(), 6);
  std::memcpy(out.data() + 24, target_address.bytes.data(), 4);
}

}  // namespace ringplane::wire
