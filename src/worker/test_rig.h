// TestRig: a data plane in memory for tests and benchmarks: two pair ports, lan and wan, joined by a bridge, and any
// number of workers, turned by the calling thread with a clock of its own, or each on a thread (start_threads()). The
// test stands at the far ends with a pool of its own, and gets frames home by mail like a worker.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "firewall/parser.h"
#include "firewall/policy.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/pair/pair_port.h"
#include "port/port.h"
#include "wire/bytes.h"
#include "worker/mailbox.h"
#include "worker/rule_counts.h"
#include "worker/rule_paths.h"
#include "worker/snapshot.h"
#include "worker/worker.h"

namespace ringplane::worker {

inline constexpr base::PortId kLan{0};
inline constexpr base::PortId kWan{1};

struct TestRigOptions {
  std::uint32_t workers = 1;
  std::uint32_t frames_per_worker = 1024;
  std::uint32_t flow_capacity = 1000;
  std::uint32_t source_capacity = 100;
  std::uint32_t mailbox_slots = 256;
  std::uint32_t log_per_second = 1'000'000;
  std::uint32_t flow_record_slots = 0;
  std::uint32_t mtu = 1500;
  NonIp non_ip = NonIp::kPass;
};

class TestRig {
 public:
  using Bytes = std::vector<std::uint8_t>;

  explicit TestRig(const std::string& rules, const TestRigOptions& options = {})
      : options_(options), arena_(make_arena(options)) {
    for (std::uint32_t i = 0; i <= options.workers; ++i) {
      pools_.push_back(
          std::make_unique<frame::FramePool>(arena_, i * options.frames_per_worker, options.frames_per_worker));
      mailboxes_.push_back(std::make_unique<Mailbox>(options.workers, options.mailbox_slots));
    }
    lan_ = port::make_pair_ports({.first_id = kLan, .second_id = kLan, .queues = options.workers});
    wan_ = port::make_pair_ports({.first_id = kWan, .second_id = kWan, .queues = options.workers});
    make_snapshot_of(rules);
    totals_ = RuleTotals(snapshot_->policy->rule_count());
    for (std::uint8_t i = 0; i < options.workers; ++i) {
      paths_.push_back(std::make_unique<RulePaths>(static_cast<std::uint32_t>(snapshot_->policy->rule_count())));
      SnapshotChange first{.snapshot = snapshot_.get(), .paths = paths_.back().get(), .additions = {}};
      auto worker = Worker::create({.id = base::WorkerId{i},
                                    .worker_count = options.workers,
                                    .secret = base::secret_from_seed(7),
                                    .flow_capacity = options.flow_capacity,
                                    .source_capacity = options.source_capacity,
                                    .overlay_capacity = 100,
                                    .log_per_second = options.log_per_second,
                                    .flow_record_slots = options.flow_record_slots,
                                    .replies_per_second = 1'000'000,
                                    .huge_pages = false},
                                   arena_, *pools_[i], options.frames_per_worker, mailboxes_, first, now_ns);
      workers_.push_back(checked(std::move(worker)));
      workers_.back()->attach(kLan, checked(lan_.first->open_queue(i, *pools_[i])));
      workers_.back()->attach(kWan, checked(wan_.first->open_queue(i, *pools_[i])));
      far_.push_back(
          {checked(lan_.second->open_queue(i, *pools_[i])), checked(wan_.second->open_queue(i, *pools_[i]))});
    }
  }
  TestRig(const TestRig&) = delete;
  TestRig& operator=(const TestRig&) = delete;

