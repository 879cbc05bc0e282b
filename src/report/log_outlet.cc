#include "report/log_outlet.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"
#include "base/unix_socket.h"
#include "report/options.h"

namespace ringplane::report {
namespace {

constexpr std::uint64_t kLookEveryNs = 200 * base::kNanosPerMilli;
constexpr std::uint64_t kRestNs = 5 * base::kNanosPerSecond;
constexpr mode_t kLogMode = 0640;

base::FileDescriptor open_to_append(const std::string& path) {
  return base::FileDescriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kLogMode));
}

/// Tells a socket from one that was made in its place: numbers of inodes are used again. 0: there is nothing.
std::uint64_t birth_of(const std::string& path) noexcept {
  struct stat facts{};
  if (stat(path.c_str(), &facts) != 0) return 0;
  return facts.st_ino ^ (static_cast<std::uint64_t>(facts.st_ctim.tv_sec) * base::kNanosPerSecond +
                         static_cast<std::uint64_t>(facts.st_ctim.tv_nsec));
}

/// 0: there is nothing.
std::uint64_t inode_of(const std::string& path) noexcept {
  struct stat facts{};
  return stat(path.c_str(), &facts) == 0 ? facts.st_ino : 0;
}

std::unexpected<base::Error> cannot(const char* do_what, const std::string& path, const char* remedy,
                                    base::ErrorKind kind = base::ErrorKind::kFailed) {
  return base::fail(
      std::string("log.file: cannot ") + do_what + " " + path + " (" + std::strerror(errno) + "): " + remedy, kind);
}

}  // namespace

base::Result<base::FileDescriptor> LogOutlet::open() {
  if (config_.file.empty()) return base::FileDescriptor();
  if (config_.file == "-") return base::duplicate(STDOUT_FILENO);
  if (is_socket()) {
    auto connected = connect();
    return connected ? std::move(*connected) : base::FileDescriptor();  // it may come later
  }
  base::FileDescriptor file = open_to_append(config_.file);
  if (!file.valid()) {
    return cannot("write", config_.file, "create its folder or choose another file",
                  base::ErrorKind::kBadConfiguration);
  }
  cut_to_whole_lines(file.get());
  return file;
}

bool LogOutlet::is_due(int now, std::uint64_t now_ns) {
  if (now_ns < rest_until_ns_ || now_ns - looked_ns_ < kLookEveryNs) return false;
  looked_ns_ = now_ns;
  // Asked for again only after a while if it comes to nothing; a success lets it look at once.
  const bool due = (is_file() && (was_moved(now) || is_too_long(now))) || (is_socket() && has_no_reader(now));
  if (due && is_file()) rest_until_ns_ = now_ns + kRestNs;
  return due;
}

base::Result<base::FileDescriptor> LogOutlet::next(int now) {
  auto made = is_socket() ? connect() : was_moved(now) ? reopen() : rotate();
  if (made) rest_until_ns_ = 0;
  return made;
}

bool LogOutlet::is_too_long(int now) const noexcept {
  struct stat facts{};
  return config_.rotate_bytes > 0 && fstat(now, &facts) == 0 && S_ISREG(facts.st_mode) &&
         static_cast<std::uint64_t>(facts.st_size) >= config_.rotate_bytes;
}

/// Whether somebody has renamed or removed the file.
bool LogOutlet::was_moved(int now) const noexcept {
  struct stat facts{};
  return fstat(now, &facts) == 0 && S_ISREG(facts.st_mode) && inode_of(config_.file) != facts.st_ino;
}

base::Result<base::FileDescriptor> LogOutlet::reopen() {
  if (!is_file()) return base::fail("log.file is no file: there is nothing to reopen");
  base::FileDescriptor file = open_to_append(config_.file);
  if (!file.valid()) return cannot("write", config_.file, "lines go on into the old file");
  return file;
}

/// First the new one, since that may fail, then the names: FILE.1 becomes FILE.2 and so on, FILE becomes FILE.1.
base::Result<base::FileDescriptor> LogOutlet::rotate() {
  const std::string& path = config_.file;
  const std::string fresh_path = path + ".new";
  (void)unlink(fresh_path.c_str());
  base::FileDescriptor fresh = open_to_append(fresh_path);
  if (!fresh.valid()) return cannot("write", fresh_path, "lines go on into the old file");
  const auto numbered = [&](std::uint32_t number) { return path + "." + std::to_string(number); };
  for (std::uint32_t number = config_.rotate_keep; number > 1; --number) {
    (void)rename(numbered(number - 1).c_str(), numbered(number).c_str());
  }
  if (config_.rotate_keep > 0) (void)rename(path.c_str(), numbered(1).c_str());
  if (rename(fresh_path.c_str(), path.c_str()) != 0)
    return cannot("rename", fresh_path, "lines go on into the old file");
  return fresh;
}

/// Whether the reader has hung up, or another one has made the socket anew: that may be the only sign of a datagram
/// reader's end.
bool LogOutlet::has_no_reader(int now) noexcept {
  if (now < 0) return true;
  pollfd end{.fd = now, .events = 0, .revents = 0};
  if (poll(&end, 1, 0) == 1 && (end.revents & (POLLHUP | POLLERR)) != 0) return true;
  const std::uint64_t birth = birth_of(config_.file.substr(LogConfig::kSocketPrefix.size()));
  if (socket_birth_ == 0) socket_birth_ = birth;  // a control process before this one has connected it
  return birth != 0 && birth != socket_birth_;
}

base::Result<base::FileDescriptor> LogOutlet::connect() {
  const std::string path = config_.file.substr(LogConfig::kSocketPrefix.size());
  const std::uint64_t birth = birth_of(path);
  auto connected = base::connect_to(path, SOCK_STREAM | SOCK_NONBLOCK);
  if (!connected) connected = base::connect_to(path, SOCK_DGRAM | SOCK_NONBLOCK);
  if (connected) socket_birth_ = birth;
  return connected;
}

void cut_to_whole_lines(int log) noexcept {
  struct stat facts{};
  if (log < 0 || fstat(log, &facts) != 0 || !S_ISREG(facts.st_mode)) return;
  // `log` itself may only be written.
  const base::FileDescriptor file(::open(("/proc/self/fd/" + std::to_string(log)).c_str(), O_RDWR | O_CLOEXEC));
  std::array<char, 4096> piece{};
  off_t end = facts.st_size;
  while (end > 0) {
    const auto length = static_cast<std::size_t>(std::min<off_t>(end, piece.size()));
    const off_t begin = end - static_cast<off_t>(length);
    if (pread(file.get(), piece.data(), length, begin) != static_cast<ssize_t>(length)) return;
    const std::size_t newline = std::string_view(piece.data(), length).rfind('\n');
    end = begin + static_cast<off_t>(newline == std::string_view::npos ? 0 : newline + 1);
    if (newline != std::string_view::npos) break;
  }
  // A file without any newline is ours if it begins as our lines do.
  const bool is_ours = end > 0 || piece[0] == '{';
  if (is_ours && end < facts.st_size) (void)ftruncate(file.get(), end);
}

}  // namespace ringplane::report
