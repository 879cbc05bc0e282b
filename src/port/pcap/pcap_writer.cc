#include "port/pcap/pcap_writer.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include <pcap/pcap.h>

#include "base/clock.h"
#include "base/result.h"
#include "wire/bytes.h"

namespace ringplane::port {
namespace {

constexpr int kSnapLength = 65535;

}  // namespace

void PcapWriter::Close::operator()(pcap_dumper* file) const noexcept {
  pcap_dump_close(file);
}

PcapWriter::PcapWriter(std::unique_ptr<pcap_dumper, Close> file) : file_(std::move(file)) {}

base::Result<PcapWriter> PcapWriter::create(const std::string& path) {
  // The "dead" handle only says what the file's header should be; the dumper does not need it afterwards.
  pcap_t* format = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, kSnapLength, PCAP_TSTAMP_PRECISION_NANO);
  if (format == nullptr) return base::fail("not enough memory to write capture " + path);
  std::unique_ptr<pcap_dumper, Close> file(pcap_dump_open(format, path.c_str()));
  const std::string reason = file ? "" : pcap_geterr(format);
  pcap_close(format);
  if (!file) return base::fail("cannot write capture " + (reason.starts_with(path) ? reason : path + ": " + reason));
  return PcapWriter(std::move(file));
}

void PcapWriter::write(std::uint64_t time_ns, wire::Bytes packet) noexcept {
  const auto length = static_cast<bpf_u_int32>(packet.size());
  pcap_pkthdr header{};
  header.ts.tv_sec = static_cast<decltype(header.ts.tv_sec)>(time_ns / base::kNanosPerSecond);
  header.ts.tv_usec = static_cast<decltype(header.ts.tv_usec)>(time_ns % base::kNanosPerSecond);
  header.caplen = length;
  header.len = length;
  // pcap_dump() takes the dumper as the "user" argument of a pcap_handler.
  pcap_dump(reinterpret_cast<u_char*>(file_.get()), &header, packet.data());
}

bool PcapWriter::flush() noexcept {
  return pcap_dump_flush(file_.get()) == 0 && std::ferror(pcap_dump_file(file_.get())) == 0;
}

}  // namespace ringplane::port
