// XdpSocket: one AF_XDP socket bound to one queue of an interface, with its four rings mapped. It knows memory and
// rings, not ownership: AfXdpQueue keeps the books. Opening tries zero-copy, then copy; and for each, to share the
// registration of a socket that is bound already, then to register the arena anew.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include <linux/if_xdp.h>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "port/af_xdp/interface.h"
#include "port/af_xdp/kernel_ring.h"
#include "port/af_xdp/umem.h"

namespace ringplane::port {

struct RingSlots {
  std::uint32_t rx = 2048;  ///< all are powers of two
  std::uint32_t tx = 2048;
  std::uint32_t fill = 2048;
  std::uint32_t completion = 2048;
};

class XdpSocket {
 public:
  /// `try_zero_copy` false: copy only. Fails with a sentence that says what to do.
  [[nodiscard]] static base::Result<XdpSocket> open(Umem& umem, const Interface& interface, std::uint32_t queue,
                                                    const RingSlots& slots, bool try_zero_copy);
  /// Maps the rings of a bound socket that another process has opened with these `slots` and maybe driven.
  [[nodiscard]] static base::Result<XdpSocket> adopt(base::FileDescriptor bound, const RingSlots& slots,
                                                     bool zero_copy);
  XdpSocket(XdpSocket&& other) noexcept;
  XdpSocket& operator=(XdpSocket&& other) = delete;
  ~XdpSocket();

  /// Unbinds (unless another process holds the socket too) and unmaps; afterwards the kernel touches no frame for this
  /// socket, and the rings are not to be used.
  void close() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return fd_.valid(); }
  /// -1 once closed.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] bool zero_copy() const noexcept { return zero_copy_; }
  /// Why it is not zero-copy though that was tried; else empty.
  [[nodiscard]] const std::string& copy_reason() const noexcept { return copy_reason_; }

  ProducerRing<xdp_desc> tx;
  ProducerRing<std::uint64_t> fill;
  ConsumerRing<xdp_desc> rx;
  ConsumerRing<std::uint64_t> completion;

 private:
  enum RingIndex : std::uint8_t { kRx, kTx, kFill, kCompletion };
  XdpSocket() = default;
  /// One attempt, after which close() is due unless it returns 0; else errno. `shared_fd`: the socket whose
  /// registration to share, or -1: register the arena.
  [[nodiscard]] int try_open(Umem& umem, const Interface& interface, std::uint32_t queue, const RingSlots& slots,
                             bool zero_copy, int shared_fd);
  [[nodiscard]] int size_rings(const RingSlots& slots) const;
  [[nodiscard]] int map_rings(const RingSlots& slots);

  Umem* umem_ = nullptr;
  base::FileDescriptor fd_;
  std::array<KernelRingMap, 4> maps_{};
  bool zero_copy_ = false;
  std::string copy_reason_;
};

/// A sentence for the errno of a socket(AF_XDP) call: kernel without it, or no privilege.
[[nodiscard]] std::string no_socket_reason(int error);

}  // namespace ringplane::port
