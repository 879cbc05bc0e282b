#include "base/holdings.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::base {

void Holdings::add_all(Holdings others) {
  for (auto& [name, descriptor] : others.held_) add(name, std::move(descriptor));
}

Result<void> Holdings::add_duplicate(std::string name, int descriptor) {
  auto copy = base::duplicate(descriptor);
  if (!copy) return std::unexpected(std::move(copy.error()));
  add(std::move(name), std::move(*copy));
  return {};
}

int Holdings::find(const std::string& name) const noexcept {
  const auto found = held_.find(name);
  return found == held_.end() ? -1 : found->second.get();
}

Result<FileDescriptor> Holdings::duplicate(const std::string& name) const {
  const int found = find(name);
  if (found < 0) return fail("nothing was handed over by the name of " + name);
  return base::duplicate(found);
}

Result<FileDescriptor> duplicate(int descriptor) {
  FileDescriptor copy(fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (copy.valid()) return copy;
  return fail(std::string("cannot keep one more descriptor (") + std::strerror(errno) +
              "): raise the limit (`ulimit -n`, LimitNOFILE= in the systemd unit)");
}

}  // namespace ringplane::base
