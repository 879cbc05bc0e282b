// Any bytes at the API's socket, through the server and all that reads requests: what comes back is HTTP, and an error
// has a sentence. The first byte chooses: how the bytes are cut into packets, and whether a token is asked for.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/un.h>

#include "api/http_server.h"
#include "api/message.h"
#include "api/router.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "control/questions.h"

namespace {

using namespace ringplane;  // NOLINT(google-build-using-namespace): the whole file is one program

/// Of the abstract namespace: nothing is left behind.
sockaddr_un address_of(bool with_token) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "ringplane-fuzz-%d-%d", getpid(),
                with_token ? 1 : 0);
  return address;
}

void require(bool holds, const char* what, std::string_view answer) {
  if (holds) return;
  std::fprintf(stderr, "%s in '%.*s'\n", what, static_cast<int>(std::min<std::size_t>(answer.size(), 2'000)),
               answer.data());
  std::abort();
}

template <class Value>
api::Response answer_of(const base::Result<Value>& read) {
  if (!read) return api::error_response(read.error());
  return api::json_response(nlohmann::ordered_json{{"read", true}});
}

/// Routes of each kind, each with what reads its requests.
api::Router make_router() {
  api::Router router;
  router.get("/v1/flows", [](const api::Request& request) { return answer_of(control::page_of(request, "flows")); });
  router.get("/v1/trace",
             [](const api::Request& request) { return answer_of(control::tap_question(request, "trace")); });
  router.get("/v1/logs", [](const api::Request& request) { return answer_of(control::lines_question(request)); });
  router.ask("/v1/explain", [](const api::Request& request) { return answer_of(control::packet_in(request)); });
  router.post("/v1/tables/{table}/add",
              [](const api::Request& request) { return answer_of(control::table_wish_in(request)); });
  router.post("/v1/apply", [](const api::Request& request) { return answer_of(control::rule_wish_in(request)); });
  router.post("/v1/rollback",
              [](const api::Request& request) { return answer_of(control::version_to_go_back_to(request)); });
  router.get("/v1/history/{version}",
             [](const api::Request& request) { return answer_of(control::version_in_path(request)); });
  return router;
}

class Edge {
 public:
  explicit Edge(bool with_token) : address_(address_of(with_token)), server_(listen(with_token)) {}

  std::string answer_to(std::string_view bytes, std::size_t piece) {
    base::FileDescriptor client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    require(connect(client.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_) == 0, "no connection",
            "");
    std::string answer;
    bool open = true;
    const auto turn = [&] {
      server_.serve();
      char chunk[4096];
      ssize_t got = 0;
      while ((got = recv(client.get(), chunk, sizeof chunk, 0)) > 0)
        answer.append(chunk, static_cast<std::size_t>(got));
      open = got < 0;
    };
    while (open && !bytes.empty()) {
      const ssize_t sent = send(client.get(), bytes.data(), std::min(piece, bytes.size()), MSG_NOSIGNAL);
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      turn();
      if (sent < 0 && open && bytes.empty()) break;
    }
    shutdown(client.get(), SHUT_WR);
    // What is whole is answered. Half a request may wait for its time to be over: the end that came with its last bytes
    // is not always seen (libmicrohttpd's epoll is edge-triggered).
    constexpr int kTurnsToAnswer = 50;
    constexpr int kTurnsToForget = 1'000;
    for (int i = 0; open && i < kTurnsToAnswer; ++i) turn();
    client = {};
    for (int i = 0; server_.connection_count() > 0 && i < kTurnsToForget; ++i) server_.serve();
    require(server_.connection_count() == 0, "a client that has gone is still there", answer);
    return answer;
  }

 private:
  api::HttpServer listen(bool with_token) {
    base::FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    require(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_) == 0 &&
                ::listen(listener.get(), 16) == 0,
            "cannot listen", "");
    auto server = api::HttpServer::create(
        std::move(listener),
        {.token = with_token ? "0123456789abcdef" : "",
         .may_write = !with_token,
         .names = with_token ? std::vector<std::string>{"localhost"} : std::vector<std::string>{}},
        [router = make_router()](api::Request request) { return router.answer(std::move(request)); });
    require(server.has_value(), "cannot serve", "");
    return std::move(*server);
  }

  sockaddr_un address_;
  api::HttpServer server_;
};

void check(std::string_view answer) {
  if (answer.empty()) return;  // nothing that was a request
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  while (answer.starts_with(kContinue)) answer.remove_prefix(kContinue.size());
  if (answer.empty()) return;
  require(answer.starts_with("HTTP/1."), "no HTTP", answer);
  const std::size_t end = answer.find("\r\n\r\n");
  require(end != std::string_view::npos, "no end of the headers", answer);
  // Ours, not the library's own words about what is no HTTP.
  if (!answer.substr(0, end).contains("application/json")) return;
  const std::string_view body = answer.substr(end + 4);
  if (body.empty() || body.starts_with("HTTP/1.")) return;  // an answer to HEAD has none; another one may follow it
  const std::string_view line = body.substr(0, body.find('\n'));
  const auto said = nlohmann::json::parse(line, nullptr, false);
  require(said.is_object(), "no JSON", answer);
  const int status = std::atoi(std::string(answer.substr(9, 3)).c_str());
  require(said.contains("error") == (status >= 400), "an error without a sentence, or a sentence without an error",
          answer);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Edge with_token(true);
  static Edge without(false);
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = (data[0] & 0x7f) == 0 ? bytes.size() + 1 : std::size_t{data[0] & 0x7fU} * 8;
  check(((data[0] & 0x80) != 0 ? with_token : without).answer_to(bytes, piece));
  return 0;
}
