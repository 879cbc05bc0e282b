#include "api/http_server.h"

#include <microhttpd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "api/message.h"
#include "api/origin.h"
#include "api/stream.h"
#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::api {
namespace {

/// Takes the same time wherever they differ.
bool same_secret(std::string_view given, std::string_view wanted) noexcept {
  if (given.size() != wanted.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(wanted[i]);
  }
  return difference == 0;
}

std::string_view header_of(MHD_Connection* connection, const char* name) noexcept {
  const char* value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

MHD_Result add_query(void* into, MHD_ValueKind, const char* name, const char* value) {
  (*static_cast<std::map<std::string, std::string>*>(into))[name] = value == nullptr ? "" : value;
  return MHD_YES;
}

}  // namespace

/// One request on its way, from its headers to the last byte of the answer.
class Exchange {
 public:
  Request request;
  std::size_t counted_bytes = 0;  // of State::bodies_bytes
  std::shared_ptr<Stream> stream;
  std::function<void()> when_sent;

  ~Exchange() {
    if (stream) stream->detach();
    if (when_sent) when_sent();
  }
};

struct HttpServer::State {
  struct Connection {
    int socket = -1;
    std::uint64_t since_ns = 0;  // of the request that it is at, or idle
    bool streams = false;
  };
  base::FileDescriptor listener;
  HttpOptions options;
  Answer answer;
  MHD_Daemon* daemon = nullptr;
  std::unordered_map<MHD_Connection*, Connection> connections;
  std::size_t bodies_bytes = 0;

  ~State() {
    if (daemon == nullptr) return;
    for (auto& [connection, facts] : connections) shutdown(facts.socket, SHUT_RDWR);
    wake_streams();
    MHD_stop_daemon(daemon);
  }

  /// libmicrohttpd may not be stopped while one of its connections sleeps.
  void wake_streams() {
    for (const auto& stream : streams) {
      if (const auto held = stream.lock()) {
        held->gone_ = true;
        held->wake();
      }
    }
    streams.clear();
  }
  std::vector<std::weak_ptr<Stream>> streams;

  static void watch(void* state, MHD_Connection* connection, void**, MHD_ConnectionNotificationCode what) {
    auto& all = static_cast<State*>(state)->connections;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
      all.erase(connection);
      return;
    }
    const auto* const socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    all[connection] = {.socket = socket == nullptr ? -1 : socket->connect_fd, .since_ns = base::monotonic_ns()};
  }

  static void complete(void* state, MHD_Connection* connection, void** slot, MHD_RequestTerminationCode) {
    auto* const self = static_cast<State*>(state);
    const std::unique_ptr<Exchange> exchange(static_cast<Exchange*>(std::exchange(*slot, nullptr)));
    if (exchange) self->bodies_bytes -= exchange->counted_bytes;
    if (const auto found = self->connections.find(connection); found != self->connections.end()) {
      found->second.since_ns = base::monotonic_ns();
      found->second.streams = false;
    }
  }

  static MHD_Result access(void* state, MHD_Connection* connection, const char* url, const char* method, const char*,
                           const char* data, std::size_t* bytes, void** slot) {
    auto* const self = static_cast<State*>(state);
    if (*slot == nullptr) return self->begin(connection, url, method, slot);
    auto& exchange = *static_cast<Exchange*>(*slot);
    if (*bytes > 0) {
      const std::size_t more = std::exchange(*bytes, 0);
      if (exchange.request.body.size() + more > self->options.limits.body_bytes) return MHD_NO;
      if (self->bodies_bytes + more > self->options.limits.bodies_bytes) return MHD_NO;
      exchange.request.body.append(data, more);
      exchange.counted_bytes += more;
      self->bodies_bytes += more;
      return MHD_YES;
    }
    return self->reply(connection, exchange, self->answer(std::move(exchange.request)));
  }

  [[nodiscard]] bool is_token(std::string_view authorization) const noexcept {
    constexpr std::string_view kBearer = "Bearer ";
    return authorization.starts_with(kBearer) && same_secret(authorization.substr(kBearer.size()), options.token);
  }

  MHD_Result begin(MHD_Connection* connection, const char* url, const char* method, void** slot) {
    auto exchange = std::make_unique<Exchange>();
    Request& request = exchange->request;
    request.method = method;
    request.path = url;
    request.may_write = options.may_write;
    request.if_none_match = header_of(connection, MHD_HTTP_HEADER_IF_NONE_MATCH);
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_query, &request.query);
    const std::string_view type = header_of(connection, MHD_HTTP_HEADER_CONTENT_TYPE);
    request.content_type = type.substr(0, std::min(type.find(';'), type.size()));
    *slot = exchange.get();
    Exchange& kept = *exchange.release();  // complete() takes it back
    const auto refuse = [&](int code, const std::string& sentence) {
      options.on_refused(kept.request, code);
      Response response = error_response(code, sentence);
      if (code == status::kUnauthorized) response.headers["WWW-Authenticate"] = "Bearer realm=\"ringplane\"";
      return reply(connection, kept, std::move(response));
    };
    const std::string_view host = header_of(connection, MHD_HTTP_HEADER_HOST);
    if (!options.names.empty() && !is_one_of_our_names(host, options.names))
      return refuse(status::kMisdirected, "this is not served under that name: ask " + options.names.front());
    if (!is_our_own_page(header_of(connection, "Origin"), host))
      return refuse(status::kForbidden, "a page from elsewhere may not ask here");
    const std::string_view authorization = header_of(connection, MHD_HTTP_HEADER_AUTHORIZATION);
    request.is_known = options.token.empty() || is_token(authorization);
    if (!request.is_known && (!authorization.empty() || !options.is_public(request))) {
      return refuse(status::kUnauthorized,
                    authorization.empty()
                        ? "say who you are: 'Authorization: Bearer WORD', with the word in control.token_file"
                        : "that is not the token: it is the word in control.token_file");
    }
    const std::string_view length = header_of(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    std::size_t announced = 0;
    std::from_chars(length.data(), length.data() + length.size(), announced);
    if (announced > options.limits.body_bytes) {
      return refuse(status::kTooLarge,
                    "the body may have " + std::to_string(options.limits.body_bytes) + " bytes at most");
    }
    if (bodies_bytes + announced > options.limits.bodies_bytes)
      return refuse(status::kUnavailable, "too many large requests at once: try again");
    return MHD_YES;
  }

