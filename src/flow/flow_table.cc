#include "flow/flow_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "base/mapped_memory.h"
#include "base/result.h"
#include "base/vector_width.h"
#include "flow/conntrack.h"
#include "flow/established.h"
#include "flow/established_lanes.h"
#include "flow/expiry_wheel.h"
#include "flow/flow.h"
#include "flow/flow_index.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

void add_carry(std::array<std::uint8_t, 3>& carry) noexcept {
  for (auto& byte : carry) {
    if (++byte != 0) return;
  }
}

std::uint64_t value_of(const std::array<std::uint8_t, 3>& carry) noexcept {
  return carry[0] | (std::uint64_t{carry[1]} << 8) | (std::uint64_t{carry[2]} << 16);
}

/// The positions of the set bits of a mask, lowest first.
template <class Act>
void for_each_bit(std::uint64_t mask, Act&& act) noexcept {
  for (; mask != 0; mask &= mask - 1) act(static_cast<std::size_t>(std::countr_zero(mask)));
}

/// A table has between 2^10 and 2^11 steps of size by which adaptive timeouts go; a small one counts single flows.
constexpr unsigned kSizeStepBits = 11;
/// Records that a sweep reads ahead.
constexpr std::uint32_t kSweepAhead = 16;

}  // namespace

base::Result<std::unique_ptr<FlowTable>> FlowTable::create(const FlowTableOptions& options, std::uint64_t now_ns) {
  if (options.capacity == 0 || options.capacity > kMaxFlows) {
    return base::fail(
        "a flow table holds 1 to " + std::to_string(kMaxFlows) + " flows, not " + std::to_string(options.capacity),
        base::ErrorKind::kBadConfiguration);
  }
  const std::uint64_t bytes = bytes_for(options.capacity);
  constexpr const char* kWhat = "the flow table";
  constexpr const char* kRemedy = "lower flows.limit or `set limit states`";
  auto memory = options.memory_file < 0
                    ? base::MappedMemory::map(bytes, options.huge_pages, options.prefault, kWhat, kRemedy)
                    : base::MappedMemory::map_file(options.memory_file, bytes, options.huge_pages, kWhat, kRemedy);
  if (!memory) return std::unexpected(std::move(memory.error()));
  std::unique_ptr<FlowTable> table(new FlowTable(options, std::move(*memory), tick_of(now_ns)));
  if (!options.settle_later) table->settle(now_ns);
  return table;
}

void FlowTable::settle(std::uint64_t now_ns) {
  const Tick now = tick_of(now_ns);
  expendable_ = ExpiryWheel(links_, now);
  settled_ = ExpiryWheel(links_, now);
  swept_ = now;
  if (head_->layout != 0) inherited_ = inherit(now);
  head_->capacity = capacity_;
  head_->secret = secret_;
  head_->layout = kLayout;
}

std::uint64_t FlowTable::bytes_for(std::uint32_t capacity) noexcept {
  return base::MappedMemory::bytes_for<Head>(1) +
         base::MappedMemory::bytes_for<IndexBucket>(FlowIndex::buckets_for(capacity)) +
         base::MappedMemory::bytes_for<Flow>(capacity) + base::MappedMemory::bytes_for<WheelLinks>(capacity) +
         base::MappedMemory::bytes_for<Ledger>(capacity) + base::MappedMemory::bytes_for<AddressPair>(capacity);
}

FlowTable::FlowTable(const FlowTableOptions& options, base::MappedMemory memory, Tick now) noexcept
    : memory_(std::move(memory)),
      secret_(options.secret),
      capacity_(options.capacity),
      head_(memory_.take<Head>(1).data()),
      index_(memory_.take<IndexBucket>(FlowIndex::buckets_for(options.capacity))),
      flows_(memory_.take<Flow>(options.capacity)),
      links_(memory_.take<WheelLinks>(options.capacity)),
      ledgers_(memory_.take<Ledger>(options.capacity)),
      ipv6_addresses_(memory_.take<AddressPair>(options.capacity)),
      expendable_(links_, now),
      settled_(links_, now),
      size_step_shift_(static_cast<unsigned>(std::bit_width(options.capacity >> kSizeStepBits))),
      swept_(now) {}

