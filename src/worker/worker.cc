#include "worker/worker.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <expected>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <sys/prctl.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "firewall/table_overlay.h"
#include "flow/flow_table.h"
#include "flow/source_table.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "frame/spsc_ring.h"
#include "port/port.h"
#include "worker/flow_admission.h"
#include "worker/flow_record.h"
#include "worker/log_record.h"
#include "worker/mailbox.h"
#include "worker/pipeline.h"
#include "worker/recheck.h"
#include "worker/slice_jobs.h"
#include "worker/stage_clock.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

/// Times that one turn goes round all ports, as long as there are full bursts.
constexpr std::uint32_t kRounds = 4;
constexpr std::uint32_t kMailboxBurst = frame::Burst::kCapacity;
/// Flows that one turn looks at for each of its background duties: small enough that no packet waits for them.
constexpr std::uint32_t kExpiryBudget = 64;
constexpr std::uint32_t kSliceFlows = 64;
constexpr std::size_t kSliceHosts = 256;
constexpr std::uint32_t kLogSlots = 4096;
constexpr std::uint32_t kOverloadSlots = 1024;
/// Longest sleep: timers must go on without traffic.
constexpr std::uint32_t kSleepUs = 100'000;
/// A port without a descriptor cannot wake its worker, which looks at it by time: after a first short nap, each twice
/// as long as the one before, as long as nothing comes. The longest is what an idle DPDK port costs the first packet;
/// at 2,000 naps a second a worker with nothing to do takes about 1 % of a processor.
constexpr std::uint32_t kFirstNapUs = 8;
constexpr std::uint32_t kLongestNapUs = 512;
/// How late a nap may end. The kernel's default of 50 us is more than a ring of a fast port lasts.
constexpr unsigned long kNapSlackNs = 1'000;

}  // namespace

Worker::Worker(const WorkerOptions& options, const frame::Arena& arena, frame::FramePool& pool,
               std::uint32_t frames_per_worker, const std::vector<std::unique_ptr<Mailbox>>& mailboxes)
    : pool_(pool),
      mailbox_(*mailboxes[options.id.value]),
      tables_(options.counters),
      exit_(options.id, arena, pool, frames_per_worker, mailboxes, tables_.counters),
      pipeline_(arena, tables_, exit_),
      spin_turns_(options.spin_turns) {
  tables_.id = options.id;
  tables_.worker_count = options.worker_count;
  tables_.secret = options.secret;
  tables_.random = base::Random(options.seed);
  tables_.log_tokens = base::TokenBucket(options.log_per_second);
  tables_.reply_tokens = base::TokenBucket(options.replies_per_second);
  tables_.overlay = std::make_unique<firewall::TableOverlay>(options.overlay_capacity, options.secret);
  tables_.log = std::make_unique<frame::SpscRing<LogRecord>>(kLogSlots);
  if (options.flow_record_slots > 0) {
    tables_.flow_records = std::make_unique<frame::SpscRing<FlowRecord>>(options.flow_record_slots);
  }
  tables_.overloads = std::make_unique<frame::SpscRing<OverloadEvent>>(kOverloadSlots);
}

base::Result<std::unique_ptr<Worker>> Worker::create(const WorkerOptions& options, const frame::Arena& arena,
                                                     frame::FramePool& pool, std::uint32_t frames_per_worker,
                                                     const std::vector<std::unique_ptr<Mailbox>>& mailboxes,
                                                     SnapshotChange& first, std::uint64_t now_ns) {
  std::unique_ptr<Worker> worker(new Worker(options, arena, pool, frames_per_worker, mailboxes));
  auto flows = flow::FlowTable::create({.capacity = options.flow_capacity,
                                        .secret = options.secret,
                                        .huge_pages = options.huge_pages,
                                        .memory_file = options.flow_memory,
                                        .settle_later = options.flow_memory >= 0},
                                       now_ns);
  if (!flows) return std::unexpected(std::move(flows.error()));
  worker->tables_.flows = std::move(*flows);
  worker->tables_.flows->set_end_hook({.function = close_accounts, .context = &worker->tables_});
  worker->tables_.sources = std::make_unique<flow::SourceTable>(options.source_capacity, options.secret);
  worker->take_snapshot(first);
  return worker;
}

