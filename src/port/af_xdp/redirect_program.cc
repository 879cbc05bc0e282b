#include "port/af_xdp/redirect_program.h"

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <expected>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <netinet/in.h>

#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"
#include "port/af_xdp/interface.h"
#include "port/af_xdp/kernel_services.h"
#include "port/af_xdp/redirect_maps.h"
#include "port/af_xdp/redirect_object.h"
#include "wire/ip_address.h"

namespace ringplane::port {
namespace {

static_assert(sizeof(ringplane_host_address) == 20 && sizeof(ringplane_host_port) == 4 &&
              sizeof(ringplane_host_services) == 8);

// libbpf prints to stderr unless it is given a function, which takes no context: keep the last warning of this thread.
thread_local std::array<char, 256> last_warning{};

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  return std::vsnprintf(last_warning.data(), last_warning.size(), format, arguments);
}

/// " (libbpf: ...)" or nothing.
std::string warning_text() {
  std::string text(last_warning.data());
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  const std::string prefix = "libbpf: ";
  if (text.starts_with(prefix)) text.erase(0, prefix.size());
  return text.empty() ? "" : " (libbpf: " + text + ")";
}

/// " (program id 12 is attached)" or nothing.
std::string attached_text(std::uint32_t interface_index) {
  bpf_xdp_query_opts query{};
  query.sz = sizeof query;
  if (bpf_xdp_query(static_cast<int>(interface_index), 0, &query) != 0) return "";
  for (const std::uint32_t id : {query.prog_id, query.drv_prog_id, query.skb_prog_id, query.hw_prog_id}) {
    if (id != 0) return " (XDP program id " + std::to_string(id) + " is attached)";
  }
  return "";
}

std::string why_not_native(int error, const Interface& interface) {
  switch (error) {
    case EOPNOTSUPP: return "native: the driver has no XDP";
    case ERANGE:
    case EINVAL: return "native: the driver refuses, mostly because an MTU or an offload is too large for XDP";
    case ENOSPC:
      return "native: the other end of " + interface.name + " has more transmit queues than " + interface.name +
             " has receive queues";
    default: return std::string("native: ") + std::strerror(error);
  }
}

}  // namespace

void RedirectProgram::Close::operator()(bpf_object* object) const noexcept {
  bpf_object__close(object);
}

base::Result<RedirectProgram> RedirectProgram::attach(const Interface& interface, const KernelServices& services,
                                                      XdpMode wanted) {
  RedirectProgram program;
  if (base::Result<void> loaded = program.load(); !loaded) return std::unexpected(std::move(loaded.error()));
  if (base::Result<void> kept = program.keep(services); !kept) return std::unexpected(std::move(kept.error()));
  if (base::Result<void> kept = program.keep_maps(); !kept) return std::unexpected(std::move(kept.error()));

  int error = 0;
  if (wanted != XdpMode::kGeneric) {
    error = program.try_attach(interface, true);
    if (error == 0) return program;
    program.generic_reason_ = why_not_native(error, interface);
  }
  const bool taken = error == EBUSY || error == EEXIST;
  if (wanted != XdpMode::kNative && !taken && error != EPERM) {
    error = program.try_attach(interface, false);
    if (error == 0) return program;
  }
  if (error == EBUSY || error == EEXIST) {
    return base::fail("interface " + interface.name + " is taken by another XDP program" +
                      attached_text(interface.index) + ": stop the program that attached it, or type `ip link set " +
                      interface.name + " xdp off`");
  }
  if (wanted == XdpMode::kNative) return base::fail(interface.name + ": " + program.generic_reason_);
  return base::fail("cannot attach the XDP program to " + interface.name + ": " + std::strerror(error));
}

base::Result<void> RedirectProgram::load() {
  libbpf_set_print(keep_warning);
  last_warning.front() = '\0';
  const std::span<const std::uint8_t> bytes = redirect_object();
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = "ringplane";
  object_.reset(bpf_object__open_mem(bytes.data(), bytes.size(), &options));
  if (!object_) return base::fail("cannot open the embedded XDP program" + warning_text());
  const int error = -bpf_object__load(object_.get());
  if (error == 0) return {};
  if (error == EPERM || error == EACCES) {
    return base::fail(
        "no privilege to load an XDP program: run as root, or with CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and "
        "CAP_PERFMON");
  }
  return base::fail(std::string("the kernel refuses the XDP program: ") + std::strerror(error) + warning_text());
}

