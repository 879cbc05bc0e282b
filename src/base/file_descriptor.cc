#include "base/file_descriptor.h"

#include <unistd.h>

namespace ringplane::base {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace ringplane::base
