// Stream: a response that goes on after its headers, written as things happen. The writer never waits: what the client
// has not taken stays here up to a limit, and what goes beyond is refused to the writer, who counts it.
//
// One thread: that of the server. Both hold it: the writer until it is done, the server until the client has all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

struct MHD_Connection;

namespace ringplane::api {

class Stream {
 public:
  static constexpr std::size_t kMostWaiting = std::size_t{4} << 20;

  /// All of it or nothing; false: the client is too slow or has gone.
  [[nodiscard]] bool write(std::string_view bytes);
  /// A megabyte would go in.
  [[nodiscard]] bool has_room() const noexcept;
  /// The client has gone: nothing more is of use.
  [[nodiscard]] bool is_abandoned() const noexcept;
  /// No more will come.
  void end();

 private:
  friend class Exchange;
  friend class HttpServer;
  [[nodiscard]] bool is_active() const noexcept { return connection_ != nullptr; }
  void attach(MHD_Connection* connection, int socket, std::string first);
  void detach() noexcept;
  /// For libmicrohttpd: up to `most` bytes, 0: wait, negative: that was all.
  [[nodiscard]] std::ptrdiff_t take(char* into, std::size_t most);
  void wake();

  MHD_Connection* connection_ = nullptr;
  int socket_ = -1;
  std::string waiting_;
  std::size_t taken_ = 0;
  bool asleep_ = false;
  bool ended_ = false;
  bool gone_ = false;
};

}  // namespace ringplane::api