// --- finding ---------------------------------------------------------------------------------------------------------

base::FlowId FlowTable::find(const wire::FlowKey& key, std::uint64_t hash) const noexcept {
  return {index_.find(hash, [&](std::uint32_t record) noexcept { return same_key(record, key, hash); })};
}

FlowTable::Likely FlowTable::look_up(std::span<const std::uint64_t> hashes, std::uint64_t wanted,
                                     base::VectorWidth width, std::span<base::FlowId> likely) const noexcept {
  // No branch may depend on a bucket that may still be on its way: a wrong guess would stop the reads behind it.
  static_assert(sizeof(base::FlowId) == sizeof(std::uint32_t));
  const FlowIndex::Candidates first =
      index_.candidates(hashes.data(), wanted, width, reinterpret_cast<std::uint32_t*>(likely.data()));
  return {.found = first.matches, .elsewhere = first.elsewhere};
}

std::uint64_t FlowTable::look_up_elsewhere(std::span<const std::uint64_t> hashes, std::uint64_t wanted,
                                           std::span<base::FlowId> likely) const noexcept {
  std::uint64_t found = 0;
  for_each_bit(wanted, [&](std::size_t i) noexcept {
    const FlowIndex::Candidate other = index_.alternate_candidate(hashes[i]);
    if (other.matches) likely[i] = base::FlowId{other.record};
    found |= std::uint64_t{other.matches} << i;
  });
  return found;
}

// --- beginning -------------------------------------------------------------------------------------------------------

std::uint32_t FlowTable::take_record() noexcept {
  if (free_ == ExpiryWheel::kNone) return head_->fresh < capacity_ ? head_->fresh++ : ExpiryWheel::kNone;
  const std::uint32_t record = std::exchange(free_, links_[free_].next);
  if (free_ != ExpiryWheel::kNone) {  // for whoever takes the next one
    __builtin_prefetch(&flows_[free_], 1);
    __builtin_prefetch(&links_[free_], 1);
  }
  return record;
}

void FlowTable::free_record(std::uint32_t record) noexcept {
  flows_[record].flags = 0;
  flows_[record].family = wire::Family::kNone;  // no key is equal to it any more (confirm())
  links_[record].next = free_;
  free_ = record;
}

InsertResult FlowTable::insert(const wire::Packet& packet, std::uint64_t hash, const FlowSetup& setup,
                               std::uint64_t now_ns) noexcept {
  if (const base::FlowId existing = find(packet.key, hash); existing.valid()) return {InsertOutcome::kExists, existing};
  return begin(packet, hash, setup, now_ns);
}

InsertResult FlowTable::begin(const wire::Packet& packet, std::uint64_t hash, const FlowSetup& setup,
                              std::uint64_t now_ns) noexcept {
  const wire::FlowKey& key = packet.key;
  std::uint32_t record = take_record();
  if (record == ExpiryWheel::kNone && evict(1, tick_of(now_ns)) != 0) record = take_record();
  if (record == ExpiryWheel::kNone) {
    head_->counters.full.add(1);
    return {InsertOutcome::kFull, {}};
  }
  const FlowIndex::Placed placed = index_.place(hash, record);
  if (placed == FlowIndex::Placed::kFull) {
    free_record(record);
    head_->counters.full.add(1);
    return {InsertOutcome::kFull, {}};
  }
  if (placed == FlowIndex::Placed::kDisplaced) head_->counters.displaced.add(1);

  Flow& flow = flows_[record] = Flow{};
  flow.addresses = key.family == wire::Family::kIpv4 ? key.packed_ipv4() : hash;
  flow.port = key.port;
  flow.zone = key.zone;
  flow.protocol = key.protocol;
  flow.family = key.family;
  flow.flags = static_cast<std::uint8_t>(flow_flag::kLive | flow_flag::kFirstPacket);
  if (packet.from_upper) flow.flags |= flow_flag::kOriginalUpper;
  flow.last_seen = tick_of(now_ns);
  if (key.family != wire::Family::kIpv4) ipv6_addresses_[record] = key.address;
  ledgers_[record] = Ledger{.created = flow.last_seen};
  set_rules({record}, setup);
  start(flow, packet);
  count(record, wire::Direction::kOriginal, packet.ip_length);
  link(record);
  size_.add(1);
  head_->counters.inserted.add(1);
  return {InsertOutcome::kInserted, {record}};
}

