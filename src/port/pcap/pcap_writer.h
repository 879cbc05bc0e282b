// PcapWriter: one Ethernet capture file with nanosecond times. Owner thread only; whoever shares it locks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "wire/bytes.h"

struct pcap_dumper;

namespace ringplane::port {

class PcapWriter {
 public:
  /// Creates or replaces the file.
  [[nodiscard]] static base::Result<PcapWriter> create(const std::string& path);

  /// Appends one packet; `time_ns` since 1970. Buffered: a write error shows in flush().
  void write(std::uint64_t time_ns, wire::Bytes packet) noexcept;
  /// Brings all to the file; false if anything since create() could not be written (disk full).
  bool flush() noexcept;

 private:
  struct Close {
    void operator()(pcap_dumper* file) const noexcept;
  };
  explicit PcapWriter(std::unique_ptr<pcap_dumper, Close> file);

  std::unique_ptr<pcap_dumper, Close> file_;
};

}  // namespace ringplane::port
