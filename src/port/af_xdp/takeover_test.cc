// A port opened by one process and driven by others: one dies in the middle of it, the next goes on with every frame.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/memory_file.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/af_xdp/af_xdp_port.h"
#include "port/af_xdp/umem.h"
#include "port/af_xdp/veth_peer.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

constexpr std::uint32_t kFrames = 1024;

frame::Arena map_arena(int file) {
  return frame::Arena::create({.frame_count = kFrames, .huge_pages = false, .memory_file = file}).value();
}

/// What the process that drives the port has.
struct Driver {
  Driver(const base::Holdings& holdings, const AfXdpFacts& facts, int arena_file) : arena(map_arena(arena_file)) {
    port = AfXdpPort::adopt(umem, {}, facts, holdings, "rp0/").value();
    EXPECT_TRUE(port->take_over());
    pool.emplace(arena, 0, kFrames);
    pool->leave_out([&](std::uint64_t address) { return port->holds(address); });
    free_at_start = pool->free_count();
    queue = port->open_queue(0, *pool).value();
  }
  /// Sends back what comes in.
  void turn(int wait_ms) {
    pollfd waiting{.fd = queue->poll_descriptor(), .events = POLLIN, .revents = 0};
    (void)poll(&waiting, 1, wait_ms);
    frame::Burst burst;
    (void)queue->receive(burst);
    const std::uint32_t sent = queue->transmit(burst.frames());
    for (const frame::Frame& frame : burst.frames().subspan(sent)) pool->give(frame.address);
    queue->flush();
  }

  frame::Arena arena;
  Umem umem{arena};
  std::unique_ptr<AfXdpPort> port;
  std::optional<frame::FramePool> pool;
  std::uint32_t free_at_start = 0;
  std::unique_ptr<Queue> queue;
};

class Takeover : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "!!! TAKING PORTS OVER IS NOT TESTED: run the tests as root";
    const base::FileDescriptor probe(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!probe.valid()) GTEST_SKIP() << "!!! TAKING PORTS OVER IS NOT TESTED: this kernel has no AF_XDP";
    before_ = current_namespace();
    wall_ = make_namespace();
    ASSERT_EQ(setns(wall_.get(), CLONE_NEWNET), 0);
    peer_.space = make_namespace();
    ASSERT_TRUE(run("ip link add rp0 type veth peer name peer netns " + fd_path(peer_.space.get()) +
                    " && ip link set rp0 addrgenmode none && ip link set rp0 up"));
    {
      const Inside inside(peer_.space);
      ASSERT_TRUE(run("ip link set peer addrgenmode none && ip link set peer up"));
    }
    peer_.open_raw();
    open_port();
  }
  void open_port() {
    owner_.reset();
    holdings_ = {};
    arena_file_ = base::make_memory_file(std::uint64_t{kFrames} * 2048, false, "the test", "").value();
    umem_.reset();
    arena_.emplace(map_arena(arena_file_.get()));
    umem_.emplace(*arena_);
    auto port = AfXdpPort::create(*umem_, {.interface = "rp0"});
    ASSERT_TRUE(port) << port.error().message;
    owner_ = std::move(*port);
    for (auto done : {owner_->bind_sockets(), owner_->share(holdings_, "rp0/")})
      ASSERT_TRUE(done) << done.error().message;
  }
  void TearDown() override {
    if (before_.valid()) {
      ASSERT_EQ(setns(before_.get(), CLONE_NEWNET), 0);
    }
  }
  pid_t start_driver() {
    const pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Driver driver(holdings_, owner_->facts(), arena_file_.get());
    for (;;) driver.turn(100);
  }
  /// Packets [first, first + count) go to the port one after the other; returns which came back.
  std::set<std::int64_t> send(std::uint32_t first, std::uint32_t count) {
    std::set<std::int64_t> came;
    for (std::uint32_t i = 0; i < count; ++i) {
      peer_.send(first + i);
      for (std::int64_t number = peer_.receive(0); number >= 0; number = peer_.receive(0)) came.insert(number);
    }
    return came;
  }

  base::FileDescriptor before_, wall_;
  Peer peer_;
  base::FileDescriptor arena_file_;
  std::optional<frame::Arena> arena_;
  std::optional<Umem> umem_;
  std::unique_ptr<AfXdpPort> owner_;
  base::Holdings holdings_;
};

