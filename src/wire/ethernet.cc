#include "wire/ethernet.h"

#include <cstdint>
#include <cstring>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"

namespace ringplane::wire {
namespace {

constexpr std::size_t kHeaderBytes = 14;
constexpr std::size_t kTagBytes = 4;

bool is_vlan(std::uint16_t type) noexcept {
  return type == ether_type::kVlan || type == ether_type::kServiceVlan || type == ether_type::kOldServiceVlan;
}

std::uint16_t read16(Bytes bytes, std::size_t at) noexcept {
  return header_at<Be16>(bytes.subspan(at));
}

}  // namespace

std::expected<EthernetView, base::DropReason> EthernetView::parse(Bytes frame) noexcept {
  if (frame.size() < kHeaderBytes) return std::unexpected(base::DropReason::frame_too_short);
  EthernetView view(frame);
  view.ether_type_ = read16(frame, 12);
  for (std::size_t tags = 0; is_vlan(view.ether_type_); ++tags) {
    if (tags == view.vlan_.size()) return std::unexpected(base::DropReason::vlan_too_deep);
    if (frame.size() < view.header_bytes_ + kTagBytes) return std::unexpected(base::DropReason::frame_too_short);
    view.vlan_[tags] = read16(frame, view.header_bytes_) & 0x0fff;
    view.ether_type_ = read16(frame, view.header_bytes_ + std::size_t{2});
    view.header_bytes_ += kTagBytes;
  }
  return view;
}

EthernetHeader EthernetView::value() const noexcept {
  EthernetHeader header;
  std::memcpy(header.destination.data(), frame_.data(), 6);
  std::memcpy(header.source.data(), frame_.data() + 6, 6);
  header.tag_count = static_cast<std::uint8_t>((header_bytes_ - kHeaderBytes) / kTagBytes);
  for (std::size_t i = 0; i < header.tag_count; ++i) {
    const std::size_t at = 12 + i * kTagBytes;
    const std::uint16_t control = read16(frame_, at + 2);
    header.tag[i] = {.tpid = read16(frame_, at),
                     .priority = static_cast<std::uint8_t>(control >> 13),
                     .drop_eligible = (control & 0x1000) != 0,
                     .id = static_cast<std::uint16_t>(control & 0x0fff)};
  }
  header.ether_type = ether_type_;
  return header;
}

void EthernetHeader::emit(MutableBytes out) const noexcept {
  std::memcpy(out.data(), destination.data(), 6);
  std::memcpy(out.data() + 6, source.data(), 6);
  std::size_t at = 12;
  for (std::size_t i = 0; i < tag_count; ++i, at += kTagBytes) {
    header_at<Be16>(out.subspan(at)) = tag[i].tpid;
    header_at<Be16>(out.subspan(at + 2)) =
        static_cast<std::uint16_t>((tag[i].priority << 13) | (tag[i].drop_eligible ? 0x1000 : 0) | tag[i].id);
  }
  header_at<Be16>(out.subspan(at)) = ether_type;
}

}  // namespace ringplane::wire
