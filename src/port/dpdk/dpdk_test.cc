// DPDK ports over devices that need nothing of the machine: net_ring (what is transmitted comes back, as the same
// rte_mbuf), net_null (swallows, and invents packets without end). Each test runs in a process of its own, since DPDK
// comes up once in a process.
#include <pthread.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mbuf_core.h>
#include <rte_mempool.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/dpdk/dpdk_log.h"
#include "port/dpdk/dpdk_pool.h"
#include "port/dpdk/dpdk_port.h"
#include "port/dpdk_ports.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kFramesPerPool = 2048;

template <class T>
T checked(base::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

/// Two workers' pools in one arena, and DPDK.
class Dpdk : public ::testing::Test {
 protected:
  void TearDown() override {
    for (auto& each : queues_) {
      each->close();
      mail(*each);
    }
    queues_.clear();
    opened_.clear();
    for (const frame::FramePool& pool : pools_) EXPECT_EQ(pool.free_count(), pool.total()) << "a frame is missing";
  }

  Port& open(const std::string& device, std::uint32_t queues = 1) {
    opened_.push_back(checked(ports().open({.id = base::PortId{7}, .device = device, .queues = queues})));
    return *opened_.back();
  }
  Queue& queue(Port& port, std::uint32_t index = 0) {
    queues_.push_back(checked(port.open_queue(index, pools_[index])));
    return *queues_.back();
  }
  LoadedDpdkPorts& ports() {
    if (ports_ == nullptr) ports_ = checked(LoadedDpdkPorts::create(arena_, {.huge_pages = false}));
    return static_cast<LoadedDpdkPorts&>(*ports_);
  }
  std::string error_of(const std::string& device, std::uint32_t queues = 1) {
    const auto result = ports().open({.device = device, .queues = queues});
    return result ? "no error" : result.error().message;
  }
  frame::Frame made(frame::FramePool& pool, std::uint8_t filling, std::uint32_t length = 60) {
    const frame::Frame frame{.address = pool.take(), .length = length, .port = {}, .marks = 0, .reserved = {}};
    std::memset(arena_.data(frame).data(), filling, length);
    return frame;
  }
  /// Mails home what waits in `from`.
  void mail(Queue& from) {
    for (const std::uint64_t address : from.foreign_frames()) {
      (pools_[0].owns(address) ? pools_[0] : pools_[1]).give(address);
    }
    from.clear_foreign_frames();
  }

  frame::Arena arena_ =
      checked(frame::Arena::create({.frame_count = 2 * kFramesPerPool, .frame_bytes = 2048, .huge_pages = false}));
  std::array<frame::FramePool, 2> pools_{frame::FramePool(arena_, 0, kFramesPerPool),
                                         frame::FramePool(arena_, kFramesPerPool, kFramesPerPool)};
  std::unique_ptr<DpdkPorts> ports_;
  std::vector<std::unique_ptr<Port>> opened_;
  std::vector<std::unique_ptr<Queue>> queues_;
};

std::string status_line(const std::filesystem::path& task, const std::string& key) {
  std::ifstream file(task / "status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return "";
}

/// What DPDK might change of the process and of the calling thread.
struct Surroundings {
  std::array<std::pair<void (*)(int), int>, 65> actions{};  // handler and flags
  sigset_t mask{};
  cpu_set_t affinity{};
  std::array<char, 32> name{};

  static Surroundings now() {
    Surroundings found;
    for (int i = 1; i < 65; ++i) {
      struct sigaction action{};
      sigaction(i, nullptr, &action);
      found.actions[static_cast<std::size_t>(i)] = {action.sa_handler, action.sa_flags};
    }
    pthread_sigmask(SIG_BLOCK, nullptr, &found.mask);
    sched_getaffinity(0, sizeof found.affinity, &found.affinity);
    pthread_getname_np(pthread_self(), found.name.data(), found.name.size());
    return found;
  }
};

TEST_F(Dpdk, LeavesSignalsAffinityAndNamesAsTheyWere) {
  std::signal(SIGUSR2, [](int) {});
  const Surroundings before = Surroundings::now();
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  Queue& ring = queue(open("net_ring0"));
  ring.close();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "DPDK's log is ours";
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  const Surroundings after = Surroundings::now();
  EXPECT_TRUE(before.actions == after.actions);
  EXPECT_EQ(std::memcmp(&before.mask, &after.mask, sizeof before.mask), 0);
  EXPECT_TRUE(CPU_EQUAL(&before.affinity, &after.affinity));
  EXPECT_EQ(before.name, after.name);
  int others = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(getpid())) continue;
    ++others;
    const std::uint64_t blocked = std::stoull(status_line(task.path(), "SigBlk:"), nullptr, 16);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD}) {
      EXPECT_NE(blocked >> (signal - 1) & 1, 0U) << status_line(task.path(), "Name:") << " may take signal " << signal;
    }
  }
  EXPECT_GE(others, 1) << "DPDK's own threads";
  EXPECT_FALSE(std::filesystem::exists("/var/run/dpdk/ringplane-" + std::to_string(getpid())));
}

