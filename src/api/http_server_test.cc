// The server against its own client, and against clients that misbehave, written by hand at the socket.
#include "api/http_server.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "api/http_client.h"
#include "api/message.h"
#include "api/router.h"
#include "api/stream.h"
#include "base/file_descriptor.h"

namespace ringplane::api {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class HttpServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("ringplane-api-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    path_ = folder_ / "s.sock";
    router_.get("/v1/echo/{what}", [](const Request& request) {
      return json_response({{"what", request.names.at("what")}, {"query", request.query}});
    });
    router_.post("/v1/size", [](const Request& request) { return json_response({{"bytes", request.body.size()}}); });
    router_.get("/v1/ticks", [this](const Request&) {
      Response response{
          .content_type = "application/x-ndjson", .body = "begin\n", .stream = std::make_shared<Stream>()};
      stream_ = response.stream;
      return response;
    });
    router_.get("/v1/last",
                [this](const Request&) { return Response{.body = "{}", .when_sent = [this] { sent_ = true; }}; });
  }
  void TearDown() override {
    thread_ = {};
    std::filesystem::remove_all(folder_);
  }

  /// Serves until the test is over; `each_turn` runs in the server's thread.
  void serve(HttpOptions options = {}, std::function<void()> each_turn = [] {}) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.string().copy(address.sun_path, sizeof address.sun_path - 1);
    base::FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener.get(), 512), 0);
    auto made = HttpServer::create(std::move(listener), std::move(options),
                                   [this](Request request) { return router_.answer(std::move(request)); });
    ASSERT_TRUE(made) << made.error().message;
    thread_ = std::jthread([this, server = std::move(*made), each_turn](const std::stop_token& stop) mutable {
      while (!stop.stop_requested()) {
        pollfd wait{.fd = server.descriptor(), .events = POLLIN, .revents = 0};
        poll(&wait, 1, server.patience_ms(10));
        server.serve();
        each_turn();
        connections_ = server.connection_count();
      }
    });
  }

  /// Before what the server's thread looks at goes.
  void stop() { thread_ = {}; }

  [[nodiscard]] base::FileDescriptor connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.string().copy(address.sun_path, sizeof address.sun_path - 1);
    base::FileDescriptor client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return client;
  }
  /// All that comes until the server closes.
  [[nodiscard]] static std::string rest_of(const base::FileDescriptor& client) {
    std::string all;
    char chunk[4096];
    for (ssize_t got = 0; (got = recv(client.get(), chunk, sizeof chunk, 0)) > 0;)
      all.append(chunk, static_cast<std::size_t>(got));
    return all;
  }
  [[nodiscard]] std::string answer_to(std::string_view bytes) const {
    const base::FileDescriptor client = connect();
    EXPECT_EQ(send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    shutdown(client.get(), SHUT_WR);
    return rest_of(client);
  }
  [[nodiscard]] HttpClient client() const { return HttpClient(path_); }

  std::filesystem::path folder_;
  std::filesystem::path path_;
  Router router_;
  std::shared_ptr<Stream> stream_;  // the server's thread's
  std::atomic<bool> sent_ = false;
  std::atomic<std::size_t> connections_ = 0;
  std::jthread thread_;
};

TEST_F(HttpServerTest, answers_by_method_and_path) {
  serve();
  const auto reply = client().get("/v1/echo/" + encoded("a b%") + "?x=1&y=" + encoded("ä&="));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->status, status::kOk);
  EXPECT_EQ(nlohmann::json::parse(reply->body),
            nlohmann::json({{"what", "a b%"}, {"query", {{"x", "1"}, {"y", "ä&="}}}}));
  EXPECT_EQ(client().get("/v1/nothing")->status, status::kNotFound);
  EXPECT_EQ(client().post("/v1/echo/x", "{}")->status, status::kMethodNotAllowed);
  EXPECT_EQ(client().get("/v1/echo/")->status, status::kNotFound);
  EXPECT_THAT(client().get("/v1/nothing")->body, HasSubstr("openapi.json"));
}

TEST_F(HttpServerTest, says_that_nobody_answers) {
  const auto reply = client().get("/v1/echo/x");
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().message, HasSubstr("no ringplane answers at " + path_.string()));
}

TEST_F(HttpServerTest, takes_large_bodies_up_to_the_limit) {
  serve({.limits = {.body_bytes = 1 << 20}});
  EXPECT_THAT(client().post("/v1/size", std::string(1 << 20, 'x'))->body, HasSubstr("1048576"));
  const auto larger = client().post("/v1/size", std::string((1 << 20) + 1, 'x'));
  ASSERT_TRUE(larger) << larger.error().message;
  EXPECT_EQ(larger->status, status::kTooLarge);
  // One who does not say beforehand how much comes is cut off.
  std::string chunked = "POST /v1/size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20; ++i) chunked += "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  const base::FileDescriptor other = connect();
  (void)send(other.get(), chunked.data(), chunked.size(), MSG_NOSIGNAL);
  EXPECT_THAT(rest_of(other), IsEmpty());
}

