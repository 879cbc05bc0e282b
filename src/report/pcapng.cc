#include "report/pcapng.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "report/trace_line.h"
#include "worker/packet_tap.h"

namespace ringplane::report {
namespace {

// Block types (draft-ietf-opsawg-pcapng 4) and options.
constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr std::uint32_t kInterfaceDescription = 1;
constexpr std::uint32_t kInterfaceStatistics = 5;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint16_t kEthernet = 1;
constexpr std::uint16_t kComment = 1;
constexpr std::uint16_t kApplication = 4;
constexpr std::uint16_t kInterfaceName = 2, kInterfaceDescriptionText = 3, kTimeResolution = 9;
constexpr std::uint16_t kInterfaceDropped = 5;
constexpr std::uint16_t kPacketFlags = 2;
constexpr std::uint32_t kInbound = 1;

class Block {
 public:
  explicit Block(std::uint32_t type) {
    put(type);
    put(std::uint32_t{0});  // its length
  }
  template <class Number>
  void put(Number number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void put_padded(std::string_view data) {
    bytes_ += data;
    bytes_.append((4 - data.size() % 4) % 4, '\0');
  }
  void put_option(std::uint16_t code, std::string_view value) {
    if (value.empty()) return;
    value = value.substr(0, 65535);
    put(code);
    put(static_cast<std::uint16_t>(value.size()));
    put_padded(value);
    has_options_ = true;
  }
  template <class Number>
  void put_number_option(std::uint16_t code, Number number) {
    put_option(code, {reinterpret_cast<const char*>(&number), sizeof number});
  }
  [[nodiscard]] std::string finish() {
    if (has_options_) put(std::uint32_t{0});  // opt_endofopt
    const auto length = static_cast<std::uint32_t>(bytes_.size() + sizeof(std::uint32_t));
    put(length);
    bytes_.replace(sizeof(std::uint32_t), sizeof length, reinterpret_cast<const char*>(&length), sizeof length);
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
  bool has_options_ = false;
};

void put_time(Block& block, std::uint64_t wall_ns) {
  block.put(static_cast<std::uint32_t>(wall_ns >> 32));
  block.put(static_cast<std::uint32_t>(wall_ns));
}

}  // namespace

std::string pcapng_begin(const std::string& application, std::span<const PortNames> ports) {
  Block section(kSectionHeader);
  section.put(kByteOrderMagic);
  section.put(std::uint16_t{1});
  section.put(std::uint16_t{0});
  section.put(std::int64_t{-1});  // how long it is, nobody knows yet
  section.put_option(kApplication, application);
  std::string out = section.finish();
  for (const PortNames& port : ports) {
    Block interface(kInterfaceDescription);
    interface.put(kEthernet);
    interface.put(std::uint16_t{0});
    interface.put(worker::TapRecord::kBytes);
    interface.put_option(kInterfaceName, port.interface);
    interface.put_option(kInterfaceDescriptionText, "port " + port.name);
    interface.put_number_option(kTimeResolution, std::uint8_t{9});
    out += interface.finish();
  }
  return out;
}

std::string pcapng_packet(const TracedPacket& packet) {
  const worker::TapRecord& record = packet.record;
  Block block(kEnhancedPacket);
  block.put(std::uint32_t{record.ingress.value});
  put_time(block, packet.wall_ns);
  block.put(std::uint32_t{record.captured});
  block.put(std::uint32_t{record.length});
  block.put_padded({reinterpret_cast<const char*>(record.bytes.data()), record.captured});
  block.put_option(kComment, verdict_text(packet));
  block.put_number_option(kPacketFlags, kInbound);
  return block.finish();
}

std::string pcapng_lost(std::uint64_t packets, std::uint64_t wall_ns) {
  Block block(kInterfaceStatistics);
  block.put(std::uint32_t{0});
  put_time(block, wall_ns);
  block.put_option(kComment, std::to_string(packets) + " packets of all ports matched and were missed");
  block.put_number_option(kInterfaceDropped, packets);
  return block.finish();
}

}  // namespace ringplane::report
