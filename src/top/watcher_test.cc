// Asking a daemon: one that answers, one that answers nonsense, one that says no, and one that does not answer at all.
#include "top/watcher.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "api/http_client.h"
#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "top/sample.h"

namespace ringplane::top {
namespace {

/// Answers each request by what `answer(path)` says: the body of a 200, or "" for no answer as long as it lives.
class Daemon {
 public:
  explicit Daemon(std::function<std::string(const std::string&)> answer) : answer_(std::move(answer)) {
    std::array<char, 64> folder{"/tmp/ringplane-top-XXXXXX"};
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder.data();
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    listener_ = base::FileDescriptor(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_.get(), 16), 0);
    thread_ = std::thread([this] { serve(); });
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon() {
    stopping_ = true;
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    unlink(path().c_str());
    rmdir(folder_.c_str());
  }

  [[nodiscard]] std::string path() const { return folder_ + "/socket"; }
  /// Paths that were asked for, with their queries.
  [[nodiscard]] std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  void serve() {
    std::vector<base::FileDescriptor> unanswered;
    while (!stopping_) {
      base::FileDescriptor client(accept(listener_.get(), nullptr, nullptr));
      if (!client.valid()) return;
      std::string request(4096, '\0');
      request.resize(
          static_cast<std::size_t>(std::max<ssize_t>(read(client.get(), request.data(), request.size()), 0)));
      const std::string path = request.substr(4, request.find(' ', 4) - 4);
      {
        const std::lock_guard lock(mutex_);
        asked_.push_back(path);
      }
      const std::string body = answer_(path.substr(0, path.find('?')));
      if (body.empty()) {
        unanswered.push_back(std::move(client));
        continue;
      }
      const std::string reply = "HTTP/1.1 " + std::string(body.starts_with("{\"error") ? "503 No" : "200 OK") +
                                "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                                body;
      EXPECT_EQ(write(client.get(), reply.data(), reply.size()), static_cast<ssize_t>(reply.size()));
    }
  }

