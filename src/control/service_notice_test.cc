#include "control/service_notice.h"

#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/file_descriptor.h"

namespace ringplane::control {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

/// Listens where systemd would.
class Manager {
 public:
  explicit Manager(std::string path) : path_(std::move(path)), socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    if (path_[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), length), 0) << path_;
  }
  ~Manager() { unlink(path_.c_str()); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  /// The next message; "" if there is none.
  std::string heard() {
    std::array<char, 512> text{};
    const ssize_t length = recv(socket_.get(), text.data(), text.size(), 0);
    return length <= 0 ? "" : std::string(text.data(), static_cast<std::size_t>(length));
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  base::FileDescriptor socket_;
};

class ServiceNoticeTest : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
  }
  static std::string name() { return "ringplane-notify-" + std::to_string(getpid()); }
};

TEST_F(ServiceNoticeTest, IsToldEachStateInADatagramOfItsOwn) {
  for (const std::string& path : {::testing::TempDir() + "/" + name(), "@" + name()}) {
    Manager manager(path);
    setenv("NOTIFY_SOCKET", manager.path().c_str(), 1);
    ServiceNotice told = ServiceNotice::from_environment();
    EXPECT_EQ(manager.heard(), "");
    told.ready("12 rules");
    EXPECT_EQ(manager.heard(), "READY=1\nSTATUS=12 rules");
    told.reloading();
    EXPECT_TRUE(manager.heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    told.stopping();
    EXPECT_EQ(manager.heard(), "STOPPING=1");
    told.alive(kSecondNs);
    EXPECT_EQ(manager.heard(), "") << "there is no watchdog";
  }
}

TEST_F(ServiceNoticeTest, HearsOfUsTwiceInAWatchdogsTime) {
  Manager manager("@" + name());
  setenv("NOTIFY_SOCKET", manager.path().c_str(), 1);
  setenv("WATCHDOG_USEC", "10000000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  ServiceNotice told = ServiceNotice::from_environment();
  int heard = 0;
  for (std::uint64_t now = 100 * kSecondNs; now < 140 * kSecondNs; now += kSecondNs / 20) {
    told.alive(now);
    if (manager.heard() == "WATCHDOG=1") ++heard;
  }
  EXPECT_EQ(heard, 8);
}

TEST_F(ServiceNoticeTest, AnothersWatchdogIsNotOurs) {
  Manager manager("@" + name());
  setenv("NOTIFY_SOCKET", manager.path().c_str(), 1);
  setenv("WATCHDOG_USEC", "10000000", 1);
  setenv("WATCHDOG_PID", "1", 1);
  ServiceNotice::from_environment().alive(kSecondNs * 100);
  EXPECT_EQ(manager.heard(), "");
}

TEST_F(ServiceNoticeTest, NobodyToTellIsNoError) {
  ServiceNotice::from_environment().ready("fine");
  for (const char* path : {"", "/nowhere/notify", "relative", "@", "vsock:2:1234"}) {
    setenv("NOTIFY_SOCKET", path, 1);
    ServiceNotice::from_environment().ready("fine");
  }
  setenv("NOTIFY_SOCKET", ("/" + std::string(200, 'x')).c_str(), 1);
  ServiceNotice::from_environment().ready("fine");
}

}  // namespace
}  // namespace ringplane::control
