// FlowTable: one worker's flows, found by key in two cache misses that a burst overlaps.
//
//   index   64-byte buckets of ten (16-bit tag, record number); a flow lives in its primary bucket or, when that was
//           full, in one alternate (flow_index.h)
//   Flow    64 bytes, what every packet needs (flow.h)
//   wheel   8 bytes of links a flow (expiry_wheel.h)
//   ledger  16 bytes: creation time and the carries of the counters
//   IPv6    32 bytes: both addresses
//
// That is 128 bytes a flow, IPv6 included, taken once by create(). Life of a flow: insert() -> track() per packet ->
// it ends by timeout, after closing, by eviction, or by erase(); the EndHook hears of each end once, while the flow can
// still be read. Beginnings and ends come in bursts: what one flow of a burst waits for in memory (its record, its
// place in the index, the hook's accounts) is on its way for all of them.
//
// Full: insert() evicts a flow that is over or half-open, earliest deadline first, after at most kEvictionProbes
// looks; established flows are never evicted, nor half-open ones that were active in the last kAnswerTicks: their
// answer may be on its way (docs/design/011-floods.md). If it finds none the packet is flow_table_full.
//
// Time is the caller's now_ns (monotonic). A flow ends at most kSlotNs (0.27 s) after its deadline if expire() is
// called often enough to keep up (9 s where adaptive timeouts moved the deadline forward); its budget bounds the work
// of one call. Adaptive timeouts follow the number of flows in steps of at most a 1024th of the capacity. Thread: all
// members belong to the owning worker, except counters(), size(), capacity() and memory_bytes(), which any thread may
// read.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/branchless.h"
#include "base/counter.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/mapped_memory.h"
#include "base/result.h"
#include "base/vector_width.h"
#include "flow/conntrack.h"
#include "flow/established_lanes.h"
#include "flow/expiry_wheel.h"
#include "flow/flow.h"
#include "flow/flow_index.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {

/// Packets that look_up() takes at most.
inline constexpr std::size_t kMaxLookUp = 64;
inline constexpr std::uint32_t kMaxFlows = 1U << 30;

struct FlowTableOptions {
  std::uint32_t capacity = 1'000'000;  ///< flows, 1..kMaxFlows
  base::HashSecret secret{};           ///< the one with which the caller hashes keys
  bool huge_pages = true;              ///< try reserved, then transparent huge pages
  bool prefault = true;                ///< touch all memory now rather than on the burst path
  int memory_file = -1;                ///< the memory to use (base/memory_file.h), else the table takes its own
  bool settle_later = false;           ///< the table is of no use, and touches nothing in the file, before settle()
};

/// kTimeout: silent too long. kClosed: a closed or reset TCP flow whose timeout ran out, or that a new SYN replaced.
/// kEvicted: made room for another. kErased: by the owner.
enum class EndCause : std::uint8_t { kTimeout, kClosed, kEvicted, kErased };
inline constexpr std::size_t kEndCauseCount = 4;

struct EndedFlow {
  base::FlowId id;
  EndCause cause;
};
/// Flows that one call of the end hook speaks of at most.
inline constexpr std::size_t kMaxEnding = 64;

/// What a table found in the memory of one whose process has died (FlowTable::inherited()).
struct Inherited {
  std::uint32_t kept = 0;     ///< flows that go on
  std::uint32_t dropped = 0;  ///< of these, what did not hold together
  bool trusted = true;        ///< false: so much did not hold together that nothing was kept
};

class FlowTable;

/// Called with flows that end together, each flow in one call only, before their records are freed; must not change the
/// table.
struct EndHook {
  void (*function)(void* context, const FlowTable& table, std::span<const EndedFlow> ended) noexcept = nullptr;
  void* context = nullptr;
};

/// What the rules decided about a new flow.
struct FlowSetup {
  base::RulePathId path{};
  std::uint16_t generation = 0;
  std::uint8_t timeout_set = 0;
  std::uint8_t worker_flags = 0;  ///< of flow_flag::kWorkerFlags
};

