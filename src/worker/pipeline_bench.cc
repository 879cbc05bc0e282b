// The pipeline alone, over pair ports: decode, flow lookup, conntrack, counters, ring in and out, on one thread that
// is generator, worker and sink in turn. RingsOnly is the reference: the same packets over the same rings with nothing
// between them, so the difference of the two is what the firewall costs, and the generator's share shows.
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/random.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/pair/pair_port.h"
#include "port/port.h"
#include "wire/compose.h"
#include "wire/ip_address.h"
#include "worker/test_rig.h"

namespace ringplane::worker {
namespace {

constexpr std::uint32_t kBurst = frame::Burst::kCapacity;

std::vector<std::vector<std::uint8_t>> make_packets(std::uint32_t flows) {
  std::vector<std::vector<std::uint8_t>> packets;
  for (std::uint32_t i = 0; i < flows; ++i) {
    const wire::Envelope envelope{.ethernet = {.destination = {2, 0, 0, 0, 0, 2}, .source = {2, 0, 0, 0, 0, 1}},
                                  .source = wire::IpAddress::from_ipv4(0x0a000000 + i / 60000),
                                  .destination = wire::IpAddress::from_ipv4(0xc0000201)};
    packets.push_back(wire::compose_udp(
        envelope, {.source_port = static_cast<std::uint16_t>(1000 + i % 60000), .destination_port = 53}));
  }
  return packets;
}

void run(benchmark::State& state, const char* rules) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  TestRig rig(rules, {.frames_per_worker = 1024, .flow_capacity = flows + 100, .log_per_second = 0});
  const auto packets = make_packets(flows);
  base::Random random(1);
  std::uint64_t received = 0;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < kBurst; ++i) rig.send(kLan, packets[random.below(flows)]);
    rig.turn(1);
    received += rig.count_received(kWan);
    rig.now_ns += 2000;
  }
  state.counters["flows"] = rig.flows();
  state.SetItemsProcessed(static_cast<std::int64_t>(received));
}

void BM_RingsOnly(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  auto arena = frame::Arena::create({.frame_count = 1024, .frame_bytes = 2048, .huge_pages = false});
  frame::FramePool pool(*arena, 0, 1024);
  const auto lan = port::make_pair_ports({.first_id = kLan, .second_id = kLan});
  const auto wan = port::make_pair_ports({.first_id = kWan, .second_id = kWan});
  const auto open = [&](port::Port& port) { return std::move(*port.open_queue(0, pool)); };
  const auto lan_far = open(*lan.second), lan_near = open(*lan.first), wan_near = open(*wan.first),
             wan_far = open(*wan.second);
  const auto packets = make_packets(flows);
  base::Random random(1);
  std::uint64_t received = 0;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < kBurst; ++i) {
      const auto& packet = packets[random.below(flows)];
      const frame::Frame frame{
          .address = pool.take(), .length = static_cast<std::uint32_t>(packet.size()), .port = kLan};
      std::memcpy(arena->data(frame).data(), packet.data(), packet.size());
      benchmark::DoNotOptimize(lan_far->transmit({&frame, 1}));
    }
    frame::Burst burst;
    benchmark::DoNotOptimize(lan_near->receive(burst));
    benchmark::DoNotOptimize(wan_near->transmit(burst.frames()));
    lan_near->flush();
    wan_near->flush();
    burst.clear();
    received += wan_far->receive(burst);
    for (const frame::Frame& frame : burst.frames()) pool.give(frame.address);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(received));
}

void BM_Firewall(benchmark::State& state) {
  run(state, "block\npass out quick\npass in on lan proto udp to port 53\n");
}
void BM_Stateless(benchmark::State& state) {
  run(state, "pass no state\n");
}
void BM_Skip(benchmark::State& state) {
  run(state, "set skip on { lan, wan }\n");
}

BENCHMARK(BM_RingsOnly)->Arg(1000)->Arg(100'000);
BENCHMARK(BM_Firewall)->Arg(1000)->Arg(100'000);
BENCHMARK(BM_Stateless)->Arg(1000)->Arg(100'000);
BENCHMARK(BM_Skip)->Arg(1000)->Arg(100'000);

}  // namespace
}  // namespace ringplane::worker