void FlowTable::make_room(std::span<const std::uint64_t> hashes, std::uint64_t now_ns) noexcept {
  const auto wanted = static_cast<std::uint32_t>(hashes.size());
  // Most have a place in their primary bucket, which was looked at when the flow was looked for. In a full table a
  // third have not, and some of these find their alternate full too: then neighbours have to move.
  for (const std::uint64_t hash : hashes) index_.prefetch_place(hash);
  if (const std::uint32_t free = capacity_ - size(); free < wanted) evict(wanted - free, tick_of(now_ns));
  for (const std::uint64_t hash : hashes) index_.prefetch_displacement(hash);
}

void FlowTable::set_rules(base::FlowId id, const FlowSetup& setup) noexcept {
  Flow& flow = flows_[id.value];
  flow.path = setup.path;
  flow.generation = setup.generation;
  flow.timeout_set = setup.timeout_set;
  flow.flags = static_cast<std::uint8_t>((flow.flags & ~flow_flag::kWorkerFlags) |
                                         (setup.worker_flags & flow_flag::kWorkerFlags));
}

// --- living ----------------------------------------------------------------------------------------------------------

StepResult FlowTable::track(base::FlowId id, const wire::Packet& packet, std::uint64_t now_ns) noexcept {
  Flow& flow = flows_[id.value];
  const std::array<std::uint8_t, 2> peer_before = flow.peer;
  const StepResult result = step(flow, packet);
  if (result.reason != base::DropReason::none || result.restart) return result;
  count(id.value, flow.direction_of(packet), packet.ip_length);
  if (packet.kind == wire::PacketKind::kIcmpError) return result;  // a third party's word does not keep a flow alive
  flow.last_seen = tick_of(now_ns);
  flow.flags = static_cast<std::uint8_t>(flow.flags & ~flow_flag::kFirstPacket);
  if (flow.peer != peer_before) reschedule(id.value);
  return result;
}

bool FlowTable::track_one(const EstablishedBurst& burst, std::size_t i) noexcept {
  const std::uint32_t record = burst.likely[i].value;
  Flow& flow = flows_[record];
  const EstablishedPacket packet = EstablishedPacket::of(burst.headers, i, (burst.second_side >> i & 1) != 0);
  const bool is_udp = (burst.headers.udp >> i & 1) != 0;
  const bool tracked = is_udp ? differs(flow, packet, EstablishedFlow::udp(burst.generation)) == 0
                              : (burst.headers.ordinary >> i & 1) != 0 &&
                                    step_established(flow, packet, EstablishedFlow::tcp(burst.generation));
  if (!tracked) return false;
  count(record, sender_of(flow, packet), packet.ip_length);
  flow.last_seen = burst.now;
  return true;
}

std::uint16_t FlowTable::track_established(const EstablishedBurst& burst, std::size_t first, std::uint16_t wanted,
                                           base::VectorWidth width, base::RulePathId* paths) noexcept {
  constexpr std::size_t kGroup = 16;
  wanted &= EstablishedLanes::first_of_kind(&burst.likely[first], width);
  if (width == base::VectorWidth::kAvx512) {
    const EstablishedLanes lanes = EstablishedLanes::step(burst, first, wanted, flows_.data(), &spare_, paths);
    const auto side_of = [&](std::uint32_t record, std::size_t i) {
      return (flows_[record].flags >> 1 ^ burst.headers.from_upper >> (first + i)) & 1;
    };
    for_each_bit(lanes.bytes_carry, [&](std::size_t i) {
      const std::uint32_t record = burst.likely[first + i].value;
      carry_bytes(record, side_of(record, i));
    });
    for_each_bit(lanes.packets_carry, [&](std::size_t i) {
      const std::uint32_t record = burst.likely[first + i].value;
      carry_packets(record, side_of(record, i));
    });
    return lanes.tracked;
  }
  std::uint16_t tracked = 0;
  for (std::size_t i = 0; i < kGroup; ++i) {
    if ((wanted >> i & 1) == 0 || !track_one(burst, first + i)) continue;
    paths[i] = flows_[burst.likely[first + i].value].path;
    tracked |= static_cast<std::uint16_t>(1U << i);
  }
  return tracked;
}