enum class InsertOutcome : std::uint8_t { kInserted, kExists, kFull };
struct InsertResult {
  InsertOutcome outcome;
  base::FlowId id;  ///< the new or the existing flow; none if full
};

/// A flow written out for `show flows`: everything about it, both addresses included.
struct FlowDetails {
  wire::FlowKey key;
  bool original_upper = false;             ///< the original sender is endpoint 1 of `key`
  std::array<PeerState, 2> state{};        ///< by direction; text: state_name()
  std::array<std::uint64_t, 2> packets{};  ///< by direction
  std::array<std::uint64_t, 2> bytes{};    ///< by direction, IP bytes
  std::uint64_t age_ns = 0;
  std::uint64_t idle_ns = 0;
  std::uint64_t expires_in_ns = 0;  ///< if nothing more is seen
  base::RulePathId path{};
  base::FlowId id{};
  std::uint64_t at_ns = 0;  ///< when all this was so
};

/// What a flow has counted, and since when.
struct FlowTotals {
  std::array<std::uint64_t, 2> packets{};  ///< by direction
  std::array<std::uint64_t, 2> bytes{};    ///< by direction, IP bytes
  Tick began = 0;
};

struct FlowTableCounters {
  base::Counter inserted;
  std::array<base::Counter, kEndCauseCount> ended;  ///< by EndCause
  base::Counter full;                               ///< inserts refused
  base::Counter displaced;                          ///< index entries moved to make room for another
};

class FlowTable {
 public:
  /// Takes the memory. Fails with a sentence if the options make no sense or there is too little of it.
  [[nodiscard]] static base::Result<std::unique_ptr<FlowTable>> create(const FlowTableOptions& options,
                                                                       std::uint64_t now_ns);
  /// What memory_file has to hold.
  [[nodiscard]] static std::uint64_t bytes_for(std::uint32_t capacity) noexcept;
  /// Takes the memory over from whoever had it, who is dead by now. create() does it unless it is told `settle_later`.
  void settle(std::uint64_t now_ns);
  /// What the memory file of the table held when settle() took it over: a table that died in the middle of anything.
  /// Each flow was checked: the index must know it by its key, its state must be one that can be. All indexes are built
  /// anew. Flows that stay are of generation 0, so the rules judge them again, and of no path. Empty: the file was new.
  [[nodiscard]] const std::optional<Inherited>& inherited() const noexcept { return inherited_; }

  /// Fetches the bucket that find() of this hash reads first.
  [[gnu::always_inline]] void prefetch(std::uint64_t hash) const noexcept { index_.prefetch(hash); }
  /// The lines that look_up() and look_up_elsewhere() of this hash read, and then whoever asks for the flow: to be sent
  /// for ahead.
  [[nodiscard]] const void* place_of(std::uint64_t hash) const noexcept { return index_.primary_place(hash); }
  [[nodiscard]] const void* other_place_of(std::uint64_t hash) const noexcept { return index_.alternate_place(hash); }
  [[nodiscard]] const void* place_of(base::FlowId id) const noexcept { return &flows_[id.value]; }
  [[nodiscard]] const void* addresses_of(base::FlowId id) const noexcept { return &ipv6_addresses_[id.value]; }

  /// Bit i: of packet i.
  struct Likely {
    std::uint64_t found = 0;      ///< likely[i] is set; ask confirm() before using it
    std::uint64_t elsewhere = 0;  ///< ask look_up_elsewhere()
  };
  /// For each bit i of `wanted`: likely[i] = the flow that probably has the key of hashes[i], or none. Other elements
  /// of `likely` are left alone. Both spans are as long as the burst, at most kMaxLookUp; hashes[i] = key.hash(secret).
  [[nodiscard]] Likely look_up(std::span<const std::uint64_t> hashes, std::uint64_t wanted, base::VectorWidth width,
                               std::span<base::FlowId> likely) const noexcept;
  /// The same for those of Likely::elsewhere, some of one in twenty; returns which were found.
  [[nodiscard]] std::uint64_t look_up_elsewhere(std::span<const std::uint64_t> hashes, std::uint64_t wanted,
                                                std::span<base::FlowId> likely) const noexcept;
  /// The flow with this key, or none, given what look_up() said. Flows may have ended since then, but not begun.
  [[nodiscard]] base::FlowId confirm(base::FlowId likely, const wire::FlowKey& key, std::uint64_t hash) const noexcept {
    if (!likely.valid() || same_key(likely.value, key, hash)) [[likely]]
      return likely;
    return find(key, hash);
  }
  [[nodiscard]] base::FlowId find(const wire::FlowKey& key, std::uint64_t hash) const noexcept;

