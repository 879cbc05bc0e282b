// What the XDP program keeps for the kernel, packet by packet: the kernel runs it on bytes that we hand it
// (BPF_PROG_TEST_RUN), so nothing needs to travel. Needs root; skipped, loudly, without.
#include "port/af_xdp/redirect_program.h"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/socket.h>

#include "base/file_descriptor.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/af_xdp/af_xdp_port.h"
#include "port/af_xdp/kernel_services.h"
#include "port/af_xdp/umem.h"
#include "port/af_xdp/veth_peer.h"
#include "port/port.h"
#include "wire/ip_address.h"

namespace ringplane::port {
namespace {

using Packet = std::vector<std::uint8_t>;
using Ipv4 = std::array<std::uint8_t, 4>;
using Ipv6 = std::array<std::uint8_t, 16>;

constexpr Ipv4 kHost4{10, 9, 0, 1};
constexpr Ipv4 kOther4{10, 9, 0, 2};
constexpr Ipv6 kHost6{0xfd, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr Ipv6 kOther6{0xfd, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
constexpr Ipv6 kSolicitedGroup{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 1};
constexpr std::uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kIcmp6 = 58;

template <class Part>
void append(Packet& packet, const Part& part) {
  for (const std::uint8_t byte : part) packet.push_back(byte);
}
Packet ethernet(std::uint16_t type) {
  Packet packet(12, 2);
  append(packet, std::array<std::uint8_t, 2>{static_cast<std::uint8_t>(type >> 8), static_cast<std::uint8_t>(type)});
  return packet;
}
Packet arp(std::uint8_t operation, const Ipv4& target) {
  Packet packet = ethernet(0x0806);
  append(packet, std::array<std::uint8_t, 8>{0, 1, 8, 0, 6, 4, 0, operation});
  packet.resize(packet.size() + 6 + 4 + 6);
  append(packet, target);
  return packet;
}
struct Ipv4Extra {
  std::uint8_t option_words = 0;
  std::uint16_t fragment = 0;
};
Packet ipv4(const Ipv4& to, std::uint8_t protocol, std::uint16_t port, Ipv4Extra extra = {}) {
  Packet packet = ethernet(0x0800);
  append(packet, std::array<std::uint8_t, 12>{static_cast<std::uint8_t>(0x45 + extra.option_words), 0, 0, 40, 0, 0,
                                              static_cast<std::uint8_t>(extra.fragment >> 8),
                                              static_cast<std::uint8_t>(extra.fragment), 64, protocol, 0, 0});
  append(packet, kOther4);
  append(packet, to);
  packet.resize(packet.size() + std::size_t{4} * extra.option_words, 1);
  append(packet, std::array<std::uint8_t, 4>{0x9c, 0x40, static_cast<std::uint8_t>(port >> 8),
                                             static_cast<std::uint8_t>(port)});
  packet.resize(packet.size() + 16);
  return packet;
}
Packet ipv6(const Ipv6& to, std::uint8_t protocol, std::array<std::uint8_t, 4> payload_start, const Ipv6& target = {}) {
  Packet packet = ethernet(0x86dd);
  append(packet, std::array<std::uint8_t, 8>{0x60, 0, 0, 0, 0, 24, protocol, 255});
  append(packet, kOther6);
  append(packet, to);
  append(packet, payload_start);
  packet.resize(packet.size() + 4);
  append(packet, target);
  return packet;
}
Packet tagged(const Packet& packet) {
  Packet with_tag(packet.begin(), packet.begin() + 12);
  append(with_tag, std::array<std::uint8_t, 4>{0x81, 0x00, 0, 5});
  append(with_tag, std::span(packet).subspan(12));
  return with_tag;
}
Packet cut(Packet packet, std::size_t length) {
  packet.resize(length);
  return packet;
}

class RedirectProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "!!! THE XDP PROGRAM IS NOT TESTED: run the tests as root";
    space_ = make_namespace();
    inside_.emplace(space_);
    ASSERT_TRUE(run("ip link add rp0 type veth peer name other && ip link set rp0 up"));
  }
  void TearDown() override {
    queue_.reset();
    port_.reset();
  }
  void attach(bool icmp, bool all) {
    queue_.reset();
    port_.reset();
    port_ = AfXdpPort::create(
                umem_, {.interface = "rp0",
                        .kernel = {.addresses = {{wire::Family::kIpv4,
                                                  wire::IpAddress::from_wire(kHost4.data(), wire::Family::kIpv4)},
                                                 {wire::Family::kIpv6,
                                                  wire::IpAddress::from_wire(kHost6.data(), wire::Family::kIpv6)}},
                                   .tcp_ports = {22},
                                   .udp_ports = {53},
                                   .icmp = icmp,
                                   .all = all}})
                .value();
    queue_ = port_->open_queue(0, pool_).value();
  }
  /// "kernel" or "data plane".
  std::string destination(Packet packet) {
    std::uint32_t id = 0;
    EXPECT_EQ(bpf_xdp_query_id(static_cast<int>(if_nametoindex("rp0")), 0, &id), 0);
    const base::FileDescriptor program(bpf_prog_get_fd_by_id(id));
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = packet.data();
    options.data_size_in = static_cast<std::uint32_t>(packet.size());
    if (bpf_prog_test_run_opts(program.get(), &options) != 0) return "not run";
    return options.retval == XDP_PASS ? "kernel" : options.retval == XDP_REDIRECT ? "data plane" : "nowhere";
  }

  frame::Arena arena_ = frame::Arena::create({.frame_count = 256, .huge_pages = false}).value();
  frame::FramePool pool_{arena_, 0, 256};
  Umem umem_{arena_};
  base::FileDescriptor space_;
  std::optional<Inside> inside_;
  std::unique_ptr<AfXdpPort> port_;
  std::unique_ptr<Queue> queue_;
};

TEST_F(RedirectProgramTest, AddressResolutionOfTheHostStaysWithTheKernel) {
  attach(true, false);
  EXPECT_EQ(destination(arp(1, kHost4)), "kernel");
  EXPECT_EQ(destination(arp(2, kHost4)), "kernel");
  EXPECT_EQ(destination(arp(1, kOther4)), "data plane");
  EXPECT_EQ(destination(cut(arp(1, kHost4), 41)), "data plane");
  EXPECT_EQ(destination(ipv6(kSolicitedGroup, kIcmp6, {135, 0, 0, 0}, kHost6)), "kernel");
  EXPECT_EQ(destination(ipv6(kSolicitedGroup, kIcmp6, {135, 0, 0, 0}, kOther6)), "data plane");
  EXPECT_EQ(destination(ipv6(kHost6, kIcmp6, {136, 0, 0, 0}, kOther6)), "kernel");
  EXPECT_EQ(destination(ipv6(kOther6, kIcmp6, {136, 0, 0, 0}, kOther6)), "data plane");
}

TEST_F(RedirectProgramTest, OnlyTheListedPortsOfTheHostStayWithTheKernel) {
  attach(true, false);
  EXPECT_EQ(destination(ipv4(kHost4, kTcp, 22)), "kernel");
  EXPECT_EQ(destination(ipv4(kHost4, kTcp, 22, {.option_words = 3})), "kernel");
  EXPECT_EQ(destination(ipv4(kHost4, kUdp, 53)), "kernel");
  EXPECT_EQ(destination(ipv6(kHost6, kTcp, {0x9c, 0x40, 0, 22})), "kernel");
  EXPECT_EQ(destination(ipv4(kHost4, kTcp, 53)), "data plane") << "listed for UDP";
  EXPECT_EQ(destination(ipv4(kHost4, kUdp, 22)), "data plane") << "listed for TCP";
  EXPECT_EQ(destination(ipv4(kOther4, kTcp, 22)), "data plane");
  EXPECT_EQ(destination(ipv6(kOther6, kTcp, {0x9c, 0x40, 0, 22})), "data plane");
  EXPECT_EQ(destination(ipv4(kHost4, 47, 22)), "data plane") << "GRE has no ports";
  EXPECT_EQ(destination(tagged(ipv4(kHost4, kTcp, 22))), "data plane") << "VLANs are the data plane's";
}

TEST_F(RedirectProgramTest, HeadersThatPointBeyondThePacketKeepNothing) {
  attach(true, false);
  EXPECT_EQ(destination(cut(ipv4(kHost4, kTcp, 22), 14 + 20 + 3)), "data plane");
  EXPECT_EQ(destination(cut(ipv4(kHost4, kTcp, 22), 14 + 19)), "data plane");
  EXPECT_EQ(destination(cut(ipv4(kHost4, kTcp, 22, {.option_words = 10}), 14 + 40)), "data plane");
  EXPECT_EQ(destination(cut(ipv6(kHost6, kTcp, {0x9c, 0x40, 0, 22}), 14 + 40 + 2)), "data plane");
  EXPECT_EQ(destination(cut(ipv6(kSolicitedGroup, kIcmp6, {135, 0, 0, 0}, kHost6), 14 + 40 + 20)), "data plane");
  EXPECT_EQ(destination(ethernet(0x0800)), "data plane");
}

TEST_F(RedirectProgramTest, FragmentsOfTheHostStayWithTheKernelOnlyIfEverythingDoes) {
  attach(true, false);
  EXPECT_EQ(destination(ipv4(kHost4, kTcp, 22, {.fragment = 0x2000})), "data plane");
  EXPECT_EQ(destination(ipv4(kHost4, kTcp, 22, {.fragment = 0x0005})), "data plane");
  EXPECT_EQ(destination(ipv4(kHost4, kTcp, 22, {.fragment = 0x4000})), "kernel") << "don't fragment is no fragment";
  attach(true, true);
  EXPECT_EQ(destination(ipv4(kHost4, kTcp, 22, {.fragment = 0x2000})), "kernel");
  EXPECT_EQ(destination(ipv4(kHost4, kTcp, 23)), "kernel");
  EXPECT_EQ(destination(ipv6(kHost6, kUdp, {0, 9, 0, 9})), "kernel");
  EXPECT_EQ(destination(ipv4(kOther4, kTcp, 22)), "data plane");
}

TEST_F(RedirectProgramTest, IcmpOfTheHostIsASwitchAndNeighbourDiscoveryIsNot) {
  attach(true, false);
  EXPECT_EQ(destination(ipv4(kHost4, kIcmp, 0)), "kernel");
  EXPECT_EQ(destination(ipv6(kHost6, kIcmp6, {128, 0, 0, 0})), "kernel");
  EXPECT_EQ(destination(ipv4(kOther4, kIcmp, 0)), "data plane");
  attach(false, false);
  EXPECT_EQ(destination(ipv4(kHost4, kIcmp, 0)), "data plane");
  EXPECT_EQ(destination(ipv6(kHost6, kIcmp6, {128, 0, 0, 0})), "data plane");
  EXPECT_EQ(destination(ipv6(kSolicitedGroup, kIcmp6, {135, 0, 0, 0}, kHost6)), "kernel");
}

TEST_F(RedirectProgramTest, AQueueWithoutASocketPassesEverythingToTheKernel) {
  attach(true, false);
  EXPECT_EQ(destination(ipv4(kOther4, kTcp, 80)), "data plane");
  queue_.reset();
  EXPECT_EQ(destination(ipv4(kOther4, kTcp, 80)), "kernel");
}

}  // namespace
}  // namespace ringplane::port
