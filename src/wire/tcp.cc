#include "wire/tcp.h"

#include <cstddef>
#include <cstdint>
#include <expected>

#include "base/drop_reason.h"
#include "wire/bytes.h"
#include "wire/packet.h"

namespace ringplane::wire {
namespace {

constexpr std::uint8_t kTcpOptionEnd = 0;
constexpr std::uint8_t kTcpOptionNop = 1;
constexpr std::uint8_t kOptionWindowScale = 3;
constexpr std::uint8_t kMaxWindowScale = 14;

}  // namespace

std::expected<TcpView, base::DropReason> TcpView::parse(Bytes segment) noexcept {
  if (segment.size() < TcpHeader::kBytes) return std::unexpected(base::DropReason::tcp_bad_header);
  const TcpView view(segment);
  if (view.header_bytes() < TcpHeader::kBytes || view.header_bytes() > segment.size()) {
    return std::unexpected(base::DropReason::tcp_bad_header);
  }
  return view;
}

std::uint8_t TcpView::window_scale_of(Bytes options) noexcept {
  std::size_t at = 0;
  while (at < options.size() && options[at] != kTcpOptionEnd) {
    if (options[at] == kTcpOptionNop) {
      ++at;
      continue;
    }
    if (at + 1 >= options.size()) break;
    const std::size_t length = options[at + 1];
    if (length < 2 || at + length > options.size()) break;
    if (options[at] == kOptionWindowScale && length == 3) {
      return options[at + 2] < kMaxWindowScale ? options[at + 2] : kMaxWindowScale;
    }
    at += length;
  }
  return Packet::kNoWindowScale;
}

TcpHeader TcpView::value() const noexcept {
  return {.source_port = source_port(),
          .destination_port = destination_port(),
          .seq = seq(),
          .ack = ack(),
          .flags = flags(),
          .window = window(),
          .checksum = header_at<Be16>(bytes_.subspan(16)),
          .urgent = header_at<Be16>(bytes_.subspan(18))};
}

void TcpHeader::emit(MutableBytes out) const noexcept {
  header_at<Be16>(out) = source_port;
  header_at<Be16>(out.subspan(2)) = destination_port;
  header_at<Be32>(out.subspan(4)) = seq;
  header_at<Be32>(out.subspan(8)) = ack;
  out[12] = 5 << 4;
  out[13] = flags;
  header_at<Be16>(out.subspan(14)) = window;
  header_at<Be16>(out.subspan(16)) = checksum;
  header_at<Be16>(out.subspan(18)) = urgent;
}

}  // namespace ringplane::wire
