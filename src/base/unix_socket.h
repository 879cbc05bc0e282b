// Unix sockets: connected to, listened at, written to whole, and never waited for longer than a patience.
#pragma once

#include <cstddef>
#include <string>

#include <sys/socket.h>
#include <sys/stat.h>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::base {

/// Fails with a sentence if nobody listens at `path`; kBadConfiguration if it cannot be a socket's. `type` as for
/// socket(2).
[[nodiscard]] Result<FileDescriptor> connect_to(const std::string& path, int type = SOCK_STREAM);
/// Listens at `path` with this mode, without waiting in accept4(2). A socket that nobody listens at is replaced, and a
/// missing folder made.
[[nodiscard]] Result<FileDescriptor> listen_at(const std::string& path, mode_t mode, int backlog);
/// Whoever has connected; not valid: nobody. Out of descriptors it rests for some milliseconds: who waits would make
/// every poll(2) return at once.
[[nodiscard]] FileDescriptor accept_from(int listener) noexcept;
/// Bounds each send and receive from now on.
void set_patience(int socket, int milliseconds) noexcept;
/// All of it, without a signal if the other end has gone; false: errno.
[[nodiscard]] bool send_all(int socket, const void* data, std::size_t bytes) noexcept;

}  // namespace ringplane::base
