#include "port/af_xdp/xdp_socket.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "frame/arena.h"
#include "port/af_xdp/interface.h"
#include "port/af_xdp/kernel_ring.h"
#include "port/af_xdp/umem.h"

namespace ringplane::port {
namespace {

/// In copy mode the kernel charges each packet on its way to the socket's send buffer; the default holds some 90.
constexpr std::uint32_t kSendBufferBytesPerSlot = 4096;

/// The kernel frees a queue a moment after its socket was closed (or its process killed), when no CPU can be inside it
/// any more; until then binding says EBUSY. So a taken queue is refused only after half a second.
constexpr std::uint32_t kBusyAttempts = 100;
constexpr std::uint32_t kBusyPauseUs = 5'000;

constexpr int kRegisterAnew = -1;

/// Whether another mode, or another registration of the memory, may fare better.
bool depends_on_mode(int error) {
  return error != EBUSY && error != EPERM && error != EAFNOSUPPORT && error != ENETDOWN && error != ENODEV;
}

template <class Value>
int set_option(int fd, int option, const Value& value) {
  return setsockopt(fd, SOL_XDP, option, &value, sizeof value) == 0 ? 0 : errno;
}

int register_memory(int fd, const frame::Arena& arena) {
  xdp_umem_reg registration{};
  registration.addr = reinterpret_cast<std::uintptr_t>(arena.base());
  registration.len = arena.bytes();
  registration.chunk_size = arena.frame_bytes();
  // XDP itself leaves 256 bytes in front of a received packet, which are frame::kHeadroomBytes.
  registration.headroom = 0;
  return set_option(fd, XDP_UMEM_REG, registration);
}

std::string sentence_for(int error, const Interface& interface, std::uint32_t queue) {
  const std::string where = "queue " + std::to_string(queue) + " of " + interface.name;
  switch (error) {
    case EBUSY: return where + " is taken by another AF_XDP socket: stop the program that has it (`ss --xdp` names it)";
    case ENOBUFS:
      return "the locked-memory limit is too small for the frames: raise it (`ulimit -l unlimited`, LimitMEMLOCK= in "
             "the systemd unit) or lower memory.frames";
    case ENOMEM: return "not enough memory for the rings of " + where + ": lower the ring slots or memory.frames";
    case ENETDOWN: return "interface " + interface.name + " is down: type `ip link set " + interface.name + " up`";
    case ENODEV: return "interface " + interface.name + " has gone";
    case EPERM: return no_socket_reason(EPERM);
    default: return "cannot bind an AF_XDP socket to " + where + ": " + std::strerror(error);
  }
}

}  // namespace

std::string no_socket_reason(int error) {
  if (error == EPERM)
    return "AF_XDP needs privileges: run as root, or with CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON";
  if (error == EAFNOSUPPORT) {
    return "this kernel has no AF_XDP: use one built with CONFIG_XDP_SOCKETS (Debian's are), version 5.10 or later";
  }
  return std::string("cannot open an AF_XDP socket: ") + std::strerror(error);
}

base::Result<XdpSocket> XdpSocket::open(Umem& umem, const Interface& interface, std::uint32_t queue,
                                        const RingSlots& slots, bool try_zero_copy) {
  // Without CAP_IPC_LOCK the frames count against this limit; raising it may not be allowed, then registering says so.
  const rlimit unlimited{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
  (void)setrlimit(RLIMIT_MEMLOCK, &unlimited);

  std::string copy_reason;
  for (const bool zero_copy : {true, false}) {
    if (zero_copy && !try_zero_copy) continue;
    std::vector<int> registrations = umem.sockets(zero_copy);
    registrations.push_back(kRegisterAnew);
    int error = 0;
    for (const int shared_fd : registrations) {
      XdpSocket socket;
      for (std::uint32_t attempt = 0; attempt < kBusyAttempts; ++attempt) {
        error = socket.try_open(umem, interface, queue, slots, zero_copy, shared_fd);
        if (error != EBUSY) break;
        socket.close();
        usleep(kBusyPauseUs);
      }
      if (error == 0) {
        socket.copy_reason_ = std::move(copy_reason);
        return socket;
      }
      if (!depends_on_mode(error)) return base::fail(sentence_for(error, interface, queue));
    }
    if (!zero_copy) return base::fail(sentence_for(error, interface, queue));
    copy_reason = std::string("zero-copy: ") + std::strerror(error);
  }
  std::unreachable();
}

int XdpSocket::try_open(Umem& umem, const Interface& interface, std::uint32_t queue, const RingSlots& slots,
                        bool zero_copy, int shared_fd) {
  fd_ = base::FileDescriptor(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) return errno;
  if (shared_fd == kRegisterAnew) {
    if (const int error = register_memory(fd_.get(), umem.arena())) return error;
  }
  const std::uint32_t send_buffer =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{slots.tx} * kSendBufferBytesPerSlot, 1U << 30));
  (void)setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof send_buffer);
  if (const int error = size_rings(slots)) return error;
  if (const int error = map_rings(slots)) return error;

  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = interface.index;
  address.sxdp_queue_id = queue;
  if (shared_fd == kRegisterAnew) {
    address.sxdp_flags = static_cast<std::uint16_t>((zero_copy ? XDP_ZEROCOPY : XDP_COPY) | XDP_USE_NEED_WAKEUP);
  } else {  // the mode and need_wakeup are those of the registration
    address.sxdp_flags = XDP_SHARED_UMEM;
    address.sxdp_shared_umem_fd = static_cast<std::uint32_t>(shared_fd);
  }
  if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return errno;
  zero_copy_ = zero_copy;
  umem_ = &umem;
  umem.add_socket(fd_.get(), zero_copy);
  return 0;
}

