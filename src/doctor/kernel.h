// Kernel: what is asked of the kernel by calls and not by files. The one that runs is RunningKernel; tests invent
// others. Every question may fail with an errno, and none of them changes anything.
#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

namespace ringplane::doctor {

template <class T>
using Asked = std::expected<T, int>;

struct Link {
  std::uint32_t index = 0;
  std::uint32_t mtu = 0;
  bool is_up = false;
  bool has_carrier = false;
  bool is_ethernet = true;
};

/// What rtnetlink knows beyond that.
struct LinkDetails {
  std::uint32_t other_index = 0;    ///< of the other end, of a veth; 0: none
  bool other_is_elsewhere = false;  ///< in another network namespace
  std::uint32_t xdp_program = 0;    ///< id; 0: none is attached
};

struct Channels {
  std::uint32_t rx = 0;
  std::uint32_t tx = 0;
  std::uint32_t combined = 0;
  std::uint32_t most_rx = 0;
  std::uint32_t most_tx = 0;
  std::uint32_t most_combined = 0;

  [[nodiscard]] std::uint32_t rx_queues() const noexcept { return std::max(1U, combined + rx); }
  [[nodiscard]] std::uint32_t tx_queues() const noexcept { return std::max(1U, combined + tx); }
};

struct RingSizes {
  std::uint32_t rx = 0;
  std::uint32_t tx = 0;
  std::uint32_t most_rx = 0;
  std::uint32_t most_tx = 0;
};

/// How a NIC spreads packets over its receive queues.
struct Spreading {
  static constexpr std::uint8_t kToeplitz = 1;  ///< ETH_RSS_HASH_TOP
  static constexpr std::uint8_t kXor = 2;
  static constexpr std::uint8_t kCrc32 = 4;
  static constexpr std::uint8_t kSymmetricXor = 1;    ///< RXH_XFRM_SYM_XOR, Linux 6.8
  static constexpr std::uint8_t kSymmetricOrXor = 2;  ///< RXH_XFRM_SYM_OR_XOR, Linux 6.15

  std::uint8_t function = 0;   ///< one of the first three; 0: the driver does not tell
  std::uint8_t transform = 0;  ///< bits of the other two
  std::vector<std::uint8_t> key{};
  std::vector<std::uint32_t> table{};  ///< queue by the last bits of the hash
};

struct Offload {
  std::string name;  ///< as ethtool -k prints it at length: "rx-gro"
  bool is_on = false;
  bool can_change = false;
};

struct Coalescing {
  bool is_adaptive = false;
  std::uint32_t rx_us = 0;
  std::uint32_t rx_frames = 0;
};

struct FlowControl {
  bool is_negotiated = false;
  bool rx = false;
  bool tx = false;
};

/// Capabilities of this process.
struct Rights {
  bool net_admin = false;
  bool net_raw = false;
  bool bpf = false;
  bool perfmon = false;
  bool ipc_lock = false;
  bool raise_limits = false;  ///< CAP_SYS_RESOURCE
};

class Kernel {
 public:
  /// Bits of xdp_features(): enum netdev_xdp_act of the kernel.
  static constexpr std::uint64_t kXdpBasic = 1;
  static constexpr std::uint64_t kXdpRedirect = 2;
  static constexpr std::uint64_t kXdpZeroCopy = 8;

  Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  virtual ~Kernel() = default;

  /// Names, of the network namespace of this process.
  [[nodiscard]] virtual std::vector<std::string> interfaces() const = 0;
  [[nodiscard]] virtual Asked<Link> link(const std::string& interface) const = 0;
  [[nodiscard]] virtual Asked<LinkDetails> details(std::uint32_t index) const = 0;
  [[nodiscard]] virtual Asked<std::string> driver(const std::string& interface) const = 0;
  [[nodiscard]] virtual Asked<Channels> channels(const std::string& interface) const = 0;
  [[nodiscard]] virtual Asked<RingSizes> ring_sizes(const std::string& interface) const = 0;
  [[nodiscard]] virtual Asked<Spreading> spreading(const std::string& interface) const = 0;
  /// RXH_* bits of what is hashed of packets of this kind (TCP_V4_FLOW ...).
  [[nodiscard]] virtual Asked<std::uint64_t> hashed_fields(const std::string& interface, std::uint32_t kind) const = 0;
  [[nodiscard]] virtual Asked<std::vector<Offload>> offloads(const std::string& interface) const = 0;
  [[nodiscard]] virtual Asked<Coalescing> coalescing(const std::string& interface) const = 0;
  [[nodiscard]] virtual Asked<FlowControl> flow_control(const std::string& interface) const = 0;
  /// What the driver can do with XDP; Linux 6.3.
  [[nodiscard]] virtual Asked<std::uint64_t> xdp_features(std::uint32_t index) const = 0;

  [[nodiscard]] virtual Rights rights() const = 0;
  /// Bytes; UINT64_MAX: no limit.
  [[nodiscard]] virtual std::uint64_t locked_memory_limit() const = 0;
  /// 0: there is none.
  [[nodiscard]] virtual int landlock_version() const = 0;
};

}  // namespace ringplane::doctor
