// Lookups in a full table, uniformly random, in bursts of 64, beside the bare two-miss probe: the same two dependent
// reads (a random bucket, then the record it names) overlapped in the same two passes, with nothing compared. The ratio
// of the two is the figure that counts; both are taken in one run. Packets lie in a small array and only their keys
// change, as a worker's do.
//
//   flow_table_bench --benchmark_filter='10000/|1000000/'      without 10 M flows, which take 1.4 GB
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/mapped_memory.h"
#include "base/random.h"
#include "base/vector_width.h"
#include "flow/flow.h"
#include "flow/flow_index.h"
#include "flow/flow_table.h"
#include "flow/test_packets.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

constexpr std::size_t kBurst = 64;
constexpr std::uint64_t kNow = 1'000'000'000'000;
const base::HashSecret kSecret = base::secret_from_seed(3);

/// A table of `flows` established flows; kept from one benchmark to the next of the same size.
FlowTable& table_of(std::uint32_t flows) {
  static std::unique_ptr<FlowTable> table;
  if (table != nullptr && table->capacity() == flows) return *table;
  table.reset();
  auto made = FlowTable::create({.capacity = flows, .secret = kSecret}, kNow);
  if (!made) std::abort();
  table = std::move(*made);
  for (std::uint32_t i = 0; i < flows; ++i) {
    const auto segments = handshake_of(i);
    const auto id = table->insert(segments[0], segments[0].key.hash(kSecret), {}, kNow).id;
    for (const std::size_t step : {1U, 2U}) (void)table->track(id, segments[step], kNow);
  }
  return *table;
}

/// The acknowledgment that the client of a random flow sends once more.
void fill(std::span<wire::Packet> packets, std::span<std::uint64_t> hashes, base::Random& random, std::uint64_t flows) {
  for (std::size_t i = 0; i < packets.size(); ++i) {
    packets[i] = handshake_of(static_cast<std::uint32_t>(random.below(flows)))[2];
    hashes[i] = packets[i].key.hash(kSecret);
  }
}

double seconds_since(std::uint64_t begin_ns) {
  return static_cast<double>(base::monotonic_ns() - begin_ns) * 1e-9;
}

template <bool kTrack>
void run_bursts(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  FlowTable& table = table_of(flows);
  base::Random random(4);
  std::array<wire::Packet, kBurst> packets;
  std::array<std::uint64_t, kBurst> hashes;
  std::array<base::FlowId, kBurst> found;
  std::uint64_t hits = 0;
  std::uint64_t passed = 0;
  for (auto _ : state) {
    fill(packets, hashes, random, flows);
    const std::uint64_t begin_ns = base::monotonic_ns();
    for (const std::uint64_t hash : hashes) table.prefetch(hash);
    const FlowTable::Likely likely = table.look_up(hashes, ~0ULL, base::widest_vectors(), found);
    for (std::size_t i = 0; i < kBurst; ++i) {
      if ((likely.found >> i & 1) != 0) __builtin_prefetch(table.place_of(found[i]));
    }
    benchmark::DoNotOptimize(table.look_up_elsewhere(hashes, likely.elsewhere, found));
    for (std::size_t i = 0; i < kBurst; ++i) {
      found[i] = table.confirm(found[i], packets[i].key, hashes[i]);
      hits += found[i].valid();
      if constexpr (kTrack) passed += table.track(found[i], packets[i], kNow).reason == base::DropReason::none;
    }
    state.SetIterationTime(seconds_since(begin_ns));
  }
  const auto looked_up = static_cast<std::uint64_t>(state.iterations()) * kBurst;
  state.SetItemsProcessed(static_cast<std::int64_t>(looked_up));
  if (hits != looked_up) state.SkipWithError("a flow was not found");
  if (kTrack && passed != hits) state.SkipWithError("a packet was dropped");
}

void find_burst(benchmark::State& state) {
  run_bursts<false>(state);
}
void find_burst_and_track(benchmark::State& state) {
  run_bursts<true>(state);
}

void two_miss_probe(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  const std::uint64_t bucket_count = FlowIndex::buckets_for(flows);
  auto memory = base::MappedMemory::map(
      base::MappedMemory::bytes_for<IndexBucket>(bucket_count) + base::MappedMemory::bytes_for<Flow>(flows), true, true,
      "the bench", "ask for less");
  if (!memory) std::abort();
  const auto buckets = memory->take<IndexBucket>(bucket_count);
  const auto records = memory->take<Flow>(flows);
  base::Random random(5);
  for (auto& bucket : buckets) {
    for (auto& record : bucket.record) record = static_cast<std::uint32_t>(random.below(flows));
  }
  std::array<std::uint64_t, kBurst> at;
  std::array<std::uint32_t, kBurst> record;
  std::uint64_t sum = 0;
  for (auto _ : state) {
    for (auto& place : at) place = random.below(bucket_count);
    const std::uint64_t begin_ns = base::monotonic_ns();
    for (std::size_t i = 0; i < kBurst; ++i) __builtin_prefetch(&buckets[at[i]]);
    for (std::size_t i = 0; i < kBurst; ++i) {
      record[i] = buckets[at[i]].record[i % kBucketSlots];
      __builtin_prefetch(&records[record[i]]);
    }
    for (std::size_t i = 0; i < kBurst; ++i) sum += records[record[i]].addresses;
    state.SetIterationTime(seconds_since(begin_ns));
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBurst));
}

/// Three packets a flow, into an empty table until it is full.
void connect(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  std::vector<std::array<wire::Packet, 3>> segments(1024);
  for (auto _ : state) {
    state.PauseTiming();
    auto table = std::move(FlowTable::create({.capacity = flows, .secret = kSecret}, kNow).value());
    for (std::uint32_t first = 0; first < flows; first += 1024) {
      for (std::uint32_t i = 0; i < 1024; ++i) segments[i] = handshake_of(first + i);
      state.ResumeTiming();
      for (std::uint32_t i = 0; i < 1024 && first + i < flows; ++i) {
        const auto id = table->insert(segments[i][0], segments[i][0].key.hash(kSecret), {}, kNow).id;
        for (const std::size_t step : {1U, 2U}) (void)table->track(id, segments[i][step], kNow);
      }
      state.PauseTiming();
    }
    table.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * flows);
}

/// SYNs from random sources into a full table: each evicts the oldest.
void flood(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  auto table = std::move(FlowTable::create({.capacity = flows, .secret = kSecret}, kNow).value());
  std::uint32_t number = 0;
  for (; number < flows; ++number) {
    const wire::Packet syn = syn_of(number);
    (void)table->insert(syn, syn.key.hash(kSecret), {}, kNow + number);
  }
  for (auto _ : state) {
    const wire::Packet syn = syn_of(number);
    benchmark::DoNotOptimize(table->insert(syn, syn.key.hash(kSecret), {}, kNow + number));
    ++number;
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(two_miss_probe)->UseManualTime()->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000);
BENCHMARK(find_burst)->UseManualTime()->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000);
BENCHMARK(find_burst_and_track)->UseManualTime()->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000);
BENCHMARK(connect)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(flood)->Arg(1'000'000);

}  // namespace
}  // namespace ringplane::flow
