// AF_XDP against the kernel: veth pairs between namespaces that exist only as descriptors of this process, so that they
// vanish with it however it ends. Needs root; skipped, loudly, without.
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/ids.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/af_xdp/af_xdp_port.h"
#include "port/af_xdp/kernel_services.h"
#include "port/af_xdp/redirect_program.h"
#include "port/af_xdp/umem.h"
#include "port/af_xdp/veth_peer.h"
#include "port/port.h"
#include "wire/ip_address.h"

namespace ringplane::port {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::uint32_t kFramesPerPool = 2048;
constexpr std::uint64_t kPatienceNs = 3 * base::kNanosPerSecond;
class AfXdpTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "!!! AF_XDP IS NOT TESTED: run the tests as root";
    const base::FileDescriptor probe(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!probe.valid()) GTEST_SKIP() << "!!! AF_XDP IS NOT TESTED: this kernel has none: " << std::strerror(errno);
    before_ = current_namespace();
    wall_ = make_namespace();
    ASSERT_EQ(setns(wall_.get(), CLONE_NEWNET), 0);
  }
  void TearDown() override {
    for (std::unique_ptr<Queue>& queue : queues_) close(*queue);
    queues_.clear();
    EXPECT_EQ(pool_.free_count(), kFramesPerPool) << "a frame was lost";
    EXPECT_EQ(other_pool_.free_count(), kFramesPerPool) << "a frame was lost";
    if (before_.valid()) {
      ASSERT_EQ(setns(before_.get(), CLONE_NEWNET), 0);
    }
  }

  /// Interface `name` in the namespace of the test, up, joined to a peer.
  static Peer connect(const std::string& name, unsigned queues = 1) {
    Peer peer{.space = make_namespace(), .raw = {}};
    const std::string channels = " numrxqueues " + std::to_string(queues) + " numtxqueues " + std::to_string(queues);
    EXPECT_TRUE(run("ip link add " + name + channels + " type veth peer name peer" + channels + " netns " +
                    fd_path(peer.space.get())));
    EXPECT_TRUE(run("ip link set " + name + " addrgenmode none && ethtool -K " + name + " tx off tso off gso off; " +
                    "ip link set " + name + " up"));
    {
      const Inside inside(peer.space);
      EXPECT_TRUE(
          run("ip link set peer addrgenmode none && ethtool -K peer tx off tso off gso off; "
              "ip link set peer up"));
    }
    peer.open_raw();
    return peer;
  }
  /// The port lives until the end of the test, longer than its queues, or until destroy().
  AfXdpPort* open(const AfXdpOptions& options) {
    base::Result<std::unique_ptr<AfXdpPort>> port = AfXdpPort::create(umem_, options);
    if (!port) ADD_FAILURE() << port.error().message;
    if (!port) return nullptr;
    ports_.push_back(*std::move(port));
    return ports_.back().get();
  }
  /// Its queues are closed.
  void destroy(AfXdpPort* port) {
    std::erase_if(ports_, [port](const auto& each) { return each.get() == port; });
  }
  /// Opened queues are closed at the end of the test.
  Queue& open_queue(Port& port, std::uint32_t index, frame::FramePool& pool) {
    base::Result<std::unique_ptr<Queue>> queue = port.open_queue(index, pool);
    if (!queue) ADD_FAILURE() << queue.error().message;
    queues_.push_back(std::move(queue).value());
    return *queues_.back();
  }
  void close(Queue& queue) {
    queue.close();
    give_foreign(queue);
  }
  void give_foreign(Queue& queue) {
    for (const std::uint64_t address : queue.foreign_frames()) give(address);
    queue.clear_foreign_frames();
  }
  void give(std::uint64_t address) { (pool_.owns(address) ? pool_ : other_pool_).give(address); }

  /// Receives until `wanted` test packets or until patience ends; gives every other packet back.
  std::vector<frame::Frame> receive(Queue& queue, std::size_t wanted, std::uint64_t patience_ns = kPatienceNs) {
    std::vector<frame::Frame> received;
    const std::uint64_t end_ns = base::monotonic_ns() + patience_ns;
    while (received.size() < wanted && base::monotonic_ns() < end_ns) {
      frame::Burst burst;
      if (queue.receive(burst) == 0) {
        pollfd waiting{.fd = queue.poll_descriptor(), .events = POLLIN, .revents = 0};
        (void)poll(&waiting, 1, 20);
      }
      for (const frame::Frame& frame : burst.frames()) {
        const std::span<const std::uint8_t> bytes = arena_.data(frame);
        if (bytes.size() >= 18 && bytes[12] == (kTestEtherType >> 8) && bytes[13] == (kTestEtherType & 0xff)) {
          received.push_back(frame);
        } else {
          // Not counted: the peer's own reports to IPv6 routers (MLD, router solicitation: 33:33:00:00:00:..).
          if (bytes[0] != 0x33 || bytes[4] != 0) ++others_;
          give(frame.address);
        }
      }
      queue.flush();
    }
    return received;
  }
  frame::Frame make_frame(frame::FramePool& pool, std::uint32_t number, std::uint32_t length = 60) {
    const frame::Frame frame{.address = pool.take(), .length = length, .port = {}, .marks = 0, .reserved = {}};
    const std::vector<std::uint8_t> bytes = Peer::packet(number, length);
    std::memcpy(arena_.data(frame).data(), bytes.data(), bytes.size());
    return frame;
  }
  /// The kernel tells of a change of carrier a moment later.
  static LinkState settled_link_state(Port& port, LinkState expected) {
    for (int wait = 0; wait < 200 && port.link_state() != expected; ++wait) usleep(10'000);
    return port.link_state();
  }
  static std::uint32_t attached_program(const std::string& name) {
    std::uint32_t id = 0;
    EXPECT_EQ(bpf_xdp_query_id(static_cast<int>(if_nametoindex(name.c_str())), 0, &id), 0);
    return id;
  }

  frame::Arena arena_ = frame::Arena::create({.frame_count = 2 * kFramesPerPool, .huge_pages = false}).value();
  frame::FramePool pool_{arena_, 0, kFramesPerPool};
  frame::FramePool other_pool_{arena_, kFramesPerPool, kFramesPerPool};
  Umem umem_{arena_};
  base::FileDescriptor before_, wall_;
  std::vector<std::unique_ptr<AfXdpPort>> ports_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::uint64_t others_ = 0;
};