TEST_F(Takeover, AProcessThatIsKilledLosesNoFrame) {
  for (int round = 0; round < 12 && !HasFailure(); ++round) {
    if (round > 0) open_port();
    const pid_t child = start_driver();
    ASSERT_GT(child, 0);
    // In the midst of a flood.
    std::size_t came = 0;
    for (int part = 0; came == 0 && part < 200; ++part) came += send(1, 100).size();
    EXPECT_GT(came, 0U) << "the first driver does not drive";
    came += send(1, 50 + 211U * static_cast<std::uint32_t>(round)).size();
    kill(child, SIGKILL);
    send(1, 100);  // some of these wait in the receive ring
    waitpid(child, nullptr, 0);

    Driver heir(holdings_, owner_->facts(), arena_file_.get());
    EXPECT_GT(heir.free_at_start, 0U);
    EXPECT_LT(heir.free_at_start, kFrames);
    while (peer_.receive(0) >= 0) {
    }
    for (int turn = 0; turn < 20; ++turn) heir.turn(5);
    std::set<std::int64_t> left;
    for (std::int64_t number = peer_.receive(0); number >= 0; number = peer_.receive(0)) left.insert(number);
    EXPECT_FALSE(left.empty()) << "what waited in the ring was lost, round " << round;
    // Each of many more packets comes back, so no frame is in two places.
    for (std::uint32_t number = 1000; number < 1000 + 2 * kFrames; ++number) {
      peer_.send(number);
      std::int64_t back = -1;
      for (int turn = 0; turn < 100 && back < 0; ++turn) {
        heir.turn(10);
        back = peer_.receive(0);
      }
      ASSERT_EQ(back, number) << "round " << round;
    }
    for (int turn = 0; turn < 20; ++turn) heir.turn(5);  // completions
    heir.queue->close();
    EXPECT_EQ(heir.pool->free_count(), kFrames) << "round " << round;
  }
}

TEST_F(Takeover, CountersGoOn) {
  const pid_t child = start_driver();
  ASSERT_GT(child, 0);
  std::set<std::int64_t> came;
  for (int part = 0; came.empty() && part < 200; ++part) came = send(1, 100);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const Driver heir(holdings_, owner_->facts(), arena_file_.get());
  EXPECT_GE(heir.queue->counters().rx_packets.get(), came.size());
  heir.queue->close();
}

TEST_F(Takeover, WhileNobodyDrivesTheSocketsPacketsGoWhereTheyAreTold) {
  Peer other{.space = make_namespace(), .raw = {}};
  ASSERT_TRUE(run("ip link add rp1 type veth peer name peer netns " + fd_path(other.space.get()) +
                  " && ip link set rp1 up && ethtool -K rp1 gro on"));
  {
    const Inside inside(other.space);
    // A veth passes frames on from XDP only where GRO or a program of its own makes it poll.
    ASSERT_TRUE(run("ip link set peer up; ethtool -K peer gro on"));
  }
  other.open_raw();
  ASSERT_TRUE(owner_->set_bypass(Bypass::kDrop, 0));
  peer_.send(1);
  EXPECT_EQ(other.receive(100), -1);
  ASSERT_TRUE(owner_->set_bypass(Bypass::kPeer, if_nametoindex("rp1")));
  peer_.send(2);
  EXPECT_EQ(other.receive(), 2);
  ASSERT_TRUE(owner_->set_bypass(Bypass::kNone, 0));
  peer_.send(3);
  EXPECT_EQ(other.receive(100), -1);
}

}  // namespace
}  // namespace ringplane::port