void FlowTable::carry_bytes(std::uint32_t record, std::size_t side) noexcept {
  add_carry(ledgers_[record].bytes_carry[side]);
}
void FlowTable::carry_packets(std::uint32_t record, std::size_t side) noexcept {
  add_carry(ledgers_[record].packets_carry[side]);
}

void FlowTable::TimeoutTicks::compute(const FlowTimeouts& timeouts, std::uint32_t step, std::uint32_t flows) noexcept {
  size_step = step;
  for (std::size_t i = 0; i < ticks.size(); ++i) ticks[i] = timeouts.ticks(static_cast<TimeoutClass>(i), flows);
}

void FlowTable::link(std::uint32_t record) noexcept {
  Flow& flow = flows_[record];
  flow.flags = static_cast<std::uint8_t>(phase_of(flow).expendable() ? flow.flags | flow_flag::kExpendable
                                                                     : flow.flags & ~flow_flag::kExpendable);
  wheel_of(flow).link(record, deadline_of(flow));
}

/// After a change of state: the wheel finds out by itself that a deadline moved back, but not that it moved forward or
/// that the flow may be evicted now.
void FlowTable::reschedule(std::uint32_t record) noexcept {
  const Flow& flow = flows_[record];
  const FlowPhase phase = phase_of(flow);
  const bool ending = phase.timeout == TimeoutClass::kTcpClosing || phase.timeout == TimeoutClass::kTcpFinWait ||
                      phase.timeout == TimeoutClass::kTcpClosed;
  if (phase.expendable() == flow.has(flow_flag::kExpendable) && !ending) return;
  wheel_of(flow).unlink(record);
  link(record);
}

// --- ending ----------------------------------------------------------------------------------------------------------

std::uint64_t FlowTable::hash_of(std::uint32_t record) const noexcept {
  const Flow& flow = flows_[record];
  return flow.family == wire::Family::kIpv4 ? key_of({record}).hash(secret_) : flow.addresses;
}

/// Ends flows that are in no wheel any more and whose records are in the cache or on their way.
void FlowTable::end(std::span<const EndedFlow> ended) noexcept {
  std::array<std::uint64_t, kMaxEnding> hashes;
  // Send for the entries in the index: first for the primary buckets ...
  for (std::size_t i = 0; i < ended.size(); ++i) {
    hashes[i] = hash_of(ended[i].id.value);
    index_.prefetch(hashes[i]);
  }
  if (end_hook_.function != nullptr) end_hook_.function(end_hook_.context, *this, ended);
  // ... then, where the entry is a guest elsewhere, for that.
  for (std::size_t i = 0; i < ended.size(); ++i) index_.prefetch_guest(hashes[i], ended[i].id.value);
  for (std::size_t i = 0; i < ended.size(); ++i) {
    index_.remove(hashes[i], ended[i].id.value);
    free_record(ended[i].id.value);
    head_->counters.ended[static_cast<std::size_t>(ended[i].cause)].add(1);
  }
  size_.subtract(ended.size());
}

void FlowTable::erase(base::FlowId id, EndCause cause) noexcept {
  wheel_of(flows_[id.value]).unlink(id.value);
  const EndedFlow ended{id, cause};
  end({&ended, 1});
}

/// Where a flow that is looked at for eviction belongs among those that may go: at its deadline, with two exceptions. A
/// one-way stream (syslog, a tunnel) has a shorter timeout after its second packet than after its first, and would go
/// before any flood of single packets. And a flow too young to go would hide older ones whose timeout is longer. While
/// the table is full such flows may outlive their timeout by the difference.
Tick FlowTable::eviction_deadline_of(const Flow& flow, Tick now) const noexcept {
  const Tick deadline = deadline_of(flow);
  const TimeoutTicks& ticks = timeouts_of(flow);
  Tick least = 0;
  if (!may_be_evicted(flow, now)) {
    least = std::max({ticks.of(TimeoutClass::kTcpFirst), ticks.of(TimeoutClass::kUdpFirst),
                      ticks.of(TimeoutClass::kIcmpFirst), ticks.of(TimeoutClass::kOtherFirst)});
  } else if (flow.protocol != wire::protocol::kTcp && !flow.has(flow_flag::kFirstPacket)) {
    least = ticks.of(TimeoutClass::kUdpFirst);
  }
  const Tick kept_until = flow.last_seen + least;
  return static_cast<std::int32_t>(kept_until - deadline) > 0 ? kept_until : deadline;
}