  /// Puts a packet on the wire towards `port`, on its queue `queue`; false if there is no frame or no slot.
  bool send(base::PortId port, wire::Bytes bytes, std::uint32_t queue = 0, std::uint8_t marks = 0) {
    const std::uint64_t address = outside().take();
    if (address == frame::FramePool::kNone) return false;
    const frame::Frame frame{.address = address,
                             .length = static_cast<std::uint32_t>(bytes.size()),
                             .port = port,
                             .marks = marks,
                             .reserved = {}};
    std::memcpy(arena_.data(frame).data(), bytes.data(), bytes.size());
    if (far_[queue][port.value]->transmit({&frame, 1}) == 1) return true;
    outside().give(address);
    return false;
  }
  /// Every worker takes `turns` turns.
  void turn(int turns = 2) {
    for (int i = 0; i < turns; ++i) {
      for (const auto& worker : workers_) worker->run_once(now_ns);
    }
  }
  /// What has left by `port` since the last call, in order, queue after queue.
  std::vector<Bytes> received(base::PortId port) {
    std::vector<Bytes> all;
    take_received(port, [&](std::span<const std::uint8_t> data) { all.emplace_back(data.begin(), data.end()); });
    return all;
  }
  /// As received(), but only how many there were.
  std::size_t count_received(base::PortId port) {
    std::size_t count = 0;
    take_received(port, [&](std::span<const std::uint8_t>) { ++count; });
    return count;
  }
  /// Sends one packet and returns what came out on the other side.
  std::vector<Bytes> through(base::PortId port, wire::Bytes bytes, std::uint32_t queue = 0) {
    send(port, bytes, queue);
    turn();
    return received(port == kLan ? kWan : kLan);
  }

  /// Each worker on a thread of its own, with the real clock, until stop_threads().
  void start_threads() {
    for (const auto& worker : workers_) threads_.emplace_back([each = worker.get()] { each->run(); });
  }
  void stop_threads() {
    for (const auto& worker : workers_) worker->stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  /// As the control plane does it: every worker goes over to the new rules at its next turn.
  void reload(const std::string& rules) {
    if (reloaded()) carry_over();
    old_snapshots_.push_back(std::move(snapshot_));
    make_snapshot_of(rules);
    retired_.push_back({RuleSuccession(old_snapshots_.back()->policy->ruleset(), snapshot_->policy->ruleset()),
                        std::exchange(paths_, {})});
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      paths_.push_back(std::make_unique<RulePaths>(static_cast<std::uint32_t>(snapshot_->policy->rule_count())));
    }
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      changes_.push_back(std::make_unique<SnapshotChange>());
      changes_.back()->snapshot = snapshot_.get();
      changes_.back()->paths = paths_[i].get();
      static_cast<void>(mailboxes_[i]->from_control.push(
          {.kind = ControlMessage::Kind::kSnapshot, .change = changes_.back().get(), .dump = nullptr, .addition = {}}));
      mailboxes_[i]->wake_up.notify();
    }
  }
  /// A message of the control thread's.
  void post(std::size_t to, const ControlMessage& message) {
    static_cast<void>(mailboxes_[to]->from_control.push(message));
    mailboxes_[to]->wake_up.notify();
  }
  /// Whether every worker has gone over to the rules of the last reload().
  [[nodiscard]] bool reloaded() const {
    return std::ranges::all_of(changes_,
                               [](const auto& change) { return change->taken.load(std::memory_order_acquire); });
  }
  /// Once reloaded(), as the control plane does it at once: what the rules before have counted goes over for good.
  void carry_over() {
    for (Retired& retired : retired_) {
      totals_.carry_over(retired.succession, retired.paths);
      for (auto& paths : retired.paths) old_paths_.push_back(std::move(paths));
    }
    retired_.clear();
  }

  /// Closes all and counts the frames that are not in their pool: 0, or a bug. The rig is of no use afterwards.
  std::uint32_t missing_frames() {
    std::vector<frame::FramePool*> pools;
    for (const auto& pool : pools_) pools.push_back(pool.get());
    for (const auto& worker : workers_) worker->close(pools);
    for (const auto& queues : far_) {
      for (const auto& queue : queues) {
        queue->close();
        for (const std::uint64_t address : queue->foreign_frames()) {
          pools[address / arena_.frame_bytes() / options_.frames_per_worker]->give(address);
        }
        queue->clear_foreign_frames();
      }
    }
    received(kLan);  // what was mailed home meanwhile
    std::uint32_t missing = 0;
    for (const auto& pool : pools_) missing += pool->total() - pool->free_count();
    return missing;
  }

