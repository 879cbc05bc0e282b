#include "report/eve_writer.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>

#include "base/file_descriptor.h"

namespace ringplane::report {
namespace {

/// More lines than this go to the kernel at once, not at the next flush().
constexpr std::size_t kBlockBytes = std::size_t{64} << 10;
/// A pipe that polls writable takes so much without waiting (pipe(7), PIPE_BUF).
constexpr std::size_t kPipeBytes = 4096;

}  // namespace

void EveWriter::change_to(base::FileDescriptor file) {
  file_ = std::move(file);
  kind_ = Kind::kNobody;
  taken_ = line_;
  why_ = 0;
  struct stat facts{};
  if (!file_.valid() || fstat(file_.get(), &facts) != 0) return;
  if (S_ISREG(facts.st_mode)) {
    kind_ = Kind::kFile;
  } else if (S_ISSOCK(facts.st_mode)) {
    int type = SOCK_STREAM;
    socklen_t bytes = sizeof type;
    (void)getsockopt(file_.get(), SOL_SOCKET, SO_TYPE, &type, &bytes);
    kind_ = type == SOCK_STREAM ? Kind::kStream : Kind::kDatagrams;
  } else {
    kind_ = Kind::kPipe;
  }
  flush();
}

void EveWriter::write(std::string_view line) {
  if (!is_somewhere()) return;
  if (text_.size() - line_ + line.size() >= kMostWaitingBytes) flush();
  if (text_.size() - line_ + line.size() >= kMostWaitingBytes) {
    ++lost_;
    return;
  }
  text_ += line;
  text_ += '\n';
  ++waiting_;
  if (why_ == 0 && text_.size() - taken_ >= kBlockBytes) flush();
}

void EveWriter::flush() {
  why_ = 0;
  while (is_somewhere() && taken_ < text_.size()) {
    std::string_view rest = std::string_view(text_).substr(taken_);
    if (kind_ == Kind::kDatagrams) rest = rest.substr(0, rest.find('\n') + 1);
    const std::int64_t bytes = put(rest);
    if (bytes > 0) {
      took(static_cast<std::size_t>(bytes));
    } else if (kind_ == Kind::kDatagrams && bytes == -EMSGSIZE) {
      forget_line();
    } else if (bytes != -EINTR) {
      why_ = bytes == 0 ? EAGAIN : static_cast<int>(-bytes);
      break;
    }
  }
  if (line_ == text_.size() || line_ > kMostWaitingBytes / 2) {
    text_.erase(0, line_);
    taken_ -= line_;
    line_ = 0;
  }
}

/// How many bytes were taken, or -errno.
std::int64_t EveWriter::put(std::string_view bytes) const noexcept {
  std::int64_t done = -1;
  switch (kind_) {
    case Kind::kNowhere:
    case Kind::kNobody: return -ENOTCONN;
    case Kind::kFile: done = ::write(file_.get(), bytes.data(), bytes.size()); break;
    case Kind::kPipe: {
      // It may be ours and others', so it is not made O_NONBLOCK.
      pollfd room{.fd = file_.get(), .events = POLLOUT, .revents = 0};
      if (poll(&room, 1, 0) != 1) return -EAGAIN;
      if ((room.revents & POLLOUT) == 0) return -EPIPE;
      done = ::write(file_.get(), bytes.data(), std::min(bytes.size(), kPipeBytes));
      break;
    }
    case Kind::kStream:
    case Kind::kDatagrams: done = send(file_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL); break;
  }
  return done < 0 ? -static_cast<std::int64_t>(errno) : done;
}

void EveWriter::took(std::size_t bytes) noexcept {
  const std::string_view taken = std::string_view(text_).substr(taken_, bytes);
  const auto lines = static_cast<std::uint64_t>(std::ranges::count(taken, '\n'));
  if (lines > 0) line_ = taken_ + taken.rfind('\n') + 1;
  taken_ += bytes;
  written_ += lines;
  waiting_ -= lines;
}

void EveWriter::forget_line() noexcept {
  line_ = taken_ = text_.find('\n', line_) + 1;
  --waiting_;
  ++lost_;
}

}  // namespace ringplane::report