/// The expendable flow to end next; it stays in its wheel. One that was active since it was linked gets a second
/// chance. kNone: there is none, or its answer may still be on its way.
std::uint32_t FlowTable::find_victim(Tick now) noexcept {
  std::uint32_t victim = ExpiryWheel::kNone;
  for (std::uint32_t probe = 0; probe < kEvictionProbes; ++probe) {
    victim = expendable_.earliest();
    if (victim == ExpiryWheel::kNone) return victim;
    const Tick deadline = eviction_deadline_of(flows_[victim], now);
    if (!expendable_.later_than_earliest(deadline)) break;
    expendable_.unlink(victim);
    expendable_.link(victim, deadline);
  }
  return may_be_evicted(flows_[victim], now) ? victim : ExpiryWheel::kNone;
}

/// Ends up to `count` expendable flows; returns how many.
std::uint32_t FlowTable::evict(std::uint32_t count, Tick now) noexcept {
  std::array<EndedFlow, kMaxEnding> ended;
  count = std::min<std::uint32_t>(count, kMaxEnding);
  std::uint32_t victims = 0;
  for (; victims < count; ++victims) {
    const std::uint32_t victim = find_victim(now);
    if (victim == ExpiryWheel::kNone) break;
    expendable_.unlink(victim);
    ended[victims] = {base::FlowId{victim}, EndCause::kEvicted};
  }
  if (victims == 0) return 0;
  end({ended.data(), victims});
  // Where some have to go, as many are likely to have to go next: under a flood it is the same for every burst.
  std::uint32_t next = expendable_.earliest();
  for (std::uint32_t i = 0; i < count && next != ExpiryWheel::kNone; ++i) {
    __builtin_prefetch(&flows_[next], 1);
    next = expendable_.behind(next);
  }
  if (next != ExpiryWheel::kNone) expendable_.prefetch(next);
  return victims;
}

std::uint32_t FlowTable::expire(std::uint64_t now_ns, std::uint32_t budget) noexcept {
  const Tick now = tick_of(now_ns);
  std::uint32_t looked_at = 0;
  for (ExpiryWheel* wheel : {&expendable_, &settled_}) {
    while (looked_at < budget) {
      std::array<std::uint32_t, kMaxEnding> due;
      const std::uint32_t wanted = std::min(static_cast<std::uint32_t>(kMaxEnding), budget - looked_at);
      std::uint32_t taken = 0;
      for (; taken < wanted; ++taken) {
        due[taken] = wheel->first_due(now);
        if (due[taken] == ExpiryWheel::kNone) break;
        wheel->unlink(due[taken]);
        __builtin_prefetch(&flows_[due[taken]], 1);
      }
      expire_burst(*wheel, now, std::span(due).first(taken));
      looked_at += taken;
      if (taken < wanted) break;
    }
  }
  if (looked_at < budget) looked_at += sweep(now, budget - looked_at);
  return looked_at;
}

/// While adaptive timeouts shrink, the wheel does not know that deadlines moved forward: walk over all records once in
/// kSweepTicks and end what is due. Neighbours in memory, so a record costs little.
std::uint32_t FlowTable::sweep(Tick now, std::uint32_t budget) noexcept {
  if (now != swept_) {
    const bool shrunk = std::ranges::any_of(timeouts_, [this](const FlowTimeouts& set) noexcept {
      return set.adaptive_end_flows > set.adaptive_start_flows && size() > set.adaptive_start_flows;
    });
    const std::uint64_t elapsed = std::min(now - swept_, kSweepTicks);
    const std::uint64_t more = (head_->fresh * elapsed + kSweepTicks - 1) / kSweepTicks;
    sweep_owed_ = shrunk ? static_cast<std::uint32_t>(std::min(sweep_owed_ + more, std::uint64_t{head_->fresh})) : 0;
    swept_ = now;
  }
  const std::uint32_t records = std::min(sweep_owed_, budget);
  sweep_owed_ -= records;
  for (std::uint32_t i = 0; i < records; ++i) {
    if (++sweep_cursor_ >= head_->fresh) sweep_cursor_ = 0;
    __builtin_prefetch(&flows_[std::min(sweep_cursor_ + kSweepAhead, head_->fresh - 1)]);
    const Flow& flow = flows_[sweep_cursor_];
    if (!flow.has(flow_flag::kLive) || static_cast<std::int32_t>(now - deadline_of(flow)) <= 0) continue;
    erase(base::FlowId{sweep_cursor_}, is_over(flow) ? EndCause::kClosed : EndCause::kTimeout);
  }
  return records;
}