  /// Makes the flow whose first packet this is (can_start_flow(packet) holds) and counts the packet. If the flow
  /// exists already (made by an earlier packet of the same burst), returns that: track() it then.
  [[nodiscard]] InsertResult insert(const wire::Packet& packet, std::uint64_t hash, const FlowSetup& setup,
                                    std::uint64_t now_ns) noexcept;
  /// As insert(), for a packet whose key certainly has no flow.
  [[nodiscard]] InsertResult begin(const wire::Packet& packet, std::uint64_t hash, const FlowSetup& setup,
                                   std::uint64_t now_ns) noexcept;
  /// Before inserting flows with these hashes: evicts until there is a record for each, or nothing to evict (insert()
  /// evicts by itself, but waits for one victim after the other), and sends for what placing them reads.
  /// hashes.size() <= kMaxEnding.
  void make_room(std::span<const std::uint64_t> hashes, std::uint64_t now_ns) noexcept;
  /// Whether there is a record for a new flow, or a flow to evict for it. Costs next to nothing, flood or not.
  [[nodiscard]] bool has_room(std::uint64_t now_ns) noexcept {
    return size() < capacity_ || find_victim(tick_of(now_ns)) != ExpiryWheel::kNone;
  }
  /// Counts a flow that the caller did not even try to insert, because there is no room.
  void note_refused() noexcept { head_->counters.full.add(1); }
  /// Conntrack for one packet of flow `id` (conntrack.h: step); if it passes, counts it, notes the time and moves the
  /// flow's deadline forward where the new state has a shorter one.
  [[nodiscard]] StepResult track(base::FlowId id, const wire::Packet& packet, std::uint64_t now_ns) noexcept;
  /// The same for the common cases alone (established.h), for those of packets [first, first + 16) of a burst that
  /// `wanted` names (bit i: packet first + i; plain, and burst.likely[first + i] is a flow). Returns which were
  /// tracked, and for those paths[i] of their flows; the others are other cases or of other flows, and nothing has
  /// changed for them. Of several packets that may be of one flow only the first is tracked here, so that they stay in
  /// order.
  [[nodiscard]] std::uint16_t track_established(const EstablishedBurst& burst, std::size_t first, std::uint16_t wanted,
                                                base::VectorWidth width, base::RulePathId* paths) noexcept;
  /// Ends the flow.
  void erase(base::FlowId id, EndCause cause = EndCause::kErased) noexcept;
  /// Ends flows whose deadline has passed, looking at no more than `budget` flows. Returns how many it looked at; a
  /// return of `budget` means that more may be waiting.
  std::uint32_t expire(std::uint64_t now_ns, std::uint32_t budget) noexcept;

  /// The live flow `id`.
  [[nodiscard]] const Flow& at(base::FlowId id) const noexcept { return flows_[id.value]; }
  /// After a reload: what the rules of now say of the flow (conntrack state and counters stay).
  void set_rules(base::FlowId id, const FlowSetup& setup) noexcept;
  [[nodiscard]] wire::FlowKey key_of(base::FlowId id) const noexcept;
  [[nodiscard]] FlowTotals totals(base::FlowId id) const noexcept;
  [[nodiscard]] FlowDetails details(base::FlowId id, std::uint64_t now_ns) const noexcept;

  /// Calls visit(FlowId) for each live flow among the next `count` records from `cursor` on (0 to begin); returns the
  /// cursor to go on with, or 0 when all were seen. visit may erase the flow it is given. Flows made meanwhile may
  /// be missed.
  template <class Visit>
  std::uint32_t visit_slice(std::uint32_t cursor, std::uint32_t count, Visit&& visit) {
    const std::uint32_t fresh = head_->fresh;
    const std::uint32_t end = count < fresh - std::min(cursor, fresh) ? cursor + count : fresh;
    for (; cursor < end; ++cursor) {
      if (flows_[cursor].has(flow_flag::kLive)) visit(base::FlowId{cursor});
    }
    return cursor < fresh ? cursor : 0;
  }

