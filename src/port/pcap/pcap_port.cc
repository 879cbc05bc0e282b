#include "port/pcap/pcap_port.h"

#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/pcap/pcap_reader.h"
#include "port/pcap/pcap_writer.h"
#include "port/port.h"
#include "wire/bytes.h"

namespace ringplane::port {

namespace {

constexpr std::uint32_t kForeignSlots = 1024;

}  // namespace

class PcapQueue final : public Queue {
 public:
  PcapQueue(PcapPort& port, frame::FramePool& pool) : Queue(kForeignSlots), port_(&port), pool_(&pool) {}
  ~PcapQueue() override { close(); }

  std::uint32_t receive(frame::Burst& burst) noexcept override {
    std::uint32_t count = 0;
    while (!closed_ && burst.space() > 0 && port_->pending_ && port_->pending_->time_ns <= port_->now_ns_) {
      const std::uint64_t address = pool_->take();
      if (address == frame::FramePool::kNone) {
        counters_.rx_no_frame.add(1);
        break;
      }
      const wire::Bytes bytes = port_->pending_->bytes;
      const frame::Frame frame{.address = address,
                               .length = static_cast<std::uint32_t>(bytes.size()),
                               .port = port_->options_.id,
                               .reserved = {}};
      if (!bytes.empty()) std::memcpy(port_->arena_.data(frame).data(), bytes.data(), bytes.size());
      burst.push(frame);
      counters_.rx_bytes.add(frame.length);
      if (port_->pending_->wire_length > frame.length) ++port_->cut_packets_;
      ++count;
      port_->advance();
    }
    counters_.rx_packets.add(count);
    return count;
  }

  std::uint32_t transmit(std::span<const frame::Frame> frames) noexcept override {
    std::uint32_t count = 0;
    for (const frame::Frame& frame : frames) {
      if (closed_ || foreign_space() == 0) break;
      if (port_->writer_) port_->writer_->write(port_->now_ns_, port_->arena_.data(frame));
      give_back(*pool_, frame.address);
      counters_.tx_bytes.add(frame.length);
      ++count;
    }
    counters_.tx_packets.add(count);
    counters_.tx_ring_full.add(frames.size() - count);
    return count;
  }

  void flush() noexcept override {}

  [[nodiscard]] bool alive() const noexcept override { return !closed_; }

  // It holds no frames between two calls.
  void close() noexcept override {
    if (std::exchange(closed_, true)) return;
    if (port_->writer_ && !port_->writer_->flush()) port_->write_failed_ = true;
  }

 private:
  PcapPort* const port_;
  frame::FramePool* const pool_;
  bool closed_ = false;
};

base::Result<std::unique_ptr<PcapPort>> PcapPort::create(const frame::Arena& arena, const PcapOptions& options) {
  std::optional<PcapReader> reader;
  std::optional<PcapWriter> writer;
  if (!options.read_path.empty()) {
    base::Result<PcapReader> opened = PcapReader::open(options.read_path);
    if (!opened) return std::unexpected(std::move(opened.error()));
    reader = *std::move(opened);
  }
  if (!options.write_path.empty()) {
    base::Result<PcapWriter> created = PcapWriter::create(options.write_path);
    if (!created) return std::unexpected(std::move(created.error()));
    writer = *std::move(created);
  }
  return std::unique_ptr<PcapPort>(new PcapPort(arena, options, std::move(reader), std::move(writer)));
}

PcapPort::PcapPort(const frame::Arena& arena, PcapOptions options, std::optional<PcapReader> reader,
                   std::optional<PcapWriter> writer)
    : arena_(arena), options_(std::move(options)), reader_(std::move(reader)), writer_(std::move(writer)) {
  advance();
}

PcapPort::~PcapPort() = default;

base::Result<std::unique_ptr<Queue>> PcapPort::open_queue(std::uint32_t index, frame::FramePool& pool) {
  if (index != 0 || std::exchange(opened_, true)) return base::fail("a pcap port has one queue, opened once");
  return std::make_unique<PcapQueue>(*this, pool);
}

std::string PcapPort::description() const {
  return "pcap " + (options_.read_path.empty() ? std::string("(no input)") : options_.read_path) + " -> " +
         (options_.write_path.empty() ? std::string("(discarded)") : options_.write_path);
}

std::optional<std::uint64_t> PcapPort::next_time_ns() const noexcept {
  return pending_ ? std::optional(pending_->time_ns) : std::nullopt;
}

std::optional<std::uint64_t> PcapPort::next_number() const noexcept {
  return pending_ ? std::optional(pending_->number) : std::nullopt;
}

std::string PcapPort::error() const {
  if (reader_ && !reader_->error().empty()) return reader_->error();
  return write_failed_ ? "cannot write all of " + options_.write_path + ": is the disk full?" : "";
}

void PcapPort::advance() {
  if (!reader_) return;
  const std::uint32_t most = arena_.frame_bytes() - frame::kHeadroomBytes;
  while ((pending_ = reader_->next()) && pending_->bytes.size() > most) {
    oversized_.push_back({.time_ns = pending_->time_ns, .number = pending_->number, .length = pending_->wire_length});
  }
}

}  // namespace ringplane::port
