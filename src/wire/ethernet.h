// Ethernet II with up to two VLAN tags (802.1Q, 802.1ad).
#pragma once

#include <array>
#include <cstdint>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"

namespace ringplane::wire {

using MacAddress = std::array<std::uint8_t, 6>;

namespace ether_type {
inline constexpr std::uint16_t kIpv4 = 0x0800;
inline constexpr std::uint16_t kArp = 0x0806;
inline constexpr std::uint16_t kIpv6 = 0x86dd;
inline constexpr std::uint16_t kVlan = 0x8100;
inline constexpr std::uint16_t kServiceVlan = 0x88a8;
inline constexpr std::uint16_t kOldServiceVlan = 0x9100;
}  // namespace ether_type

struct VlanTag {
  std::uint16_t tpid = ether_type::kVlan;
  std::uint8_t priority = 0;  ///< 0..7
  bool drop_eligible = false;
  std::uint16_t id = 0;  ///< 0..4095
  [[nodiscard]] bool operator==(const VlanTag&) const noexcept = default;
};

/// Value form: compares and emits.
struct EthernetHeader {
  MacAddress destination{};
  MacAddress source{};
  std::array<VlanTag, 2> tag{};  ///< [0] is the outer one
  std::uint8_t tag_count = 0;
  std::uint16_t ether_type = 0;  ///< what follows the tags

  [[nodiscard]] std::size_t bytes() const noexcept { return 14 + std::size_t{4} * tag_count; }
  /// Writes bytes() bytes to the front of `out`, which holds at least as many.
  void emit(MutableBytes out) const noexcept;
  [[nodiscard]] bool operator==(const EthernetHeader&) const noexcept = default;
};

/// Checked view: after parse(), all of the header lies inside the frame.
class EthernetView {
 public:
  /// Fails with frame_too_short or vlan_too_deep.
  [[nodiscard]] static std::expected<EthernetView, base::DropReason> parse(Bytes frame) noexcept;

  [[nodiscard]] std::uint16_t ether_type() const noexcept { return ether_type_; }
  [[nodiscard]] std::size_t header_bytes() const noexcept { return header_bytes_; }
  /// Outer VLAN id, 0 without a tag.
  [[nodiscard]] std::uint16_t outer_vlan() const noexcept { return vlan_[0]; }
  /// Inner VLAN id, 0 with fewer than two tags.
  [[nodiscard]] std::uint16_t inner_vlan() const noexcept { return vlan_[1]; }
  [[nodiscard]] Bytes payload() const noexcept { return frame_.subspan(header_bytes_); }
  [[nodiscard]] EthernetHeader value() const noexcept;

 private:
  explicit EthernetView(Bytes frame) noexcept : frame_(frame) {}
  Bytes frame_;
  std::uint16_t ether_type_ = 0;
  std::uint16_t header_bytes_ = 14;
  std::array<std::uint16_t, 2> vlan_{};
};

}  // namespace ringplane::wire