void Worker::take_over(std::uint64_t now_ns) {
  tables_.flows->settle(now_ns);
  tables_.rechecking = tables_.flows->inherited().has_value();
}

void Worker::attach(base::PortId port, std::unique_ptr<port::Queue> queue) {
  exit_.attach(port, std::move(queue));
  ports_.push_back(port);
}

bool Worker::run_once(std::uint64_t now_ns) {
  if (tables_.clock != nullptr) tables_.clock->start();
  bool busy = read_control(now_ns);
  busy |= read_peers(now_ns);
  const bool received = receive(now_ns);
  busy |= received;
  busy |= keep_time(now_ns);
  tables_.lap(Stage::kTimers);
  exit_.flush();
  tables_.lap(Stage::kTransmit);
  tables_.counters.turns.add(1);
  if (received) tables_.counters.busy_turns.add(1);
  return busy;
}

bool Worker::read_control(std::uint64_t now_ns) {
  ControlMessage message;
  bool any = false;
  while (mailbox_.from_control.pop(message)) {
    any = true;
    switch (message.kind) {
      case ControlMessage::Kind::kSnapshot:
        take_snapshot(*message.change);
        tables_.rechecking = true;
        recheck_cursor_ = 0;
        break;
      case ControlMessage::Kind::kTables:
        tables_.snapshot = message.change->snapshot;
        withdrawing_ = message.change;
        withdrawn_ = 0;
        break;
      case ControlMessage::Kind::kTableAddition:
        if (tables_.overlay->insert(message.addition.table, message.addition.host) ==
            firewall::TableOverlay::Inserted::kFull) {
          tables_.counters.overload_lost.add(1);
        }
        if (message.addition.flush) begin_flush(message.addition, tables_);
        break;
      case ControlMessage::Kind::kFlowDump: dump_ = message.dump; break;
      case ControlMessage::Kind::kObserver:
        pipeline_.set_observer(message.observer->observer);
        message.observer->taken.store(true, std::memory_order_release);
        break;
    }
  }
  if (withdrawing_ != nullptr) {
    any = true;
    withdraw_slice();
  }
  if (dump_ != nullptr) {
    any = true;
    if (dump_slice(kSliceFlows, now_ns, tables_, *dump_))
      std::exchange(dump_, nullptr)->done.store(true, std::memory_order_release);
  }
  return any;
}

void Worker::take_snapshot(SnapshotChange& change) {
  tables_.snapshot = change.snapshot;
  tables_.paths = change.paths;
  tables_.flows->set_timeouts(change.snapshot->timeout_sets);
  tables_.sources->clear();  // the recheck opens the accounts of the flows that stay
  tables_.overlay->clear();
  tables_.flushes = {};  // their rules are numbered anew; the recheck judges the flows
  for (const TableAddition& addition : change.additions) {
    if (tables_.overlay->insert(addition.table, addition.host) == firewall::TableOverlay::Inserted::kFull) {
      tables_.counters.overload_lost.add(1);
    }
  }
  change.taken.store(true, std::memory_order_release);
}

void Worker::withdraw_slice() {
  const auto& hosts = withdrawing_->withdrawn;
  const std::size_t end = std::min(hosts.size(), withdrawn_ + kSliceHosts);
  for (; withdrawn_ < end; ++withdrawn_) (void)tables_.overlay->erase(hosts[withdrawn_].table, hosts[withdrawn_].host);
  if (withdrawn_ < hosts.size()) return;
  // The control thread frees it from here on.
  std::exchange(withdrawing_, nullptr)->taken.store(true, std::memory_order_release);
}

