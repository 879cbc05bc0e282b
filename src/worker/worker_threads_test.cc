// Workers on threads of their own: hand-over, mail, reload and stop under real concurrency. Meant for ThreadSanitizer.
#include <chrono>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/drop_reason.h"
#include "wire/compose.h"
#include "wire/ip_address.h"
#include "wire/udp.h"
#include "worker/test_rig.h"

namespace ringplane::worker {
namespace {

std::vector<std::uint8_t> datagram(std::uint16_t source_port, bool back) {
  wire::Envelope envelope{.ethernet = {.destination = {2, 0, 0, 0, 0, 2}, .source = {2, 0, 0, 0, 0, 1}},
                          .source = wire::IpAddress::from_ipv4(0x0a000001),
                          .destination = wire::IpAddress::from_ipv4(0x0a000002)};
  wire::UdpHeader header{.source_port = source_port, .destination_port = 53};
  if (back) {
    std::swap(envelope.source, envelope.destination);
    std::swap(header.source_port, header.destination_port);
  }
  return wire::compose_udp(envelope, header, std::vector<std::uint8_t>(20));
}

TEST(WorkerThreads, LoseNothingWhileRulesAreReloadedUnderThem) {
  TestRig rig("pass\n", {.workers = 2, .frames_per_worker = 512, .flow_capacity = 4000});
  rig.start_threads();
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  const auto collect = [&] { received += rig.received(kLan).size() + rig.received(kWan).size(); };
  for (std::uint32_t round = 0; round < 2000; ++round) {
    for (std::uint32_t i = 0; i < 8; ++i) {
      const auto port = static_cast<std::uint16_t>(1000 + (round * 8 + i) % 500);
      // The answer goes to the other queue: one of the two workers hands it over.
      sent += rig.send(kLan, datagram(port, false), i % 2) ? 1 : 0;
      sent += rig.send(kWan, datagram(port, true), (i + 1) % 2) ? 1 : 0;
    }
    collect();
    if (round % 100 == 50 && rig.reloaded()) rig.reload(round % 200 == 50 ? "pass quick proto udp\nblock\n" : "pass\n");
    if (round % 16 == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(300));  // let workers fall asleep at times
  }
  for (int i = 0; i < 5000 && received < sent; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    collect();
  }
  rig.stop_threads();
  collect();
  EXPECT_GT(sent, 10'000U);
  EXPECT_EQ(received + rig.dropped(), sent);
  EXPECT_EQ(rig.dropped(), rig.dropped(base::DropReason::mailbox_full) + rig.dropped(base::DropReason::tx_ring_full))
      << "no packet is lost to a reload";
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(WorkerThreads, NapWhereNoDescriptorWouldWakeThem) {
  TestRig rig("pass\n");  // pair ports have none
  rig.start_threads();
  const auto& sleeps = rig.worker().tables().counters.sleeps;
  for (int i = 0; i < 2000 && sleeps.get() < 100; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(sleeps.get(), 100U) << "with sleeps of 100 ms there are 20 in this time";
  rig.stop_threads();
  EXPECT_EQ(rig.missing_frames(), 0U);
}

TEST(WorkerThreads, StopWhileAsleep) {
  TestRig rig("pass\n", {.workers = 2});
  rig.start_threads();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  rig.stop_threads();
  EXPECT_EQ(rig.missing_frames(), 0U);
}

}  // namespace
}  // namespace ringplane::worker
