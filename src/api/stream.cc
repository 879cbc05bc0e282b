#include "api/stream.h"

#include <microhttpd.h>
#include <poll.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace ringplane::api {

bool Stream::write(std::string_view bytes) {
  if (gone_ || ended_ || waiting_.size() - taken_ + bytes.size() > kMostWaiting) return false;
  if (taken_ > waiting_.size() / 2) waiting_.erase(0, std::exchange(taken_, 0));
  waiting_ += bytes;
  wake();
  return true;
}

bool Stream::has_room() const noexcept {
  constexpr std::size_t kMuch = std::size_t{2} << 20;  // one megabyte, and what one packet may go beyond
  return waiting_.size() - taken_ + kMuch <= kMostWaiting;
}

bool Stream::is_abandoned() const noexcept {
  if (gone_ || connection_ == nullptr) return gone_;
  // One that sleeps is not looked at by the server.
  pollfd wait{.fd = socket_, .events = POLLRDHUP, .revents = 0};
  return poll(&wait, 1, 0) == 1 && (wait.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void Stream::end() {
  ended_ = true;
  wake();
}

void Stream::attach(MHD_Connection* connection, int socket, std::string first) {
  connection_ = connection;
  socket_ = socket;
  waiting_.insert(0, first);
}

void Stream::detach() noexcept {
  connection_ = nullptr;
  socket_ = -1;
  gone_ = true;
}

std::ptrdiff_t Stream::take(char* into, std::size_t most) {
  const std::size_t bytes = std::min(most, waiting_.size() - taken_);
  if (bytes > 0) {
    std::memcpy(into, waiting_.data() + taken_, bytes);
    taken_ += bytes;
    return static_cast<std::ptrdiff_t>(bytes);
  }
  if (ended_ || gone_) return MHD_CONTENT_READER_END_OF_STREAM;
  asleep_ = true;
  MHD_suspend_connection(connection_);
  return 0;
}

void Stream::wake() {
  if (std::exchange(asleep_, false)) MHD_resume_connection(connection_);
}

}  // namespace ringplane::api
