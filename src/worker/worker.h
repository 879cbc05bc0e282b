// Worker: one thread's share of the data plane: its queues, its pool, its tables. Shares nothing; everything that
// reaches it comes through its rings.
//
// Life: the control thread creates it, attaches one queue per port and starts a thread on run(). A turn (run_once):
// mailbox, receive and pipeline per port, timers and sweeps, transmit and refill. Idle turns are counted; after some
// the worker sleeps in ppoll(2) until a ring or a message wakes it, or, with ports that have no descriptor (DPDK), naps
// for microseconds at a time. stop() ends run(); then close() gives all frames
// back. Without a thread (replay, tests) the caller calls run_once() with a clock of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/hash.h"
#include "base/ids.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/port.h"
#include "worker/frame_exit.h"
#include "worker/mailbox.h"
#include "worker/packet_burst.h"
#include "worker/pipeline.h"
#include "worker/snapshot.h"
#include "worker/worker_counters.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

struct WorkerOptions {
  base::WorkerId id{0};
  std::uint32_t worker_count = 1;
  base::HashSecret secret{};  ///< the same for all workers: it decides which one owns a flow
  std::uint64_t seed = 0;     ///< for `probability` rules
  std::uint32_t flow_capacity = 100'000;
  std::uint32_t source_capacity = 10'000;    ///< sources tracked by `source-track` and `max-src-*`
  std::uint32_t overlay_capacity = 100'000;  ///< addresses put into tables by `overload`
  std::uint32_t log_per_second = 1'000;      ///< log records; more are counted as lost
  std::uint32_t flow_record_slots = 0;       ///< records of ended flows that may wait to be taken; 0: nobody wants them
  std::uint32_t replies_per_second = 1'000;  ///< resets and unreachables
  std::uint32_t spin_turns = 200;            ///< idle turns before sleeping; 0xffffffff: never sleeps
  bool huge_pages = true;
  int flow_memory = -1;                ///< a memory file for the flow table, or none; with one, take_over() is due
  WorkerCounters* counters = nullptr;  ///< where to count, if that is to outlive the worker
};

class Worker {
 public:
  /// `arena`, `pool` and `mailboxes` outlive the worker; `first` is taken at once and stays the caller's.
  [[nodiscard]] static base::Result<std::unique_ptr<Worker>> create(
      const WorkerOptions& options, const frame::Arena& arena, frame::FramePool& pool, std::uint32_t frames_per_worker,
      const std::vector<std::unique_ptr<Mailbox>>& mailboxes, SnapshotChange& first, std::uint64_t now_ns);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// With WorkerOptions::flow_memory, before the first turn: the flows that lie there are the worker's from now on.
  void take_over(std::uint64_t now_ns);
  /// Before the first turn: a snapshot as with ControlMessage::Kind::kTables.
  void adopt_tables(const Snapshot& snapshot) noexcept { tables_.snapshot = &snapshot; }
  /// Before the first turn.
  void attach(base::PortId port, std::unique_ptr<port::Queue> queue);
  void set_observer(BurstObserver* observer) noexcept { pipeline_.set_observer(observer); }

  /// One turn; true if there was anything to do. Owner thread.
  bool run_once(std::uint64_t now_ns);
  /// Turns until stop(); the body of the worker's thread.
  void run();
  /// Any thread.
  void stop() noexcept;
  /// Any thread. Bit i: the link of port i is down (FrameExit::set_ports_down).
  void set_ports_down(std::uint64_t ports) noexcept { exit_.set_ports_down(ports); }
  /// After the last turn: closes the queues and gives every frame to its pool (`pools` by WorkerId).
  void close(const std::vector<frame::FramePool*>& pools) noexcept;

  /// Counters, flow table sizes and rings for the control thread; what is not a counter or a ring is the owner's.
  [[nodiscard]] const WorkerTables& tables() const noexcept { return tables_; }
  [[nodiscard]] WorkerTables& tables() noexcept { return tables_; }
  [[nodiscard]] port::Queue* queue(base::PortId port) const noexcept { return exit_.queue(port); }

 private:
  Worker(const WorkerOptions& options, const frame::Arena& arena, frame::FramePool& pool,
         std::uint32_t frames_per_worker, const std::vector<std::unique_ptr<Mailbox>>& mailboxes);

  bool read_control(std::uint64_t now_ns);
  bool read_peers(std::uint64_t now_ns);
  bool receive(std::uint64_t now_ns);
  bool keep_time(std::uint64_t now_ns);
  void take_snapshot(SnapshotChange& change);
  void withdraw_slice();
  void sleep();

  frame::FramePool& pool_;
  Mailbox& mailbox_;
  WorkerTables tables_;
  FrameExit exit_;
  Pipeline pipeline_;
  std::vector<base::PortId> ports_;  // that have a queue
  std::uint32_t spin_turns_;
  std::uint32_t idle_turns_ = 0;
  std::uint32_t nap_us_ = 1;  ///< the next one
  SnapshotChange* withdrawing_ = nullptr;
  std::size_t withdrawn_ = 0;  ///< of its hosts
  FlowDump* dump_ = nullptr;
  std::uint32_t recheck_cursor_ = 0;
  std::atomic<bool> stopping_{false};
};

}  // namespace ringplane::worker