base::Result<XdpSocket> XdpSocket::adopt(base::FileDescriptor bound, const RingSlots& slots, bool zero_copy) {
  XdpSocket socket;
  socket.fd_ = std::move(bound);
  socket.zero_copy_ = zero_copy;
  if (const int error = socket.map_rings(slots)) {
    return base::fail(std::string("cannot map the rings of an AF_XDP socket: ") + std::strerror(error));
  }
  return socket;
}

namespace {

struct Ring {
  int option;
  std::uint64_t page_offset;
  std::uint32_t slots;
  std::size_t slot_bytes;
};

/// In the order of XdpSocket::RingIndex.
std::array<Ring, 4> rings_of(const RingSlots& slots) {
  return {{
      {.option = XDP_RX_RING, .page_offset = XDP_PGOFF_RX_RING, .slots = slots.rx, .slot_bytes = sizeof(xdp_desc)},
      {.option = XDP_TX_RING, .page_offset = XDP_PGOFF_TX_RING, .slots = slots.tx, .slot_bytes = sizeof(xdp_desc)},
      {.option = XDP_UMEM_FILL_RING,
       .page_offset = XDP_UMEM_PGOFF_FILL_RING,
       .slots = slots.fill,
       .slot_bytes = sizeof(std::uint64_t)},
      {.option = XDP_UMEM_COMPLETION_RING,
       .page_offset = XDP_UMEM_PGOFF_COMPLETION_RING,
       .slots = slots.completion,
       .slot_bytes = sizeof(std::uint64_t)},
  }};
}

}  // namespace

int XdpSocket::size_rings(const RingSlots& slots) const {
  for (const Ring& ring : rings_of(slots)) {
    if (const int error = set_option(fd_.get(), ring.option, ring.slots)) return error;
  }
  return 0;
}

int XdpSocket::map_rings(const RingSlots& slots) {
  const std::array<Ring, 4> rings = rings_of(slots);
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof offsets;
  if (getsockopt(fd_.get(), SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) return errno;
  // A kernel older than 5.4 answers with a shorter structure that has no flags.
  if (length != sizeof offsets) return EAFNOSUPPORT;
  const std::array<xdp_ring_offset, 4> offset{offsets.rx, offsets.tx, offsets.fr, offsets.cr};
  for (std::size_t i = 0; i < rings.size(); ++i) {
    const std::size_t bytes = offset[i].desc + rings[i].slots * rings[i].slot_bytes;
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(),
                    static_cast<off_t>(rings[i].page_offset));
    if (at == MAP_FAILED) return errno;
    maps_[i] = {.base = static_cast<std::uint8_t*>(at), .bytes = bytes, .offset = offset[i], .slots = rings[i].slots};
  }
  rx = ConsumerRing<xdp_desc>(maps_[kRx]);
  tx = ProducerRing<xdp_desc>(maps_[kTx]);
  fill = ProducerRing<std::uint64_t>(maps_[kFill]);
  completion = ConsumerRing<std::uint64_t>(maps_[kCompletion]);
  return 0;
}

XdpSocket::XdpSocket(XdpSocket&& other) noexcept
    : tx(other.tx),
      fill(other.fill),
      rx(other.rx),
      completion(other.completion),
      umem_(std::exchange(other.umem_, nullptr)),
      fd_(std::move(other.fd_)),
      maps_(std::exchange(other.maps_, {})),
      zero_copy_(other.zero_copy_),
      copy_reason_(std::move(other.copy_reason_)) {}

XdpSocket::~XdpSocket() {
  close();
}

void XdpSocket::close() noexcept {
  if (umem_ != nullptr) std::exchange(umem_, nullptr)->remove_socket(fd_.get());
  // A mapping keeps the socket alive, so the rings go first. Closing unbinds: after it the kernel touches no frame of
  // this socket any more.
  for (KernelRingMap& map : maps_) {
    if (map.base != nullptr) munmap(map.base, map.bytes);
    map = {};
  }
  fd_ = base::FileDescriptor();
}

}  // namespace ringplane::port