struct ModeCase {
  XdpMode mode;
  const char* description;
};

class AfXdpModeTest : public AfXdpTest, public testing::WithParamInterface<ModeCase> {};

TEST_P(AfXdpModeTest, ReceivesAndTransmitsAndSaysWhatItGot) {
  const Peer peer = connect("rp0");
  auto* const port = open({.id = {3}, .interface = "rp0", .mode = GetParam().mode});
  ASSERT_NE(port, nullptr);
  Queue& queue = open_queue(*port, 0, pool_);
  EXPECT_EQ(port->description(), GetParam().description);
  EXPECT_EQ(port->link_state(), LinkState::kUp);

  for (std::uint32_t i = 0; i < 100; ++i) peer.send(i, 60 + i * 14);
  const std::vector<frame::Frame> received = receive(queue, 100);
  ASSERT_EQ(received.size(), 100U);
  for (std::uint32_t i = 0; i < received.size(); ++i) {
    EXPECT_EQ(received[i].length, 60 + i * 14);
    EXPECT_EQ(received[i].port, base::PortId{3});
    EXPECT_EQ(received[i].address - arena_.buffer_start(received[i].address), frame::kHeadroomBytes);
    EXPECT_EQ(Peer::number_in(arena_.data(received[i])), i);
  }
  ASSERT_EQ(queue.transmit(received), 100U);
  queue.flush();
  for (std::uint32_t i = 0; i < 100; ++i) ASSERT_EQ(peer.receive(), i);
  EXPECT_EQ(queue.counters().rx_packets.get(), 100U);
  EXPECT_EQ(queue.counters().tx_packets.get(), 100U);
}

INSTANTIATE_TEST_SUITE_P(
    Modes, AfXdpModeTest,
    testing::Values(ModeCase{XdpMode::kNative, "af_xdp rp0 native copy, 1 queue (zero-copy: Operation not supported)"},
                    ModeCase{XdpMode::kGeneric, "af_xdp rp0 generic copy, 1 queue"}),
    [](const auto& mode) { return mode.param.mode == XdpMode::kNative ? "Native" : "Generic"; });

