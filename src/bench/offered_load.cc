#include "bench/offered_load.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "bench/drive.h"
#include "bench/rig.h"
#include "bench/traffic.h"
#include "wire/packet.h"
#include "worker/worker.h"

namespace ringplane::bench {
namespace {

constexpr std::size_t kTcpFlagsOffset = 14 + 20 + 13;

}  // namespace

void OfferedLoad::arrive(const Rates& rates, std::uint64_t elapsed_ns, Seen& seen) {
  const auto time = static_cast<double>(elapsed_ns);
  std::array<Segment, kBurst> waiting;
  std::uint32_t count = 0;
  bool room = true;
  const auto flush = [&] {
    const std::uint32_t taken =
        !room ? 0 : rig_.endpoint(0).send(kLan, count, [&](std::uint8_t* bytes, std::uint32_t i) {
          writer_.write(bytes, connections_[waiting[i].connection], waiting[i].step);
        });
    for (std::uint32_t i = 0; i < taken; ++i) seen.taken += waiting[i].step == Step::kData ? 1 : 0;
    room = room && taken == count;
    count = 0;
  };
  for (;;) {
    const double next = rates.established > 0 ? static_cast<double>(arrived_ + 1) / rates.established : time + 1;
    const double next_syn = rates.syns > 0 ? static_cast<double>(syns_arrived_ + 1) / rates.syns : time + 1;
    if (next > time && next_syn > time) break;
    if (next <= next_syn) {
      ++arrived_;
      waiting[count++] = {.connection = static_cast<std::uint32_t>(random_.below(established_)), .step = Step::kData};
    } else {
      ++syns_arrived_;
      if (++next_source_ >= connections_.size()) next_source_ = established_;
      waiting[count++] = {.connection = static_cast<std::uint32_t>(next_source_), .step = Step::kSyn};
    }
    if (count == kBurst) flush();
  }
  flush();
}

void OfferedLoad::turn(Seen& seen) {
  const std::uint64_t before = base::monotonic_ns();
  rig_.worker(0).run_once(now_ns_);
  const std::uint64_t took = base::monotonic_ns() - before;
  now_ns_ += took;
  seen.ns += took;
  std::uint32_t count = 0;
  do {
    count = rig_.endpoint(0).take(kWan, [&](const std::uint8_t* bytes) {
      const bool syn = (bytes[kTcpFlagsOffset] & wire::tcp_flag::kSyn) != 0;
      ++(syn ? seen.syns_out : seen.out);
    });
  } while (count > 0);
}

void OfferedLoad::run(const Rates& rates, std::uint64_t ns, Seen& seen) {
  const std::uint64_t begin = now_ns_;
  arrived_ = 0;
  syns_arrived_ = 0;
  while (now_ns_ - begin < ns) {
    arrive(rates, now_ns_ - begin, seen);
    turn(seen);
  }
  // What is in the ring counts for the stretch that filled it; without a flood it is next to nothing.
  seen.offered += arrived_;
  seen.syns_offered += syns_arrived_;
  Seen rest;
  for (std::uint64_t before = ~std::uint64_t{0}; before != rest.out + rest.syns_out;) {
    before = rest.out + rest.syns_out;
    for (int i = 0; i < 8; ++i) turn(rest);
  }
  seen.out += rest.out;
  seen.syns_out += rest.syns_out;
}

}  // namespace ringplane::bench