/// Ends or links anew the flows of `due`, which were taken out of `wheel`.
void FlowTable::expire_burst(ExpiryWheel& wheel, Tick now, std::span<const std::uint32_t> due) noexcept {
  std::array<EndedFlow, kMaxEnding> ended;
  std::size_t count = 0;
  for (const std::uint32_t record : due) {
    const Flow& flow = flows_[record];
    const Tick deadline = deadline_of(flow);
    if (static_cast<std::int32_t>(now - deadline) > 0) {
      ended[count++] = {base::FlowId{record}, is_over(flow) ? EndCause::kClosed : EndCause::kTimeout};
    } else {
      wheel.link(record, deadline);
    }
  }
  end({ended.data(), count});
}

// --- looking ---------------------------------------------------------------------------------------------------------

wire::FlowKey FlowTable::key_of(base::FlowId id) const noexcept {
  const Flow& flow = flows_[id.value];
  wire::FlowKey key;
  if (flow.family == wire::Family::kIpv4) {
    const std::array<std::uint32_t, 2> address{static_cast<std::uint32_t>(flow.addresses >> 32),
                                               static_cast<std::uint32_t>(flow.addresses)};
    std::memcpy(key.address[0].bytes.data(), &address[0], 4);
    std::memcpy(key.address[1].bytes.data(), &address[1], 4);
  } else {
    key.address = ipv6_addresses_[id.value];
  }
  key.port = flow.port;
  key.zone = flow.zone;
  key.protocol = flow.protocol;
  key.family = flow.family;
  return key;
}

FlowTotals FlowTable::totals(base::FlowId id) const noexcept {
  const Flow& flow = flows_[id.value];
  const Ledger& ledger = ledgers_[id.value];
  FlowTotals totals{.began = ledger.created};
  for (std::size_t side = 0; side < 2; ++side) {
    totals.packets[side] = flow.packets[side] | (value_of(ledger.packets_carry[side]) << 16);
    totals.bytes[side] = flow.bytes[side] | (value_of(ledger.bytes_carry[side]) << 32);
  }
  return totals;
}

FlowDetails FlowTable::details(base::FlowId id, std::uint64_t now_ns) const noexcept {
  const Flow& flow = flows_[id.value];
  const FlowTotals totals = this->totals(id);
  const Tick now = tick_of(now_ns);
  const auto left = static_cast<std::int32_t>(deadline_of(flow) - now);
  FlowDetails details{
      .key = key_of(id),
      .original_upper = flow.has(flow_flag::kOriginalUpper),
      .packets = totals.packets,
      .bytes = totals.bytes,
      .age_ns = Tick{now - totals.began} * kTickNs,
      .idle_ns = Tick{now - flow.last_seen} * kTickNs,
      .expires_in_ns = left > 0 ? static_cast<std::uint64_t>(left) * kTickNs : 0,
      .path = flow.path,
      .id = id,
      .at_ns = now_ns,
  };
  for (std::size_t side = 0; side < 2; ++side) details.state[side] = flow.state(static_cast<wire::Direction>(side));
  return details;
}

void FlowTable::set_timeouts(std::span<const FlowTimeouts> sets) {
  timeouts_.assign(sets.begin(), sets.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(sets.size(), 256)));
  if (timeouts_.empty()) timeouts_.emplace_back();
  timeout_ticks_.assign(timeouts_.size(), {});
}

}  // namespace ringplane::flow