TEST_F(AfXdpTest, AWholeRingLeavesInOneFlushThoughTheKernelTakes32AtATime) {
  const Peer peer = connect("rp0");
  auto* const port = open({.interface = "rp0", .slots = {.rx = 512, .tx = 1024, .fill = 512, .completion = 1024}});
  ASSERT_NE(port, nullptr);
  Queue& queue = open_queue(*port, 0, pool_);
  std::vector<frame::Frame> frames;
  for (std::uint32_t i = 0; i < 1030; ++i) frames.push_back(make_frame(pool_, i));
  EXPECT_EQ(queue.transmit(frames), 1024U);
  EXPECT_EQ(queue.counters().tx_ring_full.get(), 6U);
  for (std::uint32_t i = 1024; i < 1030; ++i) pool_.give(frames[i].address);
  queue.flush();
  for (std::uint32_t i = 0; i < 1024; ++i) ASSERT_EQ(peer.receive(), i);
  EXPECT_EQ(peer.receive(0), -1);
}

TEST_F(AfXdpTest, TrafficGoesRoundTheRingsManyTimesAndNoFrameIsLost) {
  const Peer peer = connect("rp0");
  auto* const port = open({.interface = "rp0", .slots = {.rx = 64, .tx = 64, .fill = 64, .completion = 64}});
  ASSERT_NE(port, nullptr);
  Queue& queue = open_queue(*port, 0, pool_);
  for (std::uint32_t round = 0; round < 200; ++round) {
    for (std::uint32_t i = 0; i < 32; ++i) peer.send(round * 32 + i);
    const std::vector<frame::Frame> received = receive(queue, 32);
    ASSERT_EQ(received.size(), 32U) << "round " << round;
    ASSERT_EQ(queue.transmit(received), 32U) << "round " << round;
    queue.flush();
    for (std::uint32_t i = 0; i < 32; ++i) ASSERT_EQ(peer.receive(), round * 32 + i);
  }
}

TEST_F(AfXdpTest, AFrameShorterThanAnEthernetHeaderOrBeyondItsBufferIsNotTaken) {
  const Peer peer = connect("rp0");
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  Queue& queue = open_queue(*port, 0, pool_);
  frame::Frame frame = make_frame(pool_, 1);
  for (const std::uint32_t length : {0U, 13U, 1793U}) {
    frame.length = length;
    EXPECT_EQ(queue.transmit({&frame, 1}), 0U) << length;
  }
  pool_.give(frame.address);
}