TEST_F(HttpServerTest, all_bodies_together_have_a_limit) {
  serve({.limits = {.body_bytes = 1 << 20, .bodies_bytes = (1 << 20) + 1000}});
  const std::string half =
      "POST /v1/size HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + std::string(1 << 19, 'x');
  const base::FileDescriptor slow = connect();
  ASSERT_EQ(send(slow.get(), half.data(), half.size(), MSG_NOSIGNAL), static_cast<ssize_t>(half.size()));
  int code = 0;
  for (int i = 0; i < 100 && code != status::kUnavailable; ++i) {
    code = client().post("/v1/size", std::string(1 << 20, 'x'))->status;
  }
  EXPECT_EQ(code, status::kUnavailable);
  EXPECT_EQ(client().post("/v1/size", "small")->status, status::kOk);
}

TEST_F(HttpServerTest, asks_for_the_token_before_it_reads_a_body) {
  std::atomic<int> refused = 0;
  serve({.token = "0123456789abcdef",
         .is_public = [](const Request& request) { return request.path == "/v1/echo/free"; },
         .on_refused = [&](const Request&, int) { ++refused; }});
  EXPECT_EQ(client().get("/v1/echo/free")->status, status::kOk);
  EXPECT_EQ(client().get("/v1/echo/x")->status, status::kUnauthorized);
  EXPECT_THAT(answer_to("GET /v1/echo/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer 0123456789abcdeX\r\n\r\n"),
              StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(answer_to("GET /v1/echo/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer_to("POST /v1/size HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"),
              StartsWith("HTTP/1.1 401"));
  EXPECT_EQ(refused, 3);
  stop();
}

TEST_F(HttpServerTest, whoever_brings_no_token_is_not_known_and_a_wrong_one_is_refused_everywhere) {
  router_.get("/public", [](const Request& request) { return json_response({{"known", request.is_known}}); });
  serve({.token = "0123456789abcdef", .is_public = [](const Request& request) { return request.path == "/public"; }});
  const auto get = [this](const std::string& header) {
    return answer_to("GET /public HTTP/1.1\r\nHost: x\r\n" + header + "\r\n");
  };
  EXPECT_THAT(get(""), HasSubstr(R"({"known":false})"));
  EXPECT_THAT(get("Authorization: Bearer 0123456789abcdef\r\n"), HasSubstr(R"({"known":true})"));
  EXPECT_THAT(get("Authorization: Bearer 0123456789abcdeX\r\n"), StartsWith("HTTP/1.1 401"));
}

TEST_F(HttpServerTest, a_page_from_elsewhere_is_refused) {
  serve({.names = {"localhost", "127.0.0.1"}});
  const auto status_with = [this](const std::string& headers) {
    return answer_to("GET /v1/echo/x HTTP/1.1\r\n" + headers + "\r\n").substr(0, 12);
  };
  EXPECT_EQ(status_with("Host: localhost:8080\r\n"), "HTTP/1.1 200");
  EXPECT_EQ(status_with("Host: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:8080\r\n"), "HTTP/1.1 200");
  EXPECT_THAT(answer_to("GET /v1/echo/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
              HasSubstr("Cross-Origin-Resource-Policy: same-origin\r\n"));
  EXPECT_EQ(status_with("Host: evil.example:8080\r\n"), "HTTP/1.1 421");
  EXPECT_EQ(status_with("Host: localhost:8080\r\nOrigin: http://evil.example\r\n"), "HTTP/1.1 403");
  EXPECT_EQ(status_with("Host: localhost:8080\r\nOrigin: null\r\n"), "HTTP/1.1 403");
}

TEST_F(HttpServerTest, tells_what_the_client_has_and_keeps_answers_out_of_caches) {
  router_.get("/file", [](const Request& request) {
    return Response{.status = request.if_none_match == "\"1\"" ? status::kNotModified : status::kOk,
                    .headers = {{"Cache-Control", "no-cache"}}};
  });
  serve();
  EXPECT_THAT(answer_to("GET /file HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"1\"\r\n\r\n"), StartsWith("HTTP/1.1 304"));
  EXPECT_THAT(answer_to("GET /file HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("Cache-Control: no-cache\r\n"));
  EXPECT_THAT(answer_to("GET /v1/echo/x HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("Cache-Control: no-store\r\n"));
}

TEST_F(HttpServerTest, a_way_in_for_reading_changes_nothing) {
  serve({.may_write = false});
  EXPECT_EQ(client().post("/v1/size", "{}")->status, status::kForbidden);
  EXPECT_EQ(client().get("/v1/echo/x")->status, status::kOk);
}

TEST_F(HttpServerTest, drops_who_is_slow_whatever_they_send) {
  serve({.limits = {.request_seconds = 1}});
  const base::FileDescriptor silent = connect();
  const base::FileDescriptor drip = connect();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {  // a byte every 50 ms: never silent, never done
    if (send(drip.get(), "G", 1, MSG_NOSIGNAL) != 1) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  EXPECT_THAT(rest_of(silent), IsEmpty());
  EXPECT_EQ(client().get("/v1/echo/x")->status, status::kOk);
}

TEST_F(HttpServerTest, a_crowd_of_half_open_clients_does_not_keep_others_out) {
  serve({.limits = {.connections = 64, .request_seconds = 1}});
  std::vector<base::FileDescriptor> crowd;
  for (int i = 0; i < 200; ++i) {
    crowd.push_back(connect());
    (void)send(crowd.back().get(), "GET /v1/ech", 11, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  const auto reply = client().get("/v1/echo/x");
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->status, status::kOk);
  EXPECT_LE(connections_, 64U);
}

TEST_F(HttpServerTest, nonsense_is_answered_or_dropped_and_nothing_else) {
  serve({.limits = {.request_seconds = 1}});
  for (const std::string_view bytes :
       {"\r\n\r\n", "GET\r\n\r\n", "GET /v1/echo/x\r\n\r\n", "GET /%00%ff%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02", "GET /v1/echo/x HTTP/9.9\r\nHost: x\r\n\r\n",
        "POST /v1/size HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/size HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /v1/size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    EXPECT_EQ(answer_to(bytes).find("200 OK"), std::string::npos) << bytes;
  }
  EXPECT_THAT(answer_to("GET /v1/echo/x HTTP/1.1\r\nHost: x\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n"),
              ::testing::AnyOf(IsEmpty(), StartsWith("HTTP/1.1 4")));
  EXPECT_EQ(client().get("/v1/echo/x")->status, status::kOk);
}

TEST_F(HttpServerTest, a_stream_goes_on_until_its_client_has_enough) {
  std::atomic<bool> abandoned = false;
  int written = 0;
  serve({}, [&] {
    if (!stream_) return;
    if (stream_->is_abandoned()) {
      abandoned = true;
      stream_.reset();
    } else {
      (void)stream_->write("tick " + std::to_string(written++) + "\n");
    }
  });
  std::string taken;
  const auto reply = client().follow("/v1/ticks", [&](std::string_view bytes) {
    taken += bytes;
    return taken.find("tick 5\n") == std::string::npos;
  });
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_THAT(taken, StartsWith("begin\ntick 0\ntick 1\n"));
  for (int i = 0; i < 500 && !abandoned; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(abandoned);
  stop();
}

TEST_F(HttpServerTest, a_stream_that_nobody_reads_refuses_and_does_not_grow) {
  std::atomic<bool> refused = false;
  serve({}, [&] {
    if (stream_ && !stream_->write(std::string(100'000, 'x'))) refused = true;
  });
  const base::FileDescriptor idle = connect();
  (void)send(idle.get(), "GET /v1/ticks HTTP/1.1\r\nHost: x\r\n\r\n", 36, MSG_NOSIGNAL);
  for (int i = 0; i < 1000 && !refused; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(refused);
  EXPECT_EQ(client().get("/v1/echo/x")->status, status::kOk);
  stop();
}

TEST_F(HttpServerTest, tells_when_an_answer_is_through) {
  serve();
  EXPECT_EQ(client().get("/v1/last")->status, status::kOk);
  for (int i = 0; i < 500 && !sent_; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(sent_);
}

TEST(RequestTest, numbers_and_bodies_are_checked) {
  Request request;
  request.query = {{"limit", "12"}, {"bad", "-1"}, {"empty", ""}};
  EXPECT_EQ(request.number_or("limit", 5, 100), 12U);
  EXPECT_EQ(request.number_or("other", 5, 100), 5U);
  EXPECT_FALSE(request.number_or("limit", 5, 11));
  EXPECT_FALSE(request.number_or("bad", 5, 100));
  EXPECT_FALSE(request.number_or("empty", 5, 100));
  EXPECT_TRUE(request.json());
  for (const char* body : {"[]", "{", "1e999", "{\"a\": 1e999}"}) {
    request.body = body;
    EXPECT_FALSE(request.json()) << body;
  }
}

}  // namespace
}  // namespace ringplane::api
