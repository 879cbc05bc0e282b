#include "wire/ipv6.h"

#include <cstdint>
#include <cstring>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"

namespace ringplane::wire {
namespace {

namespace extension {
constexpr std::uint8_t kHopByHop = 0;
constexpr std::uint8_t kRouting = 43;
constexpr std::uint8_t kFragment = 44;
constexpr std::uint8_t kAuthentication = 51;
constexpr std::uint8_t kDestinationOptions = 60;
constexpr std::uint8_t kMobility = 135;
constexpr std::uint8_t kHostIdentity = 139;
constexpr std::uint8_t kShim6 = 140;
}  // namespace extension

constexpr unsigned kMaxExtensions = 8;
constexpr std::size_t kFragmentHeaderBytes = 8;

bool is_extension(std::uint8_t next) noexcept {
  switch (next) {
    case extension::kHopByHop:
    case extension::kRouting:
    case extension::kFragment:
    case extension::kAuthentication:
    case extension::kDestinationOptions:
    case extension::kMobility:
    case extension::kHostIdentity:
    case extension::kShim6: return true;
    default: return false;
  }
}

/// Length by the header's own second byte: 8-byte units without the first (RFC 8200 4.3); AH counts 4-byte units
/// without the first two (RFC 4302 2.2).
std::size_t extension_bytes(std::uint8_t type, std::uint8_t length_field) noexcept {
  if (type == extension::kFragment) return kFragmentHeaderBytes;
  if (type == extension::kAuthentication) return (std::size_t{length_field} + 2) * 4;
  return (std::size_t{length_field} + 1) * 8;
}

}  // namespace

base::DropReason Ipv6View::walk_extensions() noexcept {
  std::uint8_t next = bytes_[6];
  std::size_t at = Ipv6Header::kBytes;
  for (unsigned count = 0; is_extension(next); ++count) {
    if (count == kMaxExtensions || at + 8 > bytes_.size()) return base::DropReason::ipv6_bad_extension;
    if (next == extension::kHopByHop && count > 0) return base::DropReason::ipv6_bad_extension;
    const std::size_t length = extension_bytes(next, bytes_[at + 1]);
    if (at + length > bytes_.size()) return base::DropReason::ipv6_bad_extension;
    if (next == extension::kRouting) {
      if (bytes_[at + 2] == 0) return base::DropReason::ipv6_bad_extension;
      has_routing_ = true;
    }
    if (next == extension::kHopByHop || next == extension::kRouting) has_options_ = true;
    if (next == extension::kFragment) {
      if (is_fragment_) return base::DropReason::ipv6_bad_extension;
      const std::uint16_t field = header_at<Be16>(bytes_.subspan(at + 2));
      fragment_offset_bytes_ = field & 0xfff8;
      more_fragments_ = (field & 1) != 0;
      // An atomic fragment (offset 0, no more) is a whole packet (RFC 6946).
      is_fragment_ = true;
    }
    next = bytes_[at];
    at += length;
    if (is_fragment_ && fragment_offset_bytes_ > 0) break;  // what follows is not a header
  }
  protocol_ = next;
  header_bytes_ = static_cast<std::uint16_t>(at);
  return base::DropReason::none;
}

std::expected<Ipv6View, base::DropReason> Ipv6View::parse(Bytes packet) noexcept {
  if (packet.size() < Ipv6Header::kBytes) return std::unexpected(base::DropReason::frame_too_short);
  if (packet[0] >> 4 != 6) return std::unexpected(base::DropReason::ipv6_bad_version);
  const std::size_t total = Ipv6Header::kBytes + header_at<Be16>(packet.subspan(4));
  // A payload length of 0 with a hop-by-hop header would be a jumbogram (RFC 2675): no ring carries one.
  if (total > packet.size()) return std::unexpected(base::DropReason::ipv6_bad_length);
  Ipv6View view(packet.first(total));
  const base::DropReason reason = view.walk_extensions();
  if (reason != base::DropReason::none) return std::unexpected(reason);
  const std::size_t rest = total - view.header_bytes_;
  if ((view.more_fragments_ && (rest % 8 != 0 || rest == 0)) ||
      (view.fragment_offset_bytes_ > 0 && (rest == 0 || view.fragment_offset_bytes_ + rest > 65535))) {
    return std::unexpected(base::DropReason::fragment_malformed);
  }
  return view;
}

std::expected<Ipv6View, base::DropReason> Ipv6View::parse_quoted(Bytes packet) noexcept {
  if (packet.size() < Ipv6Header::kBytes || packet[0] >> 4 != 6)
    return std::unexpected(base::DropReason::icmp_bad_header);
  const std::size_t total = Ipv6Header::kBytes + header_at<Be16>(packet.subspan(4));
  Ipv6View view(packet.first(total < packet.size() ? total : packet.size()));
  if (view.walk_extensions() != base::DropReason::none) return std::unexpected(base::DropReason::icmp_bad_header);
  return view;
}

Ipv6Header Ipv6View::value() const noexcept {
  return {.traffic_class = traffic_class(),
          .flow_label = header_at<Be32>(bytes_) & 0x000f'ffff,
          .payload_length = payload_length(),
          .next_header = bytes_[6],
          .hop_limit = hop_limit(),
          .source = source(),
          .destination = destination()};
}

void Ipv6Header::emit(MutableBytes out) const noexcept {
  header_at<Be32>(out) = (std::uint32_t{6} << 28) | (std::uint32_t{traffic_class} << 20) | (flow_label & 0x000f'ffff);
  header_at<Be16>(out.subspan(4)) = payload_length;
  out[6] = next_header;
  out[7] = hop_limit;
  std::memcpy(out.data() + 8, source.bytes.data(), 16);
  std::memcpy(out.data() + 24, destination.bytes.data(), 16);
}

}  // namespace ringplane::wire