  [[nodiscard]] std::uint64_t dropped(base::DropReason reason) const {
    std::uint64_t count = 0;
    for (const auto& worker : workers_)
      count += worker->tables().counters.dropped[static_cast<std::size_t>(reason)].get();
    return count;
  }
  [[nodiscard]] std::uint64_t dropped() const {
    std::uint64_t count = 0;
    for (std::size_t i = 1; i < base::kDropReasonCount; ++i) count += dropped(static_cast<base::DropReason>(i));
    return count;
  }
  [[nodiscard]] std::uint32_t flows() const {
    std::uint32_t count = 0;
    for (const auto& worker : workers_) count += worker->tables().flows->size();
    return count;
  }
  /// Counters of the rules with this label, over all workers and reloads.
  [[nodiscard]] RuleCounts rule(std::string_view label) const {
    RuleTotals totals = totals_;
    for (const Retired& retired : retired_) totals.carry_over(retired.succession, retired.paths);
    const std::vector<RuleCounts> counts = totals.of(paths_);
    const firewall::Ruleset& ruleset = snapshot_->policy->ruleset();
    RuleCounts sum;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (ruleset.label_of(ruleset.rules[i]) != label) continue;
      sum.packets += counts[i].packets;
      sum.bytes += counts[i].bytes;
      sum.states += counts[i].states;
      sum.states_total += counts[i].states_total;
    }
    return sum;
  }
  [[nodiscard]] Worker& worker(std::size_t index = 0) { return *workers_[index]; }
  [[nodiscard]] Mailbox& mailbox(std::size_t index = 0) { return *mailboxes_[index]; }
  [[nodiscard]] const Snapshot& snapshot() const { return *snapshot_; }

  std::uint64_t now_ns = 1'000 * base::kNanosPerSecond;

 private:
  struct Retired {
    RuleSuccession succession;
    RuleTotals::Paths paths;
  };

  [[nodiscard]] frame::FramePool& outside() { return *pools_.back(); }
  template <class F>
  void take_received(base::PortId port, F&& f) {
    for (const auto& ring : mailboxes_.back()->from_peer) {
      PeerMessage message;
      while (ring->pop(message)) outside().give(message.frame.address);
    }
    for (const auto& queues : far_) {
      frame::Burst burst;
      while (queues[port.value]->receive(burst) > 0) {
        for (const frame::Frame& frame : burst.frames()) {
          f(arena_.data(frame));
          outside().give(frame.address);
        }
        burst.clear();
      }
    }
  }
  template <class T>
  static T checked(base::Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message);
    return std::move(*result);
  }
  static frame::Arena make_arena(const TestRigOptions& options) {
    return checked(frame::Arena::create(
        {.frame_count = (options.workers + 1) * options.frames_per_worker, .frame_bytes = 2048, .huge_pages = false}));
  }
  void make_snapshot_of(const std::string& rules) {
    firewall::Environment environment;
    environment.ports = {{.name = "lan", .id = kLan, .addresses = {}, .groups = {}},
                         {.name = "wan", .id = kWan, .addresses = {}, .groups = {}}};
    environment.ports_are_complete = true;
    auto policy = checked(firewall::Policy::create(firewall::parse({.name = "pf.conf", .text = rules}, environment)));
    Forwarding forwarding;
    forwarding.add_bridge(kLan, kWan, 1, options_.non_ip);
    forwarding.set_mtu(kLan, options_.mtu);
    forwarding.set_mtu(kWan, options_.mtu);
    snapshot_ =
        checked(make_snapshot(++generation_, std::move(policy), forwarding, options_.flow_capacity, options_.workers));
  }

  TestRigOptions options_;
  frame::Arena arena_;
  std::vector<std::unique_ptr<frame::FramePool>> pools_;
  std::vector<std::unique_ptr<Mailbox>> mailboxes_;
  port::PortPair lan_;
  port::PortPair wan_;
  std::uint16_t generation_ = 0;
  std::unique_ptr<Snapshot> snapshot_;
  RuleTotals::Paths paths_;
  RuleTotals totals_;
  std::vector<Retired> retired_;  // by reload, oldest first; not yet in totals_
  std::vector<std::unique_ptr<Snapshot>> old_snapshots_;
  std::vector<std::unique_ptr<RulePaths>> old_paths_;
  std::vector<std::unique_ptr<SnapshotChange>> changes_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::array<std::unique_ptr<port::Queue>, 2>> far_;  // by queue, then port
  std::vector<std::thread> threads_;
};

}  // namespace ringplane::worker
