// HttpServer: HTTP/1.1 at one listening socket, served by whoever calls serve(), in their thread. Each way in (the unix
// socket, loopback) is a server of its own, so that a flood at one leaves the other free.
//
// A request is answered when all of it is there. Limits and what becomes of a client beyond them:
//   connections       waits in the kernel's queue until another has gone
//                     half of them there: each has one second instead of the below
//   headers           431, closed              body             413, closed
//   bodies together   503, closed              seconds          closed
// A token, if there is one, is asked for before the body is read: 401. What a page of somebody else's has a browser ask
// is refused before that (origin.h): 421 and 403.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/message.h"
#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::api {

struct HttpLimits {
  unsigned connections = 256;
  std::size_t header_bytes = std::size_t{32} << 10;
  std::size_t body_bytes = std::size_t{64} << 20;
  std::size_t bodies_bytes = std::size_t{256} << 20;  ///< of all clients together
  unsigned request_seconds = 10;                      ///< from the first byte to the last; also for an idle connection
};

struct HttpOptions {
  HttpLimits limits{};
  std::string token{};    ///< "": whoever comes in may ask
  bool may_write = true;  ///< Request::may_write
  /// What this server is called in URLs, without ports; empty: nobody cares.
  std::vector<std::string> names{};
  /// Public in spite of a token, for those who bring none: Request::is_known is false then.
  std::function<bool(const Request&)> is_public = [](const Request&) { return false; };
  /// Was told off, with this status, before the answerer saw it.
  std::function<void(const Request&, int)> on_refused = [](const Request&, int) {};
};

class HttpServer {
 public:
  using Answer = std::function<Response(Request)>;

  /// `listener` listens and does not block.
  [[nodiscard]] static base::Result<HttpServer> create(base::FileDescriptor listener, HttpOptions options,
                                                       Answer answer);
  HttpServer(HttpServer&&) noexcept;
  HttpServer& operator=(HttpServer&&) noexcept;
  ~HttpServer();

  /// Polls readable when there is something to serve.
  [[nodiscard]] int descriptor() const noexcept;
  /// Call again after this at the latest; at most `most`.
  [[nodiscard]] int patience_ms(int most) const noexcept;
  /// What can be done now, up to some buffers of each connection; calls the answerer for each whole request.
  void serve();
  [[nodiscard]] std::size_t connection_count() const noexcept;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace ringplane::api