TEST_F(AfXdpTest, EveryQueueReceivesItsShareOfManyFlows) {
  const Peer peer = connect("rp0", 2);
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  ASSERT_EQ(port->queue_count(), 2U);
  std::array<Queue*, 2> queues{&open_queue(*port, 0, pool_), &open_queue(*port, 1, other_pool_)};
  EXPECT_THAT(port->description(), HasSubstr("2 queues"));
  {
    const Inside inside(peer.space);
    ASSERT_TRUE(run("ip addr add 10.9.0.2/24 dev peer && ip neigh add 10.9.0.1 lladdr 02:00:00:00:00:01 dev peer"));
    for (int flow = 0; flow < 64; ++flow) {
      const base::FileDescriptor udp(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(9);
      to.sin_addr.s_addr = inet_addr("10.9.0.1");
      ASSERT_EQ(sendto(udp.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to), 1);
    }
  }
  for (Queue* queue : queues) (void)receive(*queue, 1, base::kNanosPerSecond / 5);
  EXPECT_GT(queues[0]->counters().rx_packets.get(), 5U);
  EXPECT_GT(queues[1]->counters().rx_packets.get(), 5U);
  EXPECT_EQ(queues[0]->counters().rx_packets.get() + queues[1]->counters().rx_packets.get(), 64U);
}

TEST_F(AfXdpTest, AFrameIsForwardedBetweenTwoPortsInTheBufferItArrivedIn) {
  const Peer left = connect("rp0");
  const Peer right = connect("rp1");
  auto* const port0 = open({.id = {0}, .interface = "rp0"});
  auto* const port1 = open({.id = {1}, .interface = "rp1"});
  ASSERT_TRUE(port0 && port1);
  Queue& queue0 = open_queue(*port0, 0, pool_);
  Queue& queue1 = open_queue(*port1, 0, other_pool_);
  left.send(42);
  const std::vector<frame::Frame> received = receive(queue0, 1);
  ASSERT_EQ(received.size(), 1U);
  ASSERT_EQ(queue1.transmit(received), 1U);
  queue1.flush();
  EXPECT_EQ(right.receive(), 42);
  // The frame belongs to the pool of the other queue: it waits to be mailed home.
  for (int turn = 0; turn < 100 && queue1.foreign_frames().empty(); ++turn) {
    queue1.flush();
    usleep(1000);
  }
  ASSERT_EQ(queue1.foreign_frames().size(), 1U);
  EXPECT_EQ(arena_.buffer_start(queue1.foreign_frames()[0]), arena_.buffer_start(received[0].address));
  give_foreign(queue1);
}

TEST_F(AfXdpTest, ClosingThePortThatRegisteredTheMemoryLeavesTheOthersWorking) {
  const Peer left = connect("rp0");
  const Peer right = connect("rp1");
  auto* const port0 = open({.interface = "rp0"});
  auto* const port1 = open({.interface = "rp1"});
  ASSERT_TRUE(port0 && port1);
  Queue& queue0 = open_queue(*port0, 0, pool_);
  Queue& queue1 = open_queue(*port1, 0, pool_);
  close(queue0);
  destroy(port0);
  right.send(7);
  for (const frame::Frame& frame : receive(queue1, 1)) pool_.give(frame.address);
  EXPECT_EQ(queue1.counters().rx_packets.get(), 1U);
  auto* const again = open({.interface = "rp0"});
  ASSERT_NE(again, nullptr);
  Queue& queue2 = open_queue(*again, 0, pool_);
  left.send(8);
  for (const frame::Frame& frame : receive(queue2, 1)) pool_.give(frame.address);
  EXPECT_EQ(queue2.counters().rx_packets.get(), 1U);
}

TEST_F(AfXdpTest, TheHostsOwnServicesGoOnWhileEverythingElseGoesToTheDataPlane) {
  const Peer peer = connect("rp0");
  ASSERT_TRUE(run("ip addr add 10.9.0.1/24 dev rp0 && ip -6 addr add fd09::1/64 dev rp0 nodad"));
  auto* const port =
      open({.interface = "rp0",
            .kernel = {.addresses = {*wire::parse_host_address("10.9.0.1"), *wire::parse_host_address("fd09::1")},
                       .tcp_ports = {2222}}});
  ASSERT_NE(port, nullptr);
  Queue& queue = open_queue(*port, 0, pool_);

  const base::FileDescriptor listener(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(2222);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(listen(listener.get(), 4), 0);

  const Inside inside(peer.space);
  ASSERT_TRUE(run("ip addr add 10.9.0.2/24 dev peer && ip -6 addr add fd09::2/64 dev peer nodad"));
  const timeval patience{.tv_sec = 3, .tv_usec = 0};
  for (const char* host : {"::ffff:10.9.0.1", "fd09::1"}) {
    const base::FileDescriptor client(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in6 to = any;
    ASSERT_EQ(inet_pton(AF_INET6, host, &to.sin6_addr), 1);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0)
        << host << ": " << std::strerror(errno);
  }
  EXPECT_TRUE(run("ping -n -c 1 -W 2 10.9.0.1")) << "ICMP is kept by default";
  EXPECT_TRUE(run("ping -6 -n -c 1 -W 2 fd09::1")) << "ICMPv6 is kept by default";

  // A port that is not kept, and an address that is not the host's, go to the data plane.
  ASSERT_TRUE(run("ip neigh add 10.9.0.77 lladdr 02:00:00:00:00:77 dev peer"));
  const std::uint64_t others_before = others_;
  (void)receive(queue, 1, base::kNanosPerSecond / 10);
  EXPECT_EQ(others_, others_before) << "something of the host's own went to the data plane";
  const base::FileDescriptor udp(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  for (const auto& [host, udp_port] : {std::pair("10.9.0.1", 2222), std::pair("10.9.0.77", 53)}) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(udp_port));
    to.sin_addr.s_addr = inet_addr(host);
    ASSERT_EQ(sendto(udp.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to), 1);
  }
  (void)receive(queue, 1, base::kNanosPerSecond / 5);
  EXPECT_EQ(others_, others_before + 2);
}

TEST_F(AfXdpTest, ALinkThatGoesDownAndUpAgainCarriesTraffic) {
  const Peer peer = connect("rp0");
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  Queue& queue = open_queue(*port, 0, pool_);
  ASSERT_TRUE(run("ip link set rp0 down"));
  EXPECT_EQ(port->link_state(), LinkState::kDown);
  const frame::Frame frame = make_frame(pool_, 5);
  EXPECT_EQ(queue.transmit({&frame, 1}), 1U);
  for (int turn = 0; turn < 10; ++turn) queue.flush();
  EXPECT_TRUE(queue.alive());
  ASSERT_TRUE(run("ip link set rp0 up"));
  EXPECT_EQ(settled_link_state(*port, LinkState::kUp), LinkState::kUp);
  for (int turn = 0; turn < 200; ++turn) queue.flush();
  EXPECT_EQ(peer.receive(), 5) << "the frame that waited leaves once the link is up";
  peer.send(6);
  const std::vector<frame::Frame> received = receive(queue, 1);
  ASSERT_EQ(received.size(), 1U);
  pool_.give(received[0].address);
}

TEST_F(AfXdpTest, WithoutACarrierTheKernelDropsWhatIsSentAndTheFramesComeBack) {
  const Peer peer = connect("rp0");
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  Queue& queue = open_queue(*port, 0, pool_);
  const std::uint32_t free_before = pool_.free_count();
  {
    const Inside inside(peer.space);
    ASSERT_TRUE(run("ip link set peer down"));
  }
  EXPECT_EQ(settled_link_state(*port, LinkState::kDown), LinkState::kDown);
  std::vector<frame::Frame> frames;
  for (std::uint32_t i = 0; i < 64; ++i) frames.push_back(make_frame(pool_, i));
  EXPECT_EQ(queue.transmit(frames), 64U);
  for (int turn = 0; turn < 1000 && pool_.free_count() != free_before; ++turn) queue.flush();
  EXPECT_EQ(pool_.free_count(), free_before);
  EXPECT_TRUE(queue.alive());
}

TEST_F(AfXdpTest, ARemovedDeviceEndsTheQueueAndReturnsItsFrames) {
  const Peer peer = connect("rp0");
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  Queue& queue = open_queue(*port, 0, pool_);
  peer.send(1);
  ASSERT_TRUE(run("ip link del rp0"));
  // Once by the port, which asks; once by the queue itself, which is refused when it sends.
  const frame::Frame frame = make_frame(pool_, 5);
  EXPECT_EQ(queue.transmit({&frame, 1}), 1U);
  queue.flush();
  EXPECT_FALSE(queue.alive());
  EXPECT_EQ(port->link_state(), LinkState::kGone);
  EXPECT_EQ(queue.transmit({&frame, 1}), 0U);
  queue.flush();
}

TEST_F(AfXdpTest, AQueueThatOnlyReceivesLearnsOfTheRemovalFromItsPort) {
  const Peer peer = connect("rp0");
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  Queue& queue = open_queue(*port, 0, pool_);
  ASSERT_TRUE(run("ip link del rp0 && ip link add rp0 type veth peer name other && ip link set rp0 up"));
  EXPECT_TRUE(queue.alive());
  EXPECT_EQ(port->link_state(), LinkState::kGone) << "another interface of the same name is not this one";
  EXPECT_FALSE(queue.alive());
}

TEST_F(AfXdpTest, ASecondProgramIsRefusedAndNamesTheFirst) {
  const Peer peer = connect("rp0");
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  for (const XdpMode mode : {XdpMode::kBest, XdpMode::kNative, XdpMode::kGeneric}) {
    const auto second = AfXdpPort::create(umem_, {.interface = "rp0", .mode = mode});
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, AllOf(HasSubstr("rp0 is taken by another XDP program"),
                                              HasSubstr("program id " + std::to_string(attached_program("rp0")))));
  }
  EXPECT_NE(attached_program("rp0"), 0U) << "the first one stays";
}

