#include "wire/ipv4.h"

#include <cstdint>
#include <cstring>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

namespace ringplane::wire {
namespace {

constexpr std::uint8_t kIpOptionEnd = 0;
constexpr std::uint8_t kIpOptionNop = 1;
constexpr std::uint8_t kOptionRouterAlert = 148;

/// Calls `f(kind)` for each option that is not padding; false if the list runs over its end.
template <class F>
bool walk_options(Bytes options, F&& f) noexcept {
  std::size_t at = 0;
  while (at < options.size() && options[at] != kIpOptionEnd) {
    if (options[at] == kIpOptionNop) {
      ++at;
      continue;
    }
    if (at + 1 >= options.size()) return false;
    const std::size_t length = options[at + 1];
    if (length < 2 || at + length > options.size()) return false;
    f(options[at]);
    at += length;
  }
  return true;
}

std::expected<std::size_t, base::DropReason> check_header(Bytes packet) noexcept {
  if (packet.size() < Ipv4Header::kBytes) return std::unexpected(base::DropReason::frame_too_short);
  if (packet[0] >> 4 != 4) return std::unexpected(base::DropReason::ipv4_bad_version);
  const std::size_t header_bytes = std::size_t{4} * (packet[0] & 0x0fU);
  if (header_bytes < Ipv4Header::kBytes || header_bytes > packet.size()) {
    return std::unexpected(base::DropReason::ipv4_bad_header_length);
  }
  return header_bytes;
}

}  // namespace

std::expected<Ipv4View, base::DropReason> Ipv4View::parse(Bytes packet) noexcept {
  const auto header_bytes = check_header(packet);
  if (!header_bytes) return std::unexpected(header_bytes.error());
  const std::size_t total = header_at<Be16>(packet.subspan(2));
  if (total < *header_bytes || total > packet.size()) return std::unexpected(base::DropReason::ipv4_bad_total_length);
  if (checksum(packet.first(*header_bytes)) != 0) return std::unexpected(base::DropReason::ipv4_bad_checksum);
  const Ipv4View view(packet.first(total));
  if (view.has_options() && !walk_options(packet.subspan(20, *header_bytes - 20), [](std::uint8_t) {})) {
    return std::unexpected(base::DropReason::ipv4_bad_option);
  }
  const std::size_t payload_bytes = total - *header_bytes;
  const std::size_t offset = view.fragment_offset_bytes();
  if ((view.more_fragments() && (payload_bytes % 8 != 0 || payload_bytes == 0)) || offset + total > 65535 ||
      (offset > 0 && payload_bytes == 0)) {
    return std::unexpected(base::DropReason::fragment_malformed);
  }
  return view;
}

std::expected<Ipv4View, base::DropReason> Ipv4View::parse_quoted(Bytes packet) noexcept {
  const auto header_bytes = check_header(packet);
  if (!header_bytes) return std::unexpected(base::DropReason::icmp_bad_header);
  const std::size_t total = header_at<Be16>(packet.subspan(2));
  if (total < *header_bytes) return std::unexpected(base::DropReason::icmp_bad_header);
  return Ipv4View(packet.first(total < packet.size() ? total : packet.size()));
}

bool Ipv4View::only_router_alert() const noexcept {
  bool alert = false;
  bool other = false;
  walk_options(bytes_.subspan(Ipv4Header::kBytes, header_bytes() - Ipv4Header::kBytes),
               [&](std::uint8_t kind) { (kind == kOptionRouterAlert ? alert : other) = true; });
  return alert && !other;
}

Ipv4Header Ipv4View::value() const noexcept {
  return {.tos = tos(),
          .total_length = total_length(),
          .identification = identification(),
          .dont_fragment = dont_fragment(),
          .more_fragments = more_fragments(),
          .fragment_offset_bytes = fragment_offset_bytes(),
          .ttl = ttl(),
          .protocol = protocol(),
          .source = source(),
          .destination = destination()};
}

void Ipv4Header::emit(MutableBytes out) const noexcept {
  out[0] = 0x45;
  out[1] = tos;
  header_at<Be16>(out.subspan(2)) = total_length;
  header_at<Be16>(out.subspan(4)) = identification;
  header_at<Be16>(out.subspan(6)) = static_cast<std::uint16_t>(
      (dont_fragment ? 0x4000 : 0) | (more_fragments ? 0x2000 : 0) | (fragment_offset_bytes / 8));
  out[8] = ttl;
  out[9] = protocol;
  header_at<Be16>(out.subspan(10)) = std::uint16_t{0};
  std::memcpy(out.data() + 12, source.bytes.data(), 4);
  std::memcpy(out.data() + 16, destination.bytes.data(), 4);
  header_at<Be16>(out.subspan(10)) = checksum(out.first(kBytes));
}

}  // namespace ringplane::wire
