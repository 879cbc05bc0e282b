// Umem: the arena as the kernel's AF_XDP sockets see it. One Umem for all af_xdp ports of a process, so that a frame
// received by one may be transmitted by another: the first socket registers the memory, later ones share it
// (XDP_SHARED_UMEM, kernel 5.10). The kernel fixes zero-copy or copy for all that share, so sockets share by mode, and
// the memory is registered once for each mode in use.
// Threads: sockets are opened by the control thread and may be closed by workers; the list of them is locked.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "frame/arena.h"

namespace ringplane::port {

class Umem {
 public:
  /// `arena` outlives the Umem, the Umem outlives every port that was given it.
  explicit Umem(const frame::Arena& arena) noexcept : arena_(arena) {}
  Umem(const Umem&) = delete;
  Umem& operator=(const Umem&) = delete;

  [[nodiscard]] const frame::Arena& arena() const noexcept { return arena_; }

  /// Descriptors of the bound sockets whose registration another socket of the same mode may share.
  [[nodiscard]] std::vector<int> sockets(bool zero_copy) const;
  void add_socket(int fd, bool zero_copy);
  void remove_socket(int fd) noexcept;

 private:
  struct Bound {
    int fd;
    bool zero_copy;
  };
  const frame::Arena& arena_;
  mutable std::mutex mutex_;
  std::vector<Bound> bound_;
};

}  // namespace ringplane::port