TEST_F(Dpdk, AFrameIsTransmittedWhereItLies) {
  Port& port = open("net_ring0");
  Queue& ring = queue(port);
  frame::Frame frame = made(pools_[0], 0xab, 1000);
  frame.address += 5;  // as if a header had been taken off
  frame.length -= 5;
  ASSERT_EQ(ring.transmit({&frame, 1}), 1U);
  ring.flush();
  frame::Burst burst;
  ASSERT_EQ(ring.receive(burst), 1U);
  EXPECT_EQ(burst[0].address, frame.address) << "no byte was moved";
  EXPECT_EQ(burst[0].length, 995U);
  EXPECT_EQ(burst[0].port, base::PortId{7});
  EXPECT_EQ(arena_.data(burst[0])[994], 0xab);
  EXPECT_EQ(ring.counters().rx_bytes.get(), 995U);
  EXPECT_EQ(ring.counters().tx_packets.get(), 1U);
  pools_[0].give(burst[0].address);
  EXPECT_EQ(port.link_state(), LinkState::kUp);
  EXPECT_THAT(port.description(), HasSubstr("dpdk net_ring net_ring0, 1 queue"));
}

TEST_F(Dpdk, FramesOfAnotherPoolComeHomeByMail) {
  Port& port = open("net_null0", 2);
  Queue& first = queue(port, 0);
  Queue& second = queue(port, 1);
  std::vector<frame::Frame> frames;
  for (std::uint8_t i = 0; i < 40; ++i) frames.push_back(made(pools_[1], i));
  ASSERT_EQ(first.transmit(frames), 40U);  // net_null gives them back at once
  EXPECT_EQ(pools_[1].free_count(), kFramesPerPool - 40) << "a worker never touches another's pool";
  first.flush();
  EXPECT_EQ(first.foreign_frames().size(), 40U);
  mail(first);
  EXPECT_EQ(pools_[1].free_count(), kFramesPerPool);
  // And they are as good as before at home: taken by a device there, they come back there.
  for (int i = 0; i < 10; ++i) {
    frame::Burst burst;
    ASSERT_GT(second.receive(burst), 0U);
    EXPECT_TRUE(pools_[1].owns(burst[0].address));
    EXPECT_EQ(second.transmit(burst.frames()), burst.size());
  }
  second.flush();
  EXPECT_TRUE(second.foreign_frames().empty());
}

TEST_F(Dpdk, WhatTheDeviceDoesNotTakeStaysTheCallers) {
  Queue& ring = queue(open("net_ring0"));
  std::vector<frame::Frame> frames;
  for (int i = 0; i < 1500; ++i) frames.push_back(made(pools_[1], 1));
  const std::uint32_t sent = ring.transmit(frames);
  EXPECT_LT(sent, 1500U) << "the ring has 1024 slots";
  EXPECT_GT(sent, 500U);
  EXPECT_EQ(ring.counters().tx_ring_full.get(), 1500 - sent);
  const FrameHeaders& headers = ports().headers();
  const rte_mempool* home = checked(ports().pool_for(pools_[1]))->handle();
  for (std::uint32_t i = sent; i < 1500; ++i) {
    ASSERT_EQ(headers.of(frames[i].address)->pool, home);
    pools_[1].give(frames[i].address);
  }
}  // closing brings back what is in the ring, each to its own pool

