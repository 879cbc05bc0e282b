// PcapReader: one capture file, packet by packet, with nanosecond times. libpcap reads it, so pcap and pcapng of any
// byte order and resolution will do; only Ethernet captures are taken. Control or replay thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "wire/bytes.h"

// libpcap's own types, so that <pcap/pcap.h> stays out of headers.
struct pcap;

namespace ringplane::port {

struct CapturedPacket {
  std::uint64_t time_ns = 0;      ///< since 1970
  std::uint64_t number = 0;       ///< in the file, from 1, as Wireshark counts
  std::uint32_t wire_length = 0;  ///< bytes it had on the wire; more than bytes.size() if the capture cut it
  wire::Bytes bytes;              ///< valid until the next call of next()
};

class PcapReader {
 public:
  /// Fails with a sentence if the file is absent, not a capture, or not Ethernet (LINKTYPE_ETHERNET, 1).
  [[nodiscard]] static base::Result<PcapReader> open(const std::string& path);

  /// The next packet; nothing at the end of the file or where the file breaks off: see error().
  [[nodiscard]] std::optional<CapturedPacket> next();
  /// Empty, or why reading stopped before the end of the file.
  [[nodiscard]] const std::string& error() const noexcept { return error_; }

 private:
  struct Close {
    void operator()(pcap* file) const noexcept;
  };
  PcapReader(std::unique_ptr<pcap, Close> file, std::string path);

  std::unique_ptr<pcap, Close> file_;
  std::string path_;
  std::string error_;
  std::uint64_t number_ = 0;
};

}  // namespace ringplane::port