  MHD_Result reply(MHD_Connection* connection, Exchange& exchange, Response response) {
    MHD_Response* raw = nullptr;
    if (response.stream) {
      exchange.stream = response.stream;
      Connection& facts = connections[connection];
      facts.streams = true;
      response.stream->attach(connection, facts.socket, std::move(response.body));
      std::erase_if(streams, [](const std::weak_ptr<Stream>& stream) { return stream.expired(); });
      streams.push_back(response.stream);
      constexpr std::size_t kBlock = 16384;
      raw = MHD_create_response_from_callback(
          MHD_SIZE_UNKNOWN, kBlock,
          [](void* stream, std::uint64_t, char* into, std::size_t most) {
            return static_cast<ssize_t>(static_cast<Stream*>(stream)->take(into, most));
          },
          response.stream.get(), nullptr);
      MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    } else {
      raw = MHD_create_response_from_buffer(response.body.size(), response.body.data(), MHD_RESPMEM_MUST_COPY);
    }
    if (raw == nullptr) return MHD_NO;
    exchange.when_sent = std::move(response.when_sent);
    MHD_add_response_header(raw, MHD_HTTP_HEADER_CONTENT_TYPE, response.content_type.c_str());
    MHD_add_response_header(raw, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(raw, "Cross-Origin-Resource-Policy", "same-origin");
    if (!response.headers.contains("Cache-Control")) MHD_add_response_header(raw, "Cache-Control", "no-store");
    for (const auto& [name, value] : response.headers) MHD_add_response_header(raw, name.c_str(), value.c_str());
    const MHD_Result queued = MHD_queue_response(connection, static_cast<unsigned>(response.status), raw);
    MHD_destroy_response(raw);
    return queued;
  }

  /// Those who take too long: libmicrohttpd counts the time since their last byte only.
  void drop_the_slow() {
    const std::uint64_t now_ns = base::monotonic_ns();
    // Where it is crowded, who has not asked within a second makes room.
    const bool crowded = connections.size() > options.limits.connections / 2;
    const std::uint64_t most_ns = (crowded ? 1 : options.limits.request_seconds) * base::kNanosPerSecond;
    for (const auto& [connection, facts] : connections) {
      if (!facts.streams && now_ns - facts.since_ns > most_ns) shutdown(facts.socket, SHUT_RDWR);
    }
  }
};

base::Result<HttpServer> HttpServer::create(base::FileDescriptor listener, HttpOptions options, Answer answer) {
  auto state = std::make_unique<State>();
  state->listener = std::move(listener);
  state->options = std::move(options);
  state->answer = std::move(answer);
  const HttpLimits& limits = state->options.limits;
  state->daemon = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, &State::access, state.get(),
      MHD_OPTION_LISTEN_SOCKET, state->listener.get(), MHD_OPTION_CONNECTION_LIMIT, limits.connections,
      MHD_OPTION_CONNECTION_TIMEOUT, limits.request_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, limits.header_bytes,
      MHD_OPTION_NOTIFY_COMPLETED, &State::complete, state.get(), MHD_OPTION_NOTIFY_CONNECTION, &State::watch,
      state.get(), MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
  if (state->daemon == nullptr) return base::fail("cannot serve HTTP at the control socket: out of descriptors?");
  // It closes the socket itself when it stops.
  static_cast<void>(state->listener.release());
  return HttpServer(std::move(state));
}

HttpServer::HttpServer(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
HttpServer::HttpServer(HttpServer&&) noexcept = default;
HttpServer& HttpServer::operator=(HttpServer&&) noexcept = default;
HttpServer::~HttpServer() = default;

int HttpServer::descriptor() const noexcept {
  const auto* const info = MHD_get_daemon_info(state_->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  return info == nullptr ? -1 : info->epoll_fd;
}

int HttpServer::patience_ms(int most) const noexcept {
  MHD_UNSIGNED_LONG_LONG milliseconds = 0;
  if (MHD_get_timeout(state_->daemon, &milliseconds) != MHD_YES) return most;
  return static_cast<int>(std::min<std::uint64_t>(milliseconds, static_cast<std::uint64_t>(most)));
}

void HttpServer::serve() {
  state_->drop_the_slow();
  // Its daemon reads one buffer of each connection a run; a large body would come a buffer a turn of the caller.
  constexpr int kMostRuns = 16;
  MHD_UNSIGNED_LONG_LONG wait_ms = 0;
  for (int run = 0; run < kMostRuns; ++run) {
    MHD_run(state_->daemon);
    if (MHD_get_timeout(state_->daemon, &wait_ms) != MHD_YES || wait_ms > 0) break;
  }
}

std::size_t HttpServer::connection_count() const noexcept {
  return state_->connections.size();
}

}  // namespace ringplane::api