TEST_F(AfXdpTest, AQueueThatIsTakenIsRefusedWithASentence) {
  const Peer peer = connect("rp0");
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  (void)open_queue(*port, 0, pool_);
  const auto again = port->open_queue(0, pool_);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("queue 0 of rp0 is taken by another AF_XDP socket"));
}

TEST_F(AfXdpTest, NothingIsLeftOnTheInterfaceAfterThePort) {
  const Peer peer = connect("rp0");
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  EXPECT_NE(attached_program("rp0"), 0U);
  EXPECT_TRUE(run("ip -d link show rp0 | grep -q 'promiscuity 1'")) << "a bridge takes packets for everyone";
  destroy(port);
  EXPECT_EQ(attached_program("rp0"), 0U);
  EXPECT_TRUE(run("ip -d link show rp0 | grep -q 'promiscuity 0'"));
}

TEST_F(AfXdpTest, NothingIsLeftOnTheInterfaceAfterTheProcessWasKilled) {
  const Peer peer = connect("rp0");
  std::array<int, 2> ready{};
  ASSERT_EQ(pipe(ready.data()), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto port = AfXdpPort::create(umem_, {.interface = "rp0"});
    const auto queue = port.value()->open_queue(0, pool_);
    if (queue) (void)!write(ready[1], "x", 1);
    pause();
    _exit(1);
  }
  const base::FileDescriptor from_child(ready[0]);
  ::close(ready[1]);
  char byte = 0;
  EXPECT_EQ(read(from_child.get(), &byte, 1), 1) << "the child could not open the port";
  EXPECT_NE(attached_program("rp0"), 0U);
  EXPECT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  for (int wait = 0; wait < 200 && attached_program("rp0") != 0; ++wait) usleep(10'000);
  EXPECT_EQ(attached_program("rp0"), 0U);
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  (void)open_queue(*port, 0, pool_);
}

TEST_F(AfXdpTest, WhatCannotBeOpenedSaysWhatToDo) {
  const Peer peer = connect("rp0");
  const auto refusal = [this](const AfXdpOptions& options) {
    const auto port = AfXdpPort::create(umem_, options);
    return port ? "it opened" : port.error().message;
  };
  EXPECT_THAT(refusal({.interface = "none0"}), HasSubstr("there is no interface none0"));
  EXPECT_THAT(refusal({.interface = "lo"}), HasSubstr("not Ethernet"));
  EXPECT_THAT(refusal({.interface = "rp0", .queues = 2}),
              AllOf(HasSubstr("rp0 has 1 receive"), HasSubstr("ethtool -L rp0")));
  EXPECT_THAT(refusal({.interface = "rp0", .slots = {.rx = 1000}}), HasSubstr("power of two"));
  ASSERT_TRUE(run("ip link set rp0 mtu 1771"));
  EXPECT_THAT(refusal({.interface = "rp0"}), AllOf(HasSubstr("mtu 1770"), HasSubstr("frame_bytes")));
  ASSERT_TRUE(run("ip link set rp0 mtu 1500 && ip link set rp0 down"));
  EXPECT_THAT(refusal({.interface = "rp0"}), HasSubstr("type `ip link set rp0 up`"));
  EXPECT_EQ(attached_program("rp0"), 0U) << "a refusal leaves nothing behind";
}

TEST_F(AfXdpTest, WithoutPrivilegeTheSentenceNamesTheCapabilities) {
  const Peer peer = connect("rp0");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (setresuid(65534, 65534, 65534) != 0) _exit(2);
    const auto port = AfXdpPort::create(umem_, {.interface = "rp0"});
    _exit(!port && port.error().message.find("CAP_NET_RAW") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_F(AfXdpTest, ADriverThatRefusesNativeModeGetsGenericWithTheReason) {
  // The peer has more transmit queues than we have receive queues: veth refuses native XDP then.
  const base::FileDescriptor space = make_namespace();
  ASSERT_TRUE(
      run("ip link add rp0 numrxqueues 1 numtxqueues 1 type veth peer name peer numrxqueues 2 numtxqueues 2 netns " +
          fd_path(space.get()) + " && ip link set rp0 up"));
  auto* const port = open({.interface = "rp0"});
  ASSERT_NE(port, nullptr);
  (void)open_queue(*port, 0, pool_);
  EXPECT_THAT(port->description(), AllOf(HasSubstr("rp0 generic copy"), HasSubstr("(native: ")));
  const auto native = AfXdpPort::create(umem_, {.interface = "rp0", .mode = XdpMode::kNative});
  EXPECT_FALSE(native);
}

}  // namespace
}  // namespace ringplane::port