TEST_F(Dpdk, NoFrameForAPacketIsCountedAndOneIsEnoughToGoOn) {
  Queue& null = queue(open("net_null0"));
  std::vector<std::uint64_t> kept;
  frame::Burst burst;
  for (int i = 0; i < 10'000 && null.counters().rx_no_frame.get() == 0; ++i) {
    burst.clear();
    static_cast<void>(null.receive(burst));
    for (const frame::Frame& frame : burst.frames()) kept.push_back(frame.address);
  }
  EXPECT_GT(null.counters().rx_no_frame.get(), 0U);
  EXPECT_GT(kept.size(), kFramesPerPool - 2 * frame::Burst::kCapacity);
  for (const std::uint64_t address : kept) pools_[0].give(address);
  burst.clear();
  EXPECT_GT(null.receive(burst), 0U);
  for (const frame::Frame& frame : burst.frames()) pools_[0].give(frame.address);
}

TEST_F(Dpdk, FramesThatADeviceGivesBackOnItsOwnThreadAreFetchedByTheirOwner) {
  Queue& ring = queue(open("net_ring0"));
  frame::Burst burst;
  EXPECT_EQ(ring.receive(burst), 0U);
  std::vector<frame::Frame> frames;
  for (std::uint8_t i = 0; i < 20; ++i) frames.push_back(made(pools_[i % 2], i));
  rte_mempool* pool = checked(ports().pool_for(pools_[0]))->handle();
  std::thread([&] {
    for (const frame::Frame& frame : frames) {
      rte_mempool_put(pool, ports().headers().of(frame.address));
      void* none = nullptr;
      EXPECT_NE(rte_mempool_get(pool, &none), 0) << "and nobody else takes frames";
    }
  }).join();
  EXPECT_EQ(pools_[0].free_count(), kFramesPerPool - 10);
  ring.flush();
  EXPECT_EQ(pools_[0].free_count(), kFramesPerPool);
  EXPECT_EQ(ring.foreign_frames().size(), 10U);
  mail(ring);
}

TEST_F(Dpdk, PacketsInSeveralFramesAreDroppedAndCounted) {
  Queue& ring = queue(open("net_ring0"));
  std::uint16_t device = 0;
  ASSERT_EQ(rte_eth_dev_get_port_by_name("net_ring0", &device), 0);
  std::array<rte_mbuf*, 3> headers{};
  for (rte_mbuf*& header : headers) header = ports().headers().of(made(pools_[0], 1).address);
  ASSERT_EQ(rte_pktmbuf_chain(headers[0], headers[1]), 0);
  headers[2]->data_len = 100;
  ASSERT_EQ(rte_eth_tx_burst(device, 0, headers.data(), 1), 1U);
  ASSERT_EQ(rte_eth_tx_burst(device, 0, &headers[2], 1), 1U);
  frame::Burst burst;
  ASSERT_EQ(ring.receive(burst), 1U);
  EXPECT_EQ(burst[0].length, 100U);
  EXPECT_EQ(ring.counters().rx_too_long.get(), 1U);
  pools_[0].give(burst[0].address);
  EXPECT_EQ(pools_[0].free_count(), kFramesPerPool);
}

TEST_F(Dpdk, MarksWhatTheDeviceSaysOfAChecksum) {
  Queue& ring = queue(open("net_ring0"));
  std::uint16_t device = 0;
  ASSERT_EQ(rte_eth_dev_get_port_by_name("net_ring0", &device), 0);
  const std::array<std::uint64_t, 4> flags{RTE_MBUF_F_RX_L4_CKSUM_BAD, RTE_MBUF_F_RX_L4_CKSUM_GOOD,
                                           RTE_MBUF_F_RX_L4_CKSUM_NONE, RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN};
  for (const std::uint64_t flag : flags) {
    rte_mbuf* header = ports().headers().of(made(pools_[0], 1).address);
    header->ol_flags = flag;
    ASSERT_EQ(rte_eth_tx_burst(device, 0, &header, 1), 1U);
  }
  frame::Burst burst;
  ASSERT_EQ(ring.receive(burst), 4U);
  for (std::uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(burst[i].marks, i == 0 ? frame::kBadChecksum : 0) << i;
    pools_[0].give(burst[i].address);
  }
}