bool Worker::read_peers(std::uint64_t now_ns) {
  std::array<PeerMessage, kMailboxBurst> messages;
  bool any = false;
  for (const auto& ring : mailbox_.from_peer) {
    const std::uint32_t count = ring->pop(std::span<PeerMessage>(messages));
    for (std::uint32_t i = 0; i < count; ++i) {
      if (messages[i].kind == PeerMessage::Kind::kFrame) {
        pipeline_.next().frames.push(messages[i].frame);
      } else {
        pool_.give(messages[i].frame.address);
      }
    }
    any |= count > 0;
    if (!pipeline_.next().frames.empty()) pipeline_.advance(now_ns);
  }
  return any;
}

bool Worker::receive(std::uint64_t now_ns) {
  bool any = false;
  bool more = true;
  for (std::uint32_t round = 0; more && round < kRounds; ++round) {
    more = false;
    for (const base::PortId port : ports_) {
      const std::uint32_t count = exit_.queue(port)->receive(pipeline_.next().frames);
      if (count == 0) continue;
      tables_.lap(Stage::kReceive);
      pipeline_.advance(now_ns);
      any = true;
      more |= count == frame::Burst::kCapacity;
    }
  }
  pipeline_.drain(now_ns);
  return any;
}

bool Worker::keep_time(std::uint64_t now_ns) {
  const bool expiring = tables_.flows->expire(now_ns, kExpiryBudget) == kExpiryBudget;
  if (tables_.rechecking) {
    recheck_cursor_ = recheck_slice(recheck_cursor_, kSliceFlows, tables_);
    tables_.rechecking = recheck_cursor_ != 0;
  }
  if (tables_.flushes.count > 0) flush_slice(kSliceFlows, tables_);
  return expiring || tables_.rechecking || tables_.flushes.count > 0;
}

void Worker::run() {
  prctl(PR_SET_TIMERSLACK, kNapSlackNs);
  std::uint64_t now_ns = base::monotonic_ns();
  while (!stopping_.load(std::memory_order_relaxed)) {
    const bool busy = run_once(now_ns);
    if (busy) {
      idle_turns_ = 0;
      nap_us_ = kFirstNapUs;
    } else if (++idle_turns_ > spin_turns_ && spin_turns_ != 0xffffffff) {
      sleep();
    }
    // The one clock read of the next turn is the end of this one too.
    const std::uint64_t then_ns = std::exchange(now_ns, base::monotonic_ns());
    if (busy) tables_.counters.busy_ns.add(now_ns - then_ns);
  }
}

void Worker::sleep() {
  std::array<pollfd, base::kMaxPorts + 1> waits;
  nfds_t count = 0;
  bool by_time = false;
  waits[count++] = {.fd = mailbox_.wake_up.descriptor(), .events = POLLIN, .revents = 0};
  for (const base::PortId port : ports_) {
    const port::Queue& queue = *exit_.queue(port);
    if (!queue.alive()) continue;
    if (queue.poll_descriptor() >= 0) {
      waits[count++] = {.fd = queue.poll_descriptor(), .events = POLLIN, .revents = 0};
    } else {
      by_time = true;
    }
  }
  const std::uint32_t wait_us = by_time ? nap_us_ : kSleepUs;
  const timespec wait{.tv_sec = 0, .tv_nsec = static_cast<long>(wait_us) * 1'000};
  if (by_time) nap_us_ = std::min(2 * nap_us_, kLongestNapUs);
  mailbox_.wake_up.announce_sleep();
  bool mail = !mailbox_.from_control.empty() || stopping_.load(std::memory_order_seq_cst);
  for (const auto& ring : mailbox_.from_peer) mail |= !ring->empty();
  if (!mail) {
    tables_.counters.sleeps.add(1);
    ppoll(waits.data(), count, &wait, nullptr);
  }
  mailbox_.wake_up.end_sleep();
}

void Worker::stop() noexcept {
  stopping_.store(true, std::memory_order_seq_cst);
  mailbox_.wake_up.notify();
}

void Worker::close(const std::vector<frame::FramePool*>& pools) noexcept {
  for (const auto& ring : mailbox_.from_peer) {
    PeerMessage message;
    while (ring->pop(message)) {
      pools[exit_.owner_of(message.frame.address)]->give(message.frame.address);
    }
  }
  exit_.close(pools);
}

}  // namespace ringplane::worker
