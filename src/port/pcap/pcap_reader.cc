#include "port/pcap/pcap_reader.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <pcap/pcap.h>

#include "base/clock.h"
#include "base/result.h"

namespace ringplane::port {

void PcapReader::Close::operator()(pcap* file) const noexcept {
  pcap_close(file);
}

PcapReader::PcapReader(std::unique_ptr<pcap, Close> file, std::string path)
    : file_(std::move(file)), path_(std::move(path)) {}

base::Result<PcapReader> PcapReader::open(const std::string& path) {
  std::array<char, PCAP_ERRBUF_SIZE> reason{};
  std::unique_ptr<pcap, Close> file(
      pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, reason.data()));
  if (!file) {
    const std::string text = reason.data();
    return base::fail("cannot read capture " + (text.starts_with(path) ? text : path + ": " + text));
  }
  const int link_type = pcap_datalink(file.get());
  if (link_type != DLT_EN10MB) {
    const char* name = pcap_datalink_val_to_name(link_type);
    return base::fail(
        "capture " + path + " has link type " + (name != nullptr ? name : std::to_string(link_type)) +
        ", only Ethernet (EN10MB) can be replayed: capture on an Ethernet interface rather than on \"any\"");
  }
  return PcapReader(std::move(file), path);
}

std::optional<CapturedPacket> PcapReader::next() {
  if (!error_.empty()) return std::nullopt;
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  const int outcome = pcap_next_ex(file_.get(), &header, &bytes);
  if (outcome == PCAP_ERROR_BREAK) return std::nullopt;
  if (outcome != 1) {
    error_ =
        "capture " + path_ + " breaks off after packet " + std::to_string(number_) + ": " + pcap_geterr(file_.get());
    return std::nullopt;
  }
  // With PCAP_TSTAMP_PRECISION_NANO, tv_usec holds nanoseconds (pcap_set_tstamp_precision(3PCAP)).
  return CapturedPacket{.time_ns = static_cast<std::uint64_t>(header->ts.tv_sec) * base::kNanosPerSecond +
                                   static_cast<std::uint64_t>(header->ts.tv_usec),
                        .number = ++number_,
                        .wire_length = header->len,
                        .bytes = {bytes, header->caplen}};
}

}  // namespace ringplane::port
