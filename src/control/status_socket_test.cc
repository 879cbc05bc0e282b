#include "control/status_socket.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stop_token>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file_descriptor.h"

namespace ringplane::control {
namespace {

class StatusSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("ringplane-test-" + std::to_string(getpid()));
    path_ = (folder_ / "inner" / "s.sock").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Serves until the test is over.
  void serve(StatusSocket& socket) {
    server_ = std::jthread([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        pollfd wait{.fd = socket.descriptor(), .events = POLLIN, .revents = 0};
        if (poll(&wait, 1, 10) == 1)
          socket.serve([](const std::string& request) { return "answer to " + request + "\n"; });
      }
    });
  }
  [[nodiscard]] base::FileDescriptor connect_raw() const {
    base::FileDescriptor client(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return client;
  }

  std::filesystem::path folder_;
  std::string path_;
  std::jthread server_;
};

TEST_F(StatusSocketTest, AnswersAQuestionAndRemovesItselfAtTheEnd) {
  {
    auto socket = StatusSocket::listen(path_);
    ASSERT_TRUE(socket) << socket.error().message;
    struct stat status{};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0660U);
    serve(*socket);
    const auto reply = ask(path_, "show rules");
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(*reply, "answer to show rules\n");
    server_ = {};
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(StatusSocketTest, SaysThatNobodyAnswers) {
  const auto reply = ask(path_, "show rules");
  ASSERT_FALSE(reply);
  EXPECT_NE(reply.error().message.find("start one with 'ringplane run'"), std::string::npos);
}

TEST_F(StatusSocketTest, RefusesASecondDaemonButReplacesADeadOne) {
  auto first = StatusSocket::listen(path_);
  ASSERT_TRUE(first);
  const auto second = StatusSocket::listen(path_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another ringplane answers"), std::string::npos);
  // What a killed daemon leaves: a socket file that nobody listens on.
  const std::string dead_path = path_ + ".dead";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, dead_path.c_str(), sizeof address.sun_path - 1);
  {
    const base::FileDescriptor dead(socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(dead_path));
  EXPECT_TRUE(StatusSocket::listen(dead_path));
}

TEST_F(StatusSocketTest, DropsSlowAndSenselessClientsAndGoesOn) {
  auto socket = StatusSocket::listen(path_);
  ASSERT_TRUE(socket);
  serve(*socket);
  const base::FileDescriptor silent = connect_raw();
  const base::FileDescriptor endless = connect_raw();
  const std::string flood(100'000, 'x');
  static_cast<void>(send(endless.get(), flood.data(), flood.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  const auto reply = ask(path_, "show ports");
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(*reply, "answer to show ports\n");
  server_ = {};
}

TEST_F(StatusSocketTest, APathThatIsTooLongOrNoSocketIsRefused) {
  EXPECT_FALSE(StatusSocket::listen(std::string(200, 'x')));
  std::filesystem::create_directories(folder_);
  const std::string file = (folder_ / "file").string();
  std::fclose(std::fopen(file.c_str(), "w"));
  const auto refused = StatusSocket::listen(file);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is no socket"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(file)) << "what is not ours is not removed";
}

}  // namespace
}  // namespace ringplane::control