  /// Sets the sets that Flow::timeout_set indexes; [0] is the global one; 1..256 of them. Applies to living flows the
  /// next time their deadline is looked at. Not on the burst path.
  void set_timeouts(std::span<const FlowTimeouts> sets);
  void set_end_hook(EndHook hook) noexcept { end_hook_ = hook; }

  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(size_.get()); }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
  /// All memory of the table, in bytes; at most 128 a flow from 1 M flows on.
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept { return memory_.used_bytes(); }
  [[nodiscard]] base::PageKind pages() const noexcept { return memory_.pages(); }
  [[nodiscard]] std::span<const std::byte> memory() const noexcept { return memory_.used(); }
  [[nodiscard]] const FlowTableCounters& counters() const noexcept { return head_->counters; }

 private:
  /// Of the memory: what whoever takes it over must know.
  struct Head {
    std::uint64_t layout = 0;  ///< kLayout once the rest is written
    std::uint32_t capacity = 0;
    std::uint32_t fresh = 0;  ///< records from here on were never used
    base::HashSecret secret{};
    FlowTableCounters counters;
  };
  /// To be changed whenever what lies in the memory changes its meaning.
  static constexpr std::uint64_t kLayout = 0x7270'666c'6f77'0001;
  /// What a flow has beyond its hot record: read when it ends or is shown, written when a counter carries over.
  struct Ledger {
    Tick created = 0;
    std::array<std::array<std::uint8_t, 3>, 2> packets_carry{};
    std::array<std::array<std::uint8_t, 3>, 2> bytes_carry{};
  };
  static_assert(sizeof(Ledger) == 16);
  /// One set of timeouts in ticks, for a table of size_step << size_step_shift_ flows.
  struct TimeoutTicks {
    static constexpr std::uint32_t kNever = 0xffff'ffff;
    std::uint32_t size_step = kNever;
    std::array<Tick, kTimeoutClassCount> ticks{};

    [[nodiscard]] Tick of(TimeoutClass timeout) const noexcept { return ticks[static_cast<std::size_t>(timeout)]; }
    void compute(const FlowTimeouts& timeouts, std::uint32_t step, std::uint32_t flows) noexcept;
  };
  using AddressPair = std::array<wire::IpAddress, 2>;
  static_assert(sizeof(AddressPair) == 32);
  static constexpr std::uint32_t kEvictionProbes = 8;
  static constexpr Tick kAnswerTicks = 30;  // 0.5 s: a round trip by satellite, but not a retransmission
  static constexpr Tick kSweepTicks = 512;  // 8.6 s

  FlowTable(const FlowTableOptions& options, base::MappedMemory memory, Tick now) noexcept;

  [[nodiscard]] bool same_key(std::uint32_t record, const wire::FlowKey& key, std::uint64_t hash) const noexcept {
    const Flow& flow = flows_[record];
    const bool ipv4 = key.family == wire::Family::kIpv4;
    const bool same = base::all_hold(flow.addresses == (ipv4 ? key.packed_ipv4() : hash),
                                     base::load64(flow.port.data()) == base::load64(key.port.data()),
                                     flow.protocol == key.protocol, flow.family == key.family);
    return same && (ipv4 || ipv6_addresses_[record] == key.address);
  }
  /// Inlined always: g++ 12 takes a function that only prefetches for one without effect, and drops calls of it.
  [[gnu::always_inline]] void prefetch_record(std::uint32_t record) const noexcept {
    __builtin_prefetch(&flows_[record], 1);
  }
  [[nodiscard]] std::uint32_t take_record() noexcept;
  void free_record(std::uint32_t record) noexcept;
  [[nodiscard]] std::uint64_t hash_of(std::uint32_t record) const noexcept;
  /// The timeouts of a flow in ticks, with as many flows as there are now.
  [[nodiscard]] const TimeoutTicks& timeouts_of(const Flow& flow) const noexcept {
    const std::size_t set = flow.timeout_set < timeouts_.size() ? flow.timeout_set : 0;
    TimeoutTicks& ticks = timeout_ticks_[set];
    const std::uint32_t step = size() >> size_step_shift_;
    if (ticks.size_step != step) [[unlikely]]
      ticks.compute(timeouts_[set], step, step << size_step_shift_);
    return ticks;
  }
  [[nodiscard]] Tick deadline_of(const Flow& flow) const noexcept {
    return flow.last_seen + timeouts_of(flow).of(timeout_class(flow));
  }
  [[nodiscard]] Tick eviction_deadline_of(const Flow& flow, Tick now) const noexcept;
  [[nodiscard]] ExpiryWheel& wheel_of(const Flow& flow) noexcept {
    return flow.has(flow_flag::kExpendable) ? expendable_ : settled_;
  }
  void link(std::uint32_t record) noexcept;
  void reschedule(std::uint32_t record) noexcept;
  [[nodiscard]] bool track_one(const EstablishedBurst& burst, std::size_t i) noexcept;
  void count(std::uint32_t record, wire::Direction direction, std::uint32_t ip_bytes) noexcept {
    count(record, static_cast<std::size_t>(direction), ip_bytes);
  }
  void count(std::uint32_t record, std::size_t side, std::uint32_t ip_bytes) noexcept {
    Flow& flow = flows_[record];
    flow.bytes[side] += ip_bytes;
    if (flow.bytes[side] < ip_bytes) [[unlikely]]
      carry_bytes(record, side);
    if (++flow.packets[side] == 0) [[unlikely]]
      carry_packets(record, side);
  }
  void carry_bytes(std::uint32_t record, std::size_t side) noexcept;
  void carry_packets(std::uint32_t record, std::size_t side) noexcept;
  [[nodiscard]] static bool may_be_evicted(const Flow& flow, Tick now) noexcept {
    return is_over(flow) || now - flow.last_seen >= kAnswerTicks;
  }
  [[nodiscard]] std::uint32_t find_victim(Tick now) noexcept;
  std::uint32_t evict(std::uint32_t count, Tick now) noexcept;
  void expire_burst(ExpiryWheel& wheel, Tick now, std::span<const std::uint32_t> due) noexcept;
  [[nodiscard]] std::uint32_t sweep(Tick now, std::uint32_t budget) noexcept;
  void end(std::span<const EndedFlow> ended) noexcept;

  /// Makes what the memory holds the table's own (inherit.cc).
  [[nodiscard]] Inherited inherit(Tick now);
  [[nodiscard]] bool holds_together(std::uint32_t record, Tick now) const noexcept;
  void enter(std::uint32_t record) noexcept;

  base::MappedMemory memory_;
  base::HashSecret secret_;
  std::uint32_t capacity_;
  Head* head_;
  std::uint32_t free_ = ExpiryWheel::kNone;  ///< freed records, chained through their wheel links
  FlowIndex index_;
  std::span<Flow> flows_;
  Flow spare_;  ///< of nobody; for vectors that are not full
  std::span<WheelLinks> links_;
  std::span<Ledger> ledgers_;
  std::span<AddressPair> ipv6_addresses_;
  ExpiryWheel expendable_;  ///< flows that are half-open or over
  ExpiryWheel settled_;     ///< the others
  std::vector<FlowTimeouts> timeouts_{1};
  mutable std::vector<TimeoutTicks> timeout_ticks_{1};  ///< what timeouts_ come to, filled in when asked for
  unsigned size_step_shift_;                            ///< adaptive timeouts follow the size in steps of 2^this
  Tick swept_;                                          ///< when sweep_owed_ was last brought up to date
  std::uint32_t sweep_owed_ = 0;                        ///< records to look at
  std::uint32_t sweep_cursor_ = 0;
  EndHook end_hook_;
  base::Counter size_;
  std::optional<Inherited> inherited_;
};

}  // namespace ringplane::flow
