#include "doctor/running_kernel.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/landlock.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/file_descriptor.h"
#include "doctor/kernel.h"
#include "doctor/netlink.h"

namespace ringplane::doctor {
namespace {

constexpr std::uint32_t kMostOffloads = 1024;
constexpr std::uint32_t kMostTableSlots = 65536;
constexpr std::uint32_t kMostKeyBytes = 1024;

ifreq interface_request(const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

/// Of an array that may be filled up to its end.
std::string text_in(std::string_view characters) {
  return std::string(characters.substr(0, characters.find('\0')));
}

/// A command of ethtool that ends in an array: room for it, in words.
template <class Command>
class LongCommand {
 public:
  LongCommand(std::uint32_t number, std::size_t array_bytes) : words_((sizeof(Command) + array_bytes + 7) / 8) {
    std::memcpy(words_.data(), &number, sizeof number);
  }
  [[nodiscard]] Command* get() noexcept { return reinterpret_cast<Command*>(words_.data()); }
  [[nodiscard]] const std::uint8_t* array() const noexcept {
    return reinterpret_cast<const std::uint8_t*>(words_.data()) + sizeof(Command);
  }

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace

RunningKernel::RunningKernel() : socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}

int RunningKernel::ask(const std::string& interface, void* command) const {
  if (interface.empty() || interface.size() >= IFNAMSIZ) return ENODEV;
  ifreq request = interface_request(interface);
  request.ifr_data = static_cast<char*>(command);
  return ioctl(socket_.get(), SIOCETHTOOL, &request) == 0 ? 0 : errno;
}

std::vector<std::string> RunningKernel::interfaces() const {
  std::vector<std::string> names;
  struct if_nameindex* const list = if_nameindex();
  if (list == nullptr) return names;
  for (const auto* each = list; each->if_index != 0; ++each) names.emplace_back(each->if_name);
  if_freenameindex(list);
  return names;
}

Asked<Link> RunningKernel::link(const std::string& interface) const {
  if (interface.empty() || interface.size() >= IFNAMSIZ) return std::unexpected(ENODEV);
  Link link;
  ifreq request = interface_request(interface);
  if (ioctl(socket_.get(), SIOCGIFINDEX, &request) != 0) return std::unexpected(errno);
  link.index = static_cast<std::uint32_t>(request.ifr_ifindex);
  request = interface_request(interface);
  link.is_ethernet = ioctl(socket_.get(), SIOCGIFHWADDR, &request) == 0 && request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
  request = interface_request(interface);
  if (ioctl(socket_.get(), SIOCGIFMTU, &request) == 0) link.mtu = static_cast<std::uint32_t>(request.ifr_mtu);
  request = interface_request(interface);
  if (ioctl(socket_.get(), SIOCGIFFLAGS, &request) == 0) {
    link.is_up = (request.ifr_flags & IFF_UP) != 0;
    link.has_carrier = (request.ifr_flags & IFF_RUNNING) != 0;
  }
  return link;
}

Asked<LinkDetails> RunningKernel::details(std::uint32_t index) const {
  return ask_link_details(index);
}

Asked<std::string> RunningKernel::driver(const std::string& interface) const {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  if (const int error = ask(interface, &info)) return std::unexpected(error);
  return text_in({info.driver, sizeof info.driver});
}

Asked<Channels> RunningKernel::channels(const std::string& interface) const {
  ethtool_channels said{};
  said.cmd = ETHTOOL_GCHANNELS;
  if (const int error = ask(interface, &said)) return std::unexpected(error);
  return Channels{.rx = said.rx_count,
                  .tx = said.tx_count,
                  .combined = said.combined_count,
                  .most_rx = said.max_rx,
                  .most_tx = said.max_tx,
                  .most_combined = said.max_combined};
}

Asked<RingSizes> RunningKernel::ring_sizes(const std::string& interface) const {
  ethtool_ringparam said{};
  said.cmd = ETHTOOL_GRINGPARAM;
  if (const int error = ask(interface, &said)) return std::unexpected(error);
  return RingSizes{
      .rx = said.rx_pending, .tx = said.tx_pending, .most_rx = said.rx_max_pending, .most_tx = said.tx_max_pending};
}

Asked<Spreading> RunningKernel::spreading(const std::string& interface) const {
  ethtool_rxfh sizes{};
  sizes.cmd = ETHTOOL_GRSSH;
  if (const int error = ask(interface, &sizes)) return std::unexpected(error);
  if (sizes.indir_size > kMostTableSlots || sizes.key_size > kMostKeyBytes) return std::unexpected(EBADMSG);
  const std::size_t table_bytes = sizes.indir_size * sizeof(std::uint32_t);
  LongCommand<ethtool_rxfh> said(ETHTOOL_GRSSH, table_bytes + sizes.key_size);
  said.get()->indir_size = sizes.indir_size;
  said.get()->key_size = sizes.key_size;
  if (const int error = ask(interface, said.get())) return std::unexpected(error);
  Spreading spreading{.function = said.get()->hfunc,
                      .transform = said.get()->rsvd8[0],  // input_xfrm since Linux 6.8; zero before
                      .key = std::vector<std::uint8_t>(sizes.key_size),
                      .table = std::vector<std::uint32_t>(sizes.indir_size)};
  std::copy_n(said.array() + table_bytes, sizes.key_size, spreading.key.begin());
  if (table_bytes > 0) std::memcpy(spreading.table.data(), said.array(), table_bytes);
  return spreading;
}

Asked<std::uint64_t> RunningKernel::hashed_fields(const std::string& interface, std::uint32_t kind) const {
  ethtool_rxnfc said{};
  said.cmd = ETHTOOL_GRXFH;
  said.flow_type = kind;
  if (const int error = ask(interface, &said)) return std::unexpected(error);
  return said.data;
}

Asked<std::vector<Offload>> RunningKernel::offloads(const std::string& interface) const {
  LongCommand<ethtool_sset_info> count(ETHTOOL_GSSET_INFO, sizeof(std::uint32_t));
  count.get()->sset_mask = 1ULL << ETH_SS_FEATURES;
  if (const int error = ask(interface, count.get())) return std::unexpected(error);
  std::uint32_t names = 0;
  if (count.get()->sset_mask != 0) std::memcpy(&names, count.array(), sizeof names);
  if (names == 0) return std::unexpected(EOPNOTSUPP);
  if (names > kMostOffloads) return std::unexpected(EBADMSG);

  LongCommand<ethtool_gstrings> strings(ETHTOOL_GSTRINGS, std::size_t{names} * ETH_GSTRING_LEN);
  strings.get()->string_set = ETH_SS_FEATURES;
  strings.get()->len = names;
  if (const int error = ask(interface, strings.get())) return std::unexpected(error);

  const std::uint32_t blocks = (names + 31) / 32;
  LongCommand<ethtool_gfeatures> states(ETHTOOL_GFEATURES, blocks * sizeof(ethtool_get_features_block));
  states.get()->size = blocks;
  if (const int error = ask(interface, states.get())) return std::unexpected(error);
  std::vector<ethtool_get_features_block> bits(blocks);
  std::memcpy(bits.data(), states.array(), blocks * sizeof bits[0]);

  std::vector<Offload> list;
  for (std::uint32_t i = 0; i < names; ++i) {
    std::array<char, ETH_GSTRING_LEN> name{};
    std::memcpy(name.data(), strings.array() + std::size_t{i} * ETH_GSTRING_LEN, name.size());
    const ethtool_get_features_block& block = bits[i / 32];
    const std::uint32_t bit = 1U << (i % 32);
    list.push_back({.name = text_in({name.data(), name.size()}),
                    .is_on = (block.active & bit) != 0,
                    .can_change = (block.available & ~block.never_changed & bit) != 0});
  }
  return list;
}

Asked<Coalescing> RunningKernel::coalescing(const std::string& interface) const {
  ethtool_coalesce said{};
  said.cmd = ETHTOOL_GCOALESCE;
  if (const int error = ask(interface, &said)) return std::unexpected(error);
  return Coalescing{.is_adaptive = said.use_adaptive_rx_coalesce != 0,
                    .rx_us = said.rx_coalesce_usecs,
                    .rx_frames = said.rx_max_coalesced_frames};
}

Asked<FlowControl> RunningKernel::flow_control(const std::string& interface) const {
  ethtool_pauseparam said{};
  said.cmd = ETHTOOL_GPAUSEPARAM;
  if (const int error = ask(interface, &said)) return std::unexpected(error);
  return FlowControl{.is_negotiated = said.autoneg != 0, .rx = said.rx_pause != 0, .tx = said.tx_pause != 0};
}

Asked<std::uint64_t> RunningKernel::xdp_features(std::uint32_t index) const {
  return ask_xdp_features(index);
}

Rights RunningKernel::rights() const {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return {};
  const auto has = [&](unsigned capability) {
    return (data[capability / 32].effective & (1U << (capability % 32))) != 0;
  };
  return {.net_admin = has(CAP_NET_ADMIN),
          .net_raw = has(CAP_NET_RAW),
          .bpf = has(CAP_BPF) || has(CAP_SYS_ADMIN),
          .perfmon = has(CAP_PERFMON) || has(CAP_SYS_ADMIN),
          .ipc_lock = has(CAP_IPC_LOCK),
          .raise_limits = has(CAP_SYS_RESOURCE)};
}

std::uint64_t RunningKernel::locked_memory_limit() const {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return 0;
  // Up to the hard limit ringplane raises it by itself.
  return limit.rlim_max == RLIM_INFINITY ? UINT64_MAX : limit.rlim_max;
}

int RunningKernel::landlock_version() const {
  const long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version < 0 ? 0 : static_cast<int>(version);
}

}  // namespace ringplane::doctor