TEST_F(Dpdk, LosesNoFrameUnderRandomTrafficOfTwoWorkers) {
  base::Random random(11);
  Port& port = open("net_ring0", 2);
  Port& other = open("net_null0,size=1200", 2);
  const std::array<Queue*, 2> rings{&queue(port, 0), &queue(port, 1)};
  const std::array<Queue*, 2> nulls{&queue(other, 0), &queue(other, 1)};
  std::vector<frame::Frame> held;
  for (int round = 0; round < 4000; ++round) {
    const std::uint32_t worker = random.below(2);
    Queue& in = random.below(2) == 0 ? *rings[worker] : *nulls[worker];
    Queue& out = random.below(3) != 0 ? *rings[worker] : *nulls[worker];
    frame::Burst burst;
    if (held.size() < 2000) static_cast<void>(in.receive(burst));
    held.insert(held.end(), burst.frames().begin(), burst.frames().end());
    const std::uint32_t wanted = random.below(64);
    const std::size_t count = std::min<std::size_t>(wanted, held.size());
    const std::uint32_t sent = out.transmit(std::span(held).last(count));
    // Those that were taken are the first of them; the order does not matter here.
    held.erase(held.end() - static_cast<std::ptrdiff_t>(count), held.end() - static_cast<std::ptrdiff_t>(count - sent));
    in.flush();
    mail(in);
  }
  EXPECT_GT(rings[0]->counters().rx_packets.get(), 100U);
  for (const frame::Frame& frame : held) (pools_[0].owns(frame.address) ? pools_[0] : pools_[1]).give(frame.address);
}

TEST_F(Dpdk, SaysWhatIsWrongWithADevice) {
  EXPECT_THAT(error_of(""), HasSubstr("a DPDK device is expected, such as net_memif0"));
  EXPECT_THAT(error_of("net_nonsense0"), HasSubstr("dpdk:net_nonsense0 cannot be opened ("));
  EXPECT_THAT(error_of("net_null0,colour=red"), HasSubstr("check the driver's name and its arguments"));
  EXPECT_THAT(error_of("net_af_xdp0,iface=lo"), HasSubstr("name the interface without dpdk:"));
  EXPECT_THAT(error_of("net_virtio_user0,path=/nowhere"), HasSubstr("let ringplane be the host (net_vhost)"));
  EXPECT_THAT(error_of("net_memif0,role=client,zero-copy=yes"), HasSubstr("leave out zero-copy=yes"));
  EXPECT_THAT(error_of("net_vhost0,iface=/nowhere,tso=1"), HasSubstr("leave out tso=1"));
  EXPECT_THAT(error_of("net_vhost0,legacy-ol-flags=1,iface=/nowhere"), HasSubstr("leave out legacy-ol-flags=1"));
  EXPECT_THAT(error_of("net_null1", 2000), HasSubstr("lower workers.count"));
  Port& port = open("net_null2");
  EXPECT_THAT(error_of("net_null2"), HasSubstr("dpdk:net_null2: it is in use already"));
  EXPECT_FALSE(port.open_queue(1, pools_[0]));
  EXPECT_EQ(error_of("net_null1"), "no error") << "what failed has left nothing behind";
}

TEST_F(Dpdk, APortThatWasNeverStartedEndsWell) {
  Port& port = open("net_ring0", 2);
  queue(port, 0);  // the second one is missing, as when opening another port has failed
}

TEST_F(Dpdk, TellsItsWarningsALineEach) {
  static std::vector<std::string> heard;
  DpdkLog& log = DpdkLog::attach();
  log.set_listener([](std::string_view line) { heard.emplace_back(line); });
  log.add(RTE_LOG_INFO, "of no interest\n");
  log.add(RTE_LOG_WARNING, "a warning\n");
  log.collect();
  for (int i = 0; i < 20; ++i) log.add(RTE_LOG_ERR, "error " + std::to_string(i) + "\n");
  EXPECT_EQ(heard, std::vector<std::string>{"a warning"});
  EXPECT_EQ(log.take_lines(), "error 12; error 13; error 14; error 15; error 16; error 17; error 18; error 19");
  for (int i = 0; i < 1000; ++i) log.add(RTE_LOG_ERR, "flood");
  EXPECT_LE(heard.size(), 1U + 2 * 100U) << "at most 100 lines in a second";
  log.set_listener(nullptr);
}

}  // namespace
}  // namespace ringplane::port
