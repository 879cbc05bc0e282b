#include "port/tap/tap_port.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/pcap/pcap_writer.h"
#include "port/port.h"
#include "wire/bytes.h"

namespace ringplane::port {

/// The capture that all queues of one port write.
struct TapFile {
  TapFile(PcapWriter to, const frame::Arena& from, const TapOptions& how)
      : writer(std::move(to)), arena(from), options(how) {}

  void write(std::span<const wire::Bytes> packets) noexcept {
    if (packets.empty()) return;
    const std::uint64_t now_ns = options.clock_ns();
    const std::lock_guard lock(mutex);
    for (const wire::Bytes packet : packets) writer.write(now_ns, packet);
  }

  PcapWriter writer;
  const frame::Arena& arena;
  const TapOptions options;
  std::mutex mutex;
};

namespace {

class TapQueue final : public Queue {
 public:
  TapQueue(std::unique_ptr<Queue> inner, frame::FramePool& pool, TapFile& file)
      : Queue(2 * inner->foreign_slots()),
        inner_(std::move(inner)),
        pool_(pool),
        file_(file),
        bytes_(std::make_unique<std::uint8_t[]>(std::size_t{frame::Burst::kCapacity} * file.arena.frame_bytes())) {}
  ~TapQueue() override { close(); }

  std::uint32_t receive(frame::Burst& burst) noexcept override {
    const std::uint32_t before = burst.size();
    const std::uint32_t count = inner_->receive(burst);
    std::array<wire::Bytes, frame::Burst::kCapacity> received;
    for (std::uint32_t i = 0; i < count; ++i) received[i] = file_.arena.data(burst[before + i]);
    file_.write(std::span(received).first(count));
    return count;
  }
  std::uint32_t transmit(std::span<const frame::Frame> frames) noexcept override {
    std::uint32_t total = 0;
    while (total < frames.size()) {
      const auto part = frames.subspan(total, std::min<std::size_t>(frames.size() - total, frame::Burst::kCapacity));
      keep(part);
      const std::uint32_t count = inner_->transmit(part);
      file_.write(std::span(kept_).first(count));
      total += count;
      if (count < part.size()) break;
    }
    return total;
  }
  void flush() noexcept override {
    inner_->flush();
    if (foreign_space() >= 2 * inner_->foreign_slots()) take_foreign_from(pool_, *inner_);
  }
  [[nodiscard]] int poll_descriptor() const noexcept override { return inner_->poll_descriptor(); }
  [[nodiscard]] bool alive() const noexcept override { return inner_->alive(); }
  [[nodiscard]] const QueueCounters& counters() const noexcept override { return inner_->counters(); }
  void close() noexcept override {
    inner_->close();
    take_foreign_from(pool_, *inner_);
  }

 private:
  /// Copies the bytes: only what the port takes has passed, and what it has taken is another owner's to read.
  void keep(std::span<const frame::Frame> frames) noexcept {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      std::uint8_t* to = &bytes_[i * file_.arena.frame_bytes()];
      const std::span<const std::uint8_t> from = file_.arena.data(frames[i]);
      std::memcpy(to, from.data(), from.size());
      kept_[i] = {to, from.size()};
    }
  }

  const std::unique_ptr<Queue> inner_;
  frame::FramePool& pool_;
  TapFile& file_;
  const std::unique_ptr<std::uint8_t[]> bytes_;  ///< a burst's worth
  std::array<wire::Bytes, frame::Burst::kCapacity> kept_;
};

}  // namespace

base::Result<std::unique_ptr<TapPort>> TapPort::create(std::unique_ptr<Port> inner, const frame::Arena& arena,
                                                       const TapOptions& options) {
  base::Result<PcapWriter> writer = PcapWriter::create(options.path);
  if (!writer) return std::unexpected(std::move(writer.error()));
  auto file = std::make_unique<TapFile>(*std::move(writer), arena, options);
  return std::unique_ptr<TapPort>(new TapPort(std::move(inner), std::move(file)));
}

TapPort::TapPort(std::unique_ptr<Port> inner, std::unique_ptr<TapFile> file)
    : inner_(std::move(inner)), file_(std::move(file)) {}

TapPort::~TapPort() = default;

base::Result<std::unique_ptr<Queue>> TapPort::open_queue(std::uint32_t index, frame::FramePool& pool) {
  base::Result<std::unique_ptr<Queue>> inner = inner_->open_queue(index, pool);
  if (!inner) return inner;
  return std::make_unique<TapQueue>(*std::move(inner), pool, *file_);
}

std::string TapPort::description() const {
  return inner_->description() + ", tapped into " + file_->options.path;
}

bool TapPort::flush_file() {
  const std::lock_guard lock(file_->mutex);
  return file_->writer.flush();
}

}  // namespace ringplane::port