  std::function<std::string(const std::string&)> answer_;
  std::string folder_;
  base::FileDescriptor listener_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::vector<std::string> asked_;
  std::thread thread_;
};

std::string well(const std::string& path) {
  static const std::map<std::string, std::string> answers = {
      {"/v1/flows",
       R"({"total": 9, "flows": [{"proto": "udp", "packets_out": 2, "packets_back": 3, "bytes_out": 10, "bytes_per_s": 5}]})"},
      {"/v1/rules", R"({"total": 1, "rules": [{"rule": 7, "text": "pass", "packets": 4}]})"},
      {"/v1/ports", R"([{"port": "lan", "rx_packets": 18446744073709551615, "tx_ring_full": 1, "rx_too_long": 2}])"},
      {"/v1/drops", R"([{"reason": "rule_block", "packets": 1}])"},
      {"/v1/workers", R"([{"worker": 0, "busy_ns": 77}])"},
      {"/v1/status", R"({"version": "1.2", "uptime_s": 3, "rules": 1, "generation": 2})"}};
  return answers.at(path);
}

/// Waits for news for two seconds at most.
std::vector<base::Result<Sample>> next_of(Watcher& watcher) {
  pollfd wait{.fd = watcher.descriptor(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&wait, 1, 2'000), 1) << "no news";
  return watcher.news();
}

TEST(Ask, ReadsWhatTheDaemonSays) {
  Daemon daemon(well);
  const auto sample = ask(api::HttpClient(daemon.path()), {.flows = {.sort = "rate", .search = "a b"}}, false);
  ASSERT_TRUE(sample) << sample.error().message;
  EXPECT_EQ(sample->version, "1.2");
  EXPECT_EQ(sample->flows.total, 9U);
  EXPECT_EQ(sample->flows.list.at(0).packets, 5U);
  EXPECT_EQ(sample->flows.list.at(0).rate->bytes, 5);
  EXPECT_FALSE(sample->rules.list.at(0).rate);
  EXPECT_EQ(sample->ports.list.at(0).rx_packets, UINT64_MAX);
  EXPECT_EQ(sample->ports.list.at(0).lost, 3U);
  EXPECT_EQ(sample->workers.list.at(0).busy_ns, 77U);
  EXPECT_EQ(daemon.asked().at(0), "/v1/flows?limit=200&sort=rate&search=a%20b");
}

TEST(Ask, NonsenseIsNothingOrASentence) {
  for (const char* const nonsense : {"[1, \"x\", null, []]", "{\"total\": -1, \"flows\": 3, \"rules\": {}}",
                                     R"([{"port": 5, "rx_packets": "many", "link": null, "reason": []}])"}) {
    Daemon daemon([&](const std::string&) { return nonsense; });
    const auto sample = ask(api::HttpClient(daemon.path()), {}, false);
    ASSERT_TRUE(sample) << sample.error().message;
    EXPECT_EQ(sample->version, "");
    for (const Port& port : sample->ports.list) EXPECT_EQ(port.rx_packets, 0U);
  }
  Daemon daemon([](const std::string&) { return "<html>"; });
  const auto sample = ask(api::HttpClient(daemon.path()), {}, false);
  ASSERT_FALSE(sample);
  EXPECT_NE(sample.error().message.find("as new as this program"), std::string::npos) << sample.error().message;
}

TEST(Ask, WhatTheDaemonRefusesIsItsOwnSentence) {
  Daemon daemon([](const std::string&) { return R"({"error": "no data process lives"})"; });
  const auto sample = ask(api::HttpClient(daemon.path()), {}, false);
  ASSERT_FALSE(sample);
  EXPECT_EQ(sample.error().message, "no data process lives");
  EXPECT_EQ(daemon.asked().size(), 1U) << "nothing more is asked";
}

TEST(Watcher, BringsSamplesAndAtOnceOtherLists) {
  Daemon daemon(well);
  Watcher watcher(api::HttpClient(daemon.path()), {}, {.interval_s = 30}, 0);
  auto news = next_of(watcher);
  ASSERT_EQ(news.size(), 1U);
  ASSERT_TRUE(news[0]);
  EXPECT_NE(news[0]->ports.at_ns, 0U);
  watcher.want({.flows = {.sort = "bytes", .search = ""}}, {.interval_s = 30});
  news = next_of(watcher);
  ASSERT_EQ(news.size(), 1U);
  ASSERT_TRUE(news[0]);
  EXPECT_EQ(news[0]->ports.at_ns, 0U) << "the rest is not due";
  EXPECT_EQ(news[0]->flows.list.size(), 1U);
  EXPECT_EQ(daemon.asked().at(6), "/v1/flows?limit=200&sort=bytes&search=");
  watcher.want({.flows = {.sort = "bytes", .search = ""}}, {.interval_s = 0.2});
  EXPECT_NE(next_of(watcher).at(0)->ports.at_ns, 0U) << "a shorter interval begins now";
}

TEST(Watcher, TellsThatNobodyAnswersAndGoesOn) {
  std::atomic<bool> is_well{false};
  Daemon daemon([&](const std::string& path) { return is_well ? well(path) : R"({"error": "not now"})"; });
  Watcher watcher(api::HttpClient(daemon.path()), {}, {.interval_s = 0.2}, 0);
  const auto news = next_of(watcher);
  ASSERT_FALSE(news.at(0));
  EXPECT_EQ(news[0].error().message, "not now");
  is_well = true;
  bool has_come = false;
  for (int i = 0; i < 5 && !has_come; ++i) has_come = next_of(watcher).back().has_value();
  EXPECT_TRUE(has_come);
}

TEST(Watcher, EndsSoonThoughTheDaemonDoesNotAnswer) {
  Daemon daemon([](const std::string&) { return ""; });
  const std::uint64_t begin_ns = base::monotonic_ns();
  {
    Watcher watcher(api::HttpClient(daemon.path()), {}, {.interval_s = 1}, 0);
    while (daemon.asked().empty()) std::this_thread::yield();
  }
  EXPECT_LT(base::monotonic_ns() - begin_ns, 4 * base::kNanosPerSecond);
}

}  // namespace
}  // namespace ringplane::top
