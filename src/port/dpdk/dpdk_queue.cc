#include "port/dpdk/dpdk_queue.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_core.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"
#include "frame/frame.h"
#include "port/dpdk/dpdk_device.h"
#include "port/dpdk/dpdk_pool.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

constexpr std::uint32_t kEthernetHeaderBytes = 14;
constexpr std::uint32_t kForeignSlots = 4096;

bool says_bad_checksum(const rte_mbuf* header) noexcept {
  return (header->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

}  // namespace

DpdkQueue::DpdkQueue(DpdkDevice& device, std::uint16_t index, base::PortId id, const FrameHeaders& headers,
                     DpdkPool& pool)
    : Queue(kForeignSlots),
      device_(device),
      headers_(headers),
      pool_(pool),
      device_id_(device.id()),
      index_(index),
      id_(id) {}

std::uint32_t DpdkQueue::receive(frame::Burst& burst) noexcept {
  if (closed_) return 0;
  pool_.enter();
  std::array<rte_mbuf*, frame::Burst::kCapacity> headers;
  const std::uint32_t received =
      rte_eth_rx_burst(device_id_, index_, headers.data(), static_cast<std::uint16_t>(burst.space()));
  if (pool_.empty_count() != empty_count_) [[unlikely]] {
    empty_count_ = pool_.empty_count();
    counters_.rx_no_frame.add(1);
  }
  if (received == 0) return 0;
  const std::span<frame::Frame> room = burst.room();
  std::uint32_t count = 0;
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < received; ++i) {
    rte_mbuf* header = headers[i];
    if (header->nb_segs != 1) [[unlikely]] {
      rte_pktmbuf_free(header);
      counters_.rx_too_long.add(1);
      continue;
    }
    room[count++] = {.address = headers_.packet_address(header),
                     .length = header->data_len,
                     .port = id_,
                     .marks = says_bad_checksum(header) ? frame::kBadChecksum : std::uint8_t{0},
                     .reserved = {}};
    bytes += header->data_len;
  }
  burst.grow(count);
  counters_.rx_packets.add(count);
  counters_.rx_bytes.add(bytes);
  return count;
}

std::uint32_t DpdkQueue::transmit(std::span<const frame::Frame> frames) noexcept {
  std::uint32_t count = 0;
  while (!closed_ && count < frames.size()) {
    const auto part = frames.subspan(count, std::min<std::size_t>(frames.size() - count, frame::Burst::kCapacity));
    const std::uint32_t sent = transmit_burst(part);
    count += sent;
    if (sent < part.size()) break;
  }
  counters_.tx_ring_full.add(frames.size() - count);
  return count;
}

std::uint32_t DpdkQueue::transmit_burst(std::span<const frame::Frame> frames) noexcept {
  pool_.enter();
  std::array<rte_mbuf*, frame::Burst::kCapacity> headers;
  std::uint16_t ready = 0;
  for (const frame::Frame& frame : frames) {
    if (frame.length < kEthernetHeaderBytes || frame.length > headers_.arena().room(frame)) break;
    rte_mbuf* header = headers_.of(frame.address);
    headers_.describe(header, frame);
    if (!pool_.frames().owns(frame.address)) pool_.adopt(header);
    headers[ready++] = header;
  }
  const std::uint16_t sent = rte_eth_tx_burst(device_id_, index_, headers.data(), ready);
  for (std::uint16_t i = sent; i < ready; ++i) {
    if (!pool_.frames().owns(frames[i].address)) pool_.disown(headers[i]);
  }
  // The descriptors, not the headers: those are the device's now.
  std::uint64_t bytes = 0;
  for (const frame::Frame& frame : frames.first(sent)) bytes += frame.length;
  counters_.tx_packets.add(sent);
  counters_.tx_bytes.add(bytes);
  return sent;
}

void DpdkQueue::flush() noexcept {
  if (closed_) return;
  pool_.enter();
  pool_.fetch_strays();
  std::vector<std::uint64_t>& foreign = pool_.foreign();
  while (!foreign.empty() && foreign_space() > 0) {
    give_back(pool_.frames(), foreign.back());
    foreign.pop_back();
  }
}

void DpdkQueue::close() noexcept {
  if (closed_) return;
  flush();
  closed_ = true;
  device_.close_queue();
}

}  // namespace ringplane::port