base::Result<void> RedirectProgram::keep(const KernelServices& services) {
  if (services.addresses.size() > RINGPLANE_MAX_HOST_ADDRESSES) {
    return base::fail(
        "at most " + std::to_string(RINGPLANE_MAX_HOST_ADDRESSES) + " addresses can be kept for the kernel",
        base::ErrorKind::kBadConfiguration);
  }
  const std::uint8_t present = 1;
  bool fits = true;
  for (const wire::HostAddress& address : services.addresses) {
    ringplane_host_address key{};
    std::memcpy(key.bytes, address.address.bytes.data(), sizeof key.bytes);
    key.family = static_cast<std::uint32_t>(address.family);
    fits = bpf_map_update_elem(map_fd("host_addresses"), &key, &present, BPF_ANY) == 0 && fits;
  }
  const auto keep_ports = [&](std::uint8_t protocol, const std::vector<std::uint16_t>& ports) {
    for (const std::uint16_t port : ports) {
      const ringplane_host_port key{.port = port, .protocol = protocol, .zero = 0};
      fits = bpf_map_update_elem(map_fd("host_ports"), &key, &present, BPF_ANY) == 0 && fits;
    }
  };
  keep_ports(IPPROTO_TCP, services.tcp_ports);
  keep_ports(IPPROTO_UDP, services.udp_ports);
  const std::uint32_t only_slot = 0;
  const ringplane_host_services switches{.icmp = services.icmp, .all = services.all};
  fits = bpf_map_update_elem(map_fd("host_services"), &only_slot, &switches, BPF_ANY) == 0 && fits;
  if (!fits)
    return base::fail(std::string("cannot tell the XDP program what the kernel keeps: ") + std::strerror(errno));
  return {};
}

int RedirectProgram::try_attach(const Interface& interface, bool native) {
  const bpf_program* program = bpf_object__find_program_by_name(object_.get(), "ringplane_redirect");
  bpf_link_create_opts options{};
  options.sz = sizeof options;
  options.flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const int link = bpf_link_create(bpf_program__fd(program), static_cast<int>(interface.index), BPF_XDP, &options);
  if (link < 0) return -link;
  link_ = base::FileDescriptor(link);
  object_.reset();
  native_ = native;
  return 0;
}

base::Result<void> RedirectProgram::add_socket(std::uint32_t queue, int socket_fd) {
  if (bpf_map_update_elem(sockets_map_.get(), &queue, &socket_fd, BPF_ANY) == 0) return {};
  return base::fail("cannot direct queue " + std::to_string(queue) + " to its socket: " + std::strerror(errno));
}

base::Result<void> RedirectProgram::keep_maps() {
  for (const auto& [name, kept] :
       {std::pair{"sockets", &sockets_map_}, std::pair{"bypass", &bypass_map_}, std::pair{"peer", &peer_map_}}) {
    auto map = base::duplicate(map_fd(name));
    if (!map) return std::unexpected(std::move(map.error()));
    *kept = std::move(*map);
  }
  return {};
}

base::Result<void> RedirectProgram::set_bypass(Bypass bypass, std::uint32_t peer_index) {
  const std::uint32_t only_slot = 0;
  const std::uint32_t way = bypass == Bypass::kPeer   ? RINGPLANE_BYPASS_PEER
                            : bypass == Bypass::kDrop ? RINGPLANE_BYPASS_DROP
                                                      : RINGPLANE_BYPASS_NONE;
  if (bypass == Bypass::kPeer && bpf_map_update_elem(peer_map_.get(), &only_slot, &peer_index, BPF_ANY) != 0) {
    return base::fail(std::string("cannot tell the XDP program the way past: ") + std::strerror(errno));
  }
  if (bpf_map_update_elem(bypass_map_.get(), &only_slot, &way, BPF_ANY) == 0) return {};
  return base::fail(std::string("cannot tell the XDP program that nobody drives its sockets: ") + std::strerror(errno));
}

base::Result<void> RedirectProgram::share(base::Holdings& holdings, const std::string& prefix) const {
  for (const auto& [name, kept] : {std::pair{"link", &link_}, std::pair{"sockets", &sockets_map_},
                                   std::pair{"bypass", &bypass_map_}, std::pair{"peer", &peer_map_}}) {
    if (auto added = holdings.add_duplicate(prefix + name, kept->get()); !added) return added;
  }
  return {};
}

base::Result<RedirectProgram> RedirectProgram::adopt(const base::Holdings& holdings, const std::string& prefix,
                                                     bool native, std::string generic_reason) {
  RedirectProgram program;
  for (const auto& [name, kept] : {std::pair{"link", &program.link_}, std::pair{"sockets", &program.sockets_map_},
                                   std::pair{"bypass", &program.bypass_map_}, std::pair{"peer", &program.peer_map_}}) {
    auto held = holdings.duplicate(prefix + name);
    if (!held) return std::unexpected(std::move(held.error()));
    *kept = std::move(*held);
  }
  program.native_ = native;
  program.generic_reason_ = std::move(generic_reason);
  return program;
}

int RedirectProgram::map_fd(const char* name) const noexcept {
  return bpf_object__find_map_fd_by_name(object_.get(), name);
}

}  // namespace ringplane::port
