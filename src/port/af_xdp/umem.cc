#include "port/af_xdp/umem.h"

#include <mutex>
#include <vector>

namespace ringplane::port {

std::vector<int> Umem::sockets(bool zero_copy) const {
  const std::lock_guard lock(mutex_);
  std::vector<int> found;
  for (const Bound& bound : bound_) {
    if (bound.zero_copy == zero_copy) found.push_back(bound.fd);
  }
  return found;
}

void Umem::add_socket(int fd, bool zero_copy) {
  const std::lock_guard lock(mutex_);
  bound_.push_back({.fd = fd, .zero_copy = zero_copy});
}

void Umem::remove_socket(int fd) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase_if(bound_, [fd](const Bound& bound) { return bound.fd == fd; });
}

}  // namespace ringplane::port
