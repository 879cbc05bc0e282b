// Rig: a data plane in memory to be measured. The workers, tables and pipeline are those of `ringplane run`; the two
// ports, lan and wan, are rings in memory (port/pair), and whoever measures stands at their far ends: an Endpoint per
// worker makes frames and takes those that come out.
//
// An Endpoint either shares its worker's thread and frame pool, as a NIC takes its receive buffers from the worker, or
// (`own_pools`) has a pool of its own and may be on another thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "bench/traffic.h"
#include "firewall/policy.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/port.h"
#include "worker/mailbox.h"
#include "worker/rule_counts.h"
#include "worker/snapshot.h"
#include "worker/worker.h"

namespace ringplane::bench {

inline constexpr std::uint32_t kBurst = frame::Burst::kCapacity;

inline constexpr base::PortId kLan{0};
inline constexpr base::PortId kWan{1};

/// The rules of `text` (named `name` in messages) for the two ports of a rig; kBadConfiguration with all errors.
[[nodiscard]] base::Result<std::shared_ptr<const firewall::Policy>> policy_of(const std::string& name,
                                                                              const std::string& text);
/// The policy with the rules of `text` in place of rules [first, first + count).
[[nodiscard]] base::Result<std::shared_ptr<const firewall::Policy>> with_rules_of_text(const firewall::Policy& policy,
                                                                                       std::size_t first,
                                                                                       std::size_t count,
                                                                                       const std::string& text);

struct RigOptions {
  std::uint32_t workers = 1;
  std::uint32_t flows_per_worker = 1'000'000;
  std::uint32_t ring_slots = 1024;
  std::uint32_t frames_per_worker = 4096;
  bool own_pools = false;
  std::uint64_t seed = 1;
  bool flow_records = false;  ///< workers report flows that end; take_flow_records() is due now and then
};

/// The far ends of one worker's queues. One thread at a time.
class Endpoint {
 public:
  Endpoint(frame::Arena& arena, frame::FramePool& pool, worker::Mailbox* mailbox, std::unique_ptr<port::Queue> lan,
           std::unique_ptr<port::Queue> wan)
      : arena_(&arena), pool_(&pool), mailbox_(mailbox), queues_{std::move(lan), std::move(wan)} {}

  /// Sends up to 64 frames towards `port`, frame i written by write(bytes, i); returns how many: fewer if frames or
  /// slots run out.
  template <class Write>
  std::uint32_t send(base::PortId port, std::uint32_t count, Write&& write) {
    std::array<std::uint64_t, kBurst> addresses;
    count = pool_->take(addresses.data(), count);
    std::array<frame::Frame, kBurst> frames;
    for (std::uint32_t i = 0; i < count; ++i) {
      frames[i] = {.address = addresses[i], .length = kFrameBytes, .port = port};
      write(arena_->base() + addresses[i], i);
    }
    const std::uint32_t sent = queues_[port.value]->transmit({frames.data(), count});
    for (std::uint32_t i = sent; i < count; ++i) pool_->give(addresses[i]);
    return sent;
  }
  /// Takes what has come out of `port` and gives the frames back: up to 64, seen by look(bytes); returns how many.
  template <class Look>
  std::uint32_t take(base::PortId port, Look&& look) {
    burst_.clear();
    const std::uint32_t count = queues_[port.value]->receive(burst_);
    for (const frame::Frame& frame : burst_.frames()) {
      look(arena_->base() + frame.address);
      pool_->give(frame.address);
    }
    return count;
  }
  /// With a pool of its own: takes in the frames that the worker dropped and sent home.
  void read_mail();
  void close();
  [[nodiscard]] frame::FramePool& pool() noexcept { return *pool_; }

 private:
  frame::Arena* arena_;
  frame::FramePool* pool_;
  worker::Mailbox* mailbox_;  // nullptr: shares the worker's pool
  std::array<std::unique_ptr<port::Queue>, 2> queues_;
  frame::Burst burst_;
};

class Rig {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<Rig>> create(const RigOptions& options,
                                                                 std::shared_ptr<const firewall::Policy> policy,
                                                                 std::uint64_t now_ns);
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  [[nodiscard]] worker::Worker& worker(std::size_t index) noexcept { return *workers_[index]; }
  [[nodiscard]] Endpoint& endpoint(std::size_t index) noexcept { return endpoints_[index]; }
  [[nodiscard]] std::size_t size() const noexcept { return workers_.size(); }
  [[nodiscard]] const worker::Snapshot& snapshot() const noexcept { return *snapshots_.back(); }

  /// Posts a new policy to every worker, as the control plane does; reloaded() tells when all have taken it.
  base::Result<void> reload(std::shared_ptr<const firewall::Policy> policy);
  [[nodiscard]] bool reloaded() const noexcept;
  /// Then: what the rules before have counted goes over, as the control plane does it. The thread that called reload().
  void carry_over();

  /// Frames dropped for any reason, over all workers.
  [[nodiscard]] std::uint64_t dropped() const noexcept;
  /// {"reason": count} of those.
  [[nodiscard]] std::string drops_text() const;
  [[nodiscard]] std::uint64_t live_flows() const noexcept;
  [[nodiscard]] std::uint64_t flow_table_bytes() const noexcept;
  /// Packets counted over all pairs of rules of the present snapshot.
  [[nodiscard]] std::uint64_t packets_by_rule() const noexcept;
  /// Packets counted over all live flows; walks the tables.
  [[nodiscard]] std::uint64_t packets_by_flow(std::uint64_t now_ns);

  /// Ends all queues; the number of frames that are in no pool: 0, or a bug. The rig is of no use afterwards.
  [[nodiscard]] std::uint32_t missing_frames();

 private:
  Rig(const RigOptions& options, frame::Arena arena);
  base::Result<void> add_snapshot(std::shared_ptr<const firewall::Policy> policy);

  RigOptions options_;
  frame::Arena arena_;
  std::vector<std::unique_ptr<frame::FramePool>> pools_;  // the workers', then the endpoints' own
  std::vector<std::unique_ptr<worker::Mailbox>> mailboxes_;
  std::vector<std::unique_ptr<worker::Snapshot>> snapshots_;
  std::vector<worker::RuleTotals::Paths> paths_;      // by snapshot
  std::optional<worker::RuleSuccession> succession_;  // of the last reload
  worker::RuleTotals totals_;
  std::vector<std::unique_ptr<worker::SnapshotChange>> changes_;
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  std::vector<Endpoint> endpoints_;
};

}  // namespace ringplane::bench
