// Config: what ringplane.toml says, read into plain values with every error found, not only the first. Units are in
// the names; the default stands beside each. docs/reference/config.md describes each key (a test holds it to that).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "report/options.h"
#include "wire/ip_address.h"

namespace ringplane::control {

/// What the kernel keeps of the traffic on a port's interface: the host's own services.
struct KernelConfig {
  std::vector<wire::HostAddress> addresses;  ///< the host's own on this interface; default: those of the port
  std::vector<std::uint16_t> tcp;            ///< destination ports
  std::vector<std::uint16_t> udp;
  bool icmp = true;  ///< ICMP to these addresses
  bool all = false;  ///< everything to these addresses
};

enum class XdpMode : std::uint8_t { kAuto, kNative, kGeneric };

struct PortConfig {
  std::string name;       ///< as rules call it
  std::string interface;  ///< as the kernel calls it, or "dpdk:" and a device as DPDK calls it
  XdpMode mode = XdpMode::kAuto;
  bool zero_copy = true;  ///< try it; false: always copy
  std::vector<firewall::KnownPort::Address> addresses;
  std::vector<std::string> groups;
  KernelConfig kernel;

  static constexpr std::string_view kDpdkPrefix = "dpdk:";
  [[nodiscard]] bool is_dpdk() const noexcept { return interface.starts_with(kDpdkPrefix); }
  /// With its arguments; is_dpdk().
  [[nodiscard]] std::string dpdk_device() const { return interface.substr(kDpdkPrefix.size()); }
};

struct BridgeConfig {
  std::uint32_t first = 0;  ///< index into Config::ports
  std::uint32_t second = 0;
  bool arp_only = false;   ///< non_ip = "arp": of frames that are no IP only ARP passes
  bool fail_open = false;  ///< fail = "open": while no data process can be kept alive, everything passes unseen
};

struct WorkersConfig {
  std::uint32_t count = 1;
  std::vector<std::uint32_t> cpus;  ///< empty: not pinned; else one per worker
  std::uint32_t spin_turns = 200;   ///< idle turns before a worker sleeps
};

struct MemoryConfig {
  std::uint32_t frames = 16384;  ///< of all workers together
  std::uint32_t frame_bytes = 2048;
  bool huge_pages = true;
};

struct FlowsConfig {
  std::uint32_t limit = 100'000;            ///< of all workers together; `set limit states` in the rules goes first
  std::uint32_t sources = 10'000;           ///< tracked sources; `set limit src-nodes` goes first
  std::uint32_t table_additions = 100'000;  ///< addresses that `overload` may add to tables
};

struct ControlConfig {
  std::string socket = "/run/ringplane/ringplane.sock";
  std::string group = "ringplane";  ///< may use it, if there is such a group
  std::uint16_t http_port = 0;      ///< of `http`, on loopback; 0: none
  bool http_over_ipv6 = false;
  std::string token_file;                    ///< with http: the word that a request must bring
  bool http_writes = false;                  ///< what comes in there may change something
  std::string state = "/var/lib/ringplane";  ///< folder of what outlives a restart: the rules of the past
  std::uint32_t versions = 20;               ///< of the rules that are kept there
};

struct RepliesConfig {
  std::uint32_t per_second = 1'000;  ///< resets and unreachables of each worker
};

struct Config {
  std::string path;                ///< of the file it was read from
  std::string text;                ///< of that file
  std::string rules_path;          ///< of pf.conf, relative paths resolved against `path`
  std::vector<std::string> tests;  ///< files of tests that rules must pass before they are taken; likewise
  std::vector<PortConfig> ports;
  std::vector<BridgeConfig> bridges;
  WorkersConfig workers;
  MemoryConfig memory;
  FlowsConfig flows;
  report::LogConfig log;
  report::IpfixConfig ipfix;
  ControlConfig control;
  RepliesConfig replies;

  [[nodiscard]] bool logs_flows() const noexcept { return log.flows && !log.file.empty(); }
  /// Somebody is told of flows that end.
  [[nodiscard]] bool wants_flow_records() const noexcept { return logs_flows() || !ipfix.collector.empty(); }
};

struct ConfigResult {
  Config config;
  std::vector<firewall::Diagnostic> diagnostics;
  [[nodiscard]] bool ok() const noexcept { return diagnostics.empty(); }
};

/// Reads and checks; touches nothing but the file.
[[nodiscard]] ConfigResult read_config(const std::string& path);
/// The same for a text; `path` is for diagnostics and relative paths.
[[nodiscard]] ConfigResult parse_config(const std::string& text, const std::string& path);

/// The ports of `config` as the rules may name them.
[[nodiscard]] firewall::Environment environment_of(const Config& config);

}  // namespace ringplane::control
