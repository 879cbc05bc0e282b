// PcapPort: a port whose wire is a file. It receives the packets of one capture when its clock passes their time, and
// writes what it transmits into another capture. One queue. The port's clock stands still until set_now().
//
// A packet that does not fit a frame is never cut: it is skipped and told through take_oversized(). A packet that the
// capture itself had cut (snap length) is received as captured and counted in cut_packets().
// Threads: the port and its queue belong to one thread (a replay has no others).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/pcap/pcap_reader.h"
#include "port/pcap/pcap_writer.h"
#include "port/port.h"

namespace ringplane::port {

struct PcapOptions {
  base::PortId id{0};        ///< Frame::port of what it receives
  std::string read_path{};   ///< capture to receive from; empty: nothing is ever received
  std::string write_path{};  ///< capture to transmit into, replaced if it exists; empty: transmitted frames end here
  MacAddress mac{};
  std::uint32_t mtu = 1500;  ///< bytes after the Ethernet header; told, not enforced
};

struct OversizedPacket {
  std::uint64_t time_ns = 0;
  std::uint64_t number = 0;  ///< in the capture, from 1
  std::uint32_t length = 0;  ///< bytes on the wire
};

class PcapPort final : public Port {
 public:
  /// Opens both files; `arena` outlives the port.
  [[nodiscard]] static base::Result<std::unique_ptr<PcapPort>> create(const frame::Arena& arena,
                                                                      const PcapOptions& options);
  ~PcapPort() override;

  [[nodiscard]] std::uint32_t queue_count() const noexcept override { return 1; }
  [[nodiscard]] base::Result<std::unique_ptr<Queue>> open_queue(std::uint32_t index, frame::FramePool& pool) override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] MacAddress mac() const noexcept override { return options_.mac; }
  [[nodiscard]] std::uint32_t mtu() const noexcept override { return options_.mtu; }

  /// Nanoseconds since 1970: receive() yields the packets up to and including this time; transmit() stamps with it.
  void set_now(std::uint64_t now_ns) noexcept { now_ns_ = now_ns; }
  /// When the next packet is due; nothing when the capture has ended. Packets come in the order of the file.
  [[nodiscard]] std::optional<std::uint64_t> next_time_ns() const noexcept;
  /// Number in the capture, from 1, of the next packet that receive() will yield; nothing at its end.
  [[nodiscard]] std::optional<std::uint64_t> next_number() const noexcept;

  /// Packets skipped since the last call because no frame can hold them.
  [[nodiscard]] std::vector<OversizedPacket> take_oversized() { return std::exchange(oversized_, {}); }
  [[nodiscard]] std::uint64_t cut_packets() const noexcept { return cut_packets_; }
  /// Empty, or why the capture ended early or the file could not be written.
  [[nodiscard]] std::string error() const;

 private:
  friend class PcapQueue;
  PcapPort(const frame::Arena& arena, PcapOptions options, std::optional<PcapReader> reader,
           std::optional<PcapWriter> writer);
  /// Reads up to the next packet that fits a frame.
  void advance();

  const frame::Arena& arena_;
  const PcapOptions options_;
  std::optional<PcapReader> reader_;
  std::optional<PcapWriter> writer_;
  std::optional<CapturedPacket> pending_;
  std::vector<OversizedPacket> oversized_;
  std::uint64_t cut_packets_ = 0;
  std::uint64_t now_ns_ = 0;
  bool write_failed_ = false;
  bool opened_ = false;
};

}  // namespace ringplane::port
