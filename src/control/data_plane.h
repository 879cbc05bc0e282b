// DataPlane: arena, ports, workers and the snapshot they work by, built in the data process from a Config, a Policy and
// the estate. The process's main thread owns it and calls every member; the workers' threads live inside.
//
// Life: create() maps all memory and every port, and takes over what a dead data process left there, or fails with one
// sentence; start() makes the workers' threads and release() lets them run; reload() swaps the rules between two
// bursts; stop() ends the threads and brings every frame home.
#pragma once

#include <cstddef>
#include <cstdint>
#include <latch>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "base/mapped_memory.h"
#include "base/numa.h"
#include "base/result.h"
#include "control/config.h"
#include "control/estate.h"
#include "control/fold_thread.h"
#include "firewall/policy.h"
#include "firewall/policy_editor.h"
#include "firewall/prefix_set.h"
#include "firewall/table_overlay.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "frame/spsc_ring.h"
#include "port/port.h"
#include "wire/ip_address.h"
#include "worker/flow_record.h"
#include "worker/log_record.h"
#include "worker/mailbox.h"
#include "worker/rule_counts.h"
#include "worker/rule_paths.h"
#include "worker/snapshot.h"
#include "worker/worker.h"

namespace ringplane::port {
class AfXdpPort;
class DpdkPorts;
class Umem;
}  // namespace ringplane::port

namespace ringplane::control {

class DataPlane {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<DataPlane>> create(const Config& config, const Estate& estate,
                                                                       std::shared_ptr<const firewall::Policy> policy);
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;
  ~DataPlane();

  void start();
  [[nodiscard]] base::Result<void> take_over();
  /// All workers go over to `policy`; flows stay and are judged again. Returns when every worker has taken it.
  [[nodiscard]] base::Result<void> reload(std::shared_ptr<const firewall::Policy> policy);
  /// What becomes of one table: `replaces` all it holds, or else without `removed`, then with `added`.
  struct TableChange {
    firewall::TableId table = firewall::kNoTable;
    bool replaces = false;
    std::vector<wire::Prefix> removed;
    std::vector<firewall::TableEntry> added;
  };
  /// All workers go over to it; rules, counters and flows stay as they are. What `overload` has added is withdrawn
  /// where the change names the address with another intent. Returns when every worker has taken it; before
  /// take_over(), at once. Fails as Policy::with_table_change(); then nothing has changed.
  [[nodiscard]] base::Result<void> change_table(TableChange change);
  /// Every 100 ms or so: takes over what was folded aside (policy_editor.h).
  void take_folded();
  /// What `overload` has added to the table, in order.
  [[nodiscard]] std::vector<wire::HostAddress> additions_to(firewall::TableId table) const;
  /// Ends the workers' threads between two turns and leaves everything as it is.
  void halt();
  /// Ends the workers. Returns how many frames did not come home: 0, or a bug.
  std::uint32_t stop();

  /// Every 100 ms or so: tells each worker what `overload` has added at the others.
  void spread_overloads();
  /// Empties the workers' log rings through `take(record)`.
  template <class Take>
  void drain_logs(Take&& take) {
    worker::LogRecord record;
    for (const auto& each : workers_) {
      while (each->tables().log->pop(record)) take(record);
    }
  }
  /// One for each worker, or none at all, looks on from now on. Returns when nobody uses those before any more.
  [[nodiscard]] base::Result<void> observe(const std::vector<worker::BurstObserver*>& observers);
  /// Takes at most `most` records of ended flows of each worker (Config::wants_flow_records()); true:
  /// one has more.
  template <class Take>
  bool drain_flow_records(std::uint32_t most, Take&& take) {
    bool more = false;
    for (const auto& each : workers_) {
      frame::SpscRing<worker::FlowRecord>& ring = *each->tables().flow_records;
      worker::FlowRecord record;
      std::uint32_t taken = 0;
      for (; taken < most && ring.pop(record); ++taken) take(record);
      more |= taken == most;
    }
    return more;
  }
  /// After stop(): calls take(record) with each flow that lived until then.
  template <class Take>
  void for_each_live_flow(Take&& take) {
    for (const auto& each : workers_) {
      const worker::WorkerTables& tables = each->tables();
      (void)tables.flows->visit_slice(0, tables.flows->capacity(), [&](base::FlowId id) {
        take(worker::flow_record_of(id, worker::FlowEnd::kStop, tables));
      });
    }
  }
  struct ListedFlow {
    flow::FlowDetails details;
    base::RuleId rule;      ///< of the present snapshot; none: not judged by it yet
    base::WorkerId worker;  ///< whose it is
  };
  /// The live flows, at most `limit` of each worker.
  [[nodiscard]] std::vector<ListedFlow> dump_flows(std::uint32_t limit);
  /// What is asked of one worker's table, as in worker::FlowDump.
  struct FlowLook {
    std::uint32_t room = 0;  ///< flows to list at most
    std::vector<base::FlowId> again{};
    std::uint32_t cursor = 0;  ///< then: where to go on
    std::uint32_t most = UINT32_MAX;
    std::uint64_t idle_ns = UINT64_MAX;
  };
  /// All workers at once; `looks` has one for each. A worker that is stuck lists nothing.
  [[nodiscard]] std::vector<ListedFlow> look_at_flows(std::vector<FlowLook>& looks);

  [[nodiscard]] const Config& config() const noexcept { return config_; }
  [[nodiscard]] const frame::Arena& arena() const noexcept { return arena_; }
  [[nodiscard]] const worker::Snapshot& snapshot() const noexcept { return *snapshot_; }
  [[nodiscard]] const std::vector<std::unique_ptr<port::Port>>& ports() const noexcept { return ports_; }
  [[nodiscard]] const std::vector<std::unique_ptr<worker::Worker>>& workers() const noexcept { return workers_; }
  /// Those of worker `index`, of the present snapshot.
  [[nodiscard]] const worker::RulePaths& paths(std::size_t index) const noexcept { return *paths_[index]; }
  /// By rule of the present snapshot, over all workers; a reload does not set them back (worker/rule_counts.h).
  [[nodiscard]] std::vector<worker::RuleCounts> rule_counts() const { return totals_.of(paths_); }

 private:
  DataPlane(Config config, frame::Arena arena, base::HashSecret secret);
  [[nodiscard]] base::Result<void> open_ports(const Estate& estate);
  [[nodiscard]] base::Result<std::unique_ptr<port::Port>> open_af_xdp_port(base::PortId id, const Estate& estate);
  [[nodiscard]] base::Result<std::unique_ptr<port::Port>> open_dpdk_port(base::PortId id);
  [[nodiscard]] base::Result<void> make_workers(const Estate& estate);
  /// Whether the frame at `address` is with the kernel already, given to it by a data process that died.
  [[nodiscard]] bool is_held(std::uint64_t address) const noexcept;
  [[nodiscard]] base::Result<void> take_over_ports();
  [[nodiscard]] worker::Forwarding forwarding() const;
  [[nodiscard]] base::Result<std::unique_ptr<worker::Snapshot>> next_snapshot(
      std::shared_ptr<const firewall::Policy> policy);
  [[nodiscard]] int node_of_worker(std::size_t worker) const noexcept {
    return nodes_.empty() ? base::kAnyNode : nodes_[worker];
  }
  void post(std::size_t worker, const worker::ControlMessage& message);

  /// The workers' snapshot with another policy of the same rules.
  [[nodiscard]] base::Result<void> go_over(const std::shared_ptr<const firewall::Policy>& policy,
                                           const std::vector<worker::TableHost>& withdrawn);
  [[nodiscard]] std::vector<worker::TableHost> withdraw(const TableChange& change);
  [[nodiscard]] std::vector<worker::TableAddition> additions_for(const firewall::Ruleset& ruleset) const;

  Config config_;
  frame::Arena arena_;
  std::vector<int> nodes_;  // by worker; empty: one node
  std::uint32_t frames_per_worker_ = 0;
  std::uint32_t states_per_worker_ = 0;
  base::HashSecret secret_;
  std::uint16_t generation_ = 0;
  std::optional<base::MappedMemory> counters_memory_;
  std::vector<std::unique_ptr<frame::FramePool>> pools_;
  std::vector<std::unique_ptr<worker::Mailbox>> mailboxes_;
  std::unique_ptr<port::Umem> umem_;       // nullptr: no AF_XDP port
  std::unique_ptr<port::DpdkPorts> dpdk_;  // nullptr: no DPDK port
  std::vector<std::unique_ptr<port::Port>> ports_;
  std::vector<port::AfXdpPort*> af_xdp_ports_;
  std::unique_ptr<worker::Snapshot> snapshot_;
  std::vector<std::unique_ptr<worker::RulePaths>> paths_;
  worker::RuleTotals totals_;
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  /// By name of the table, so that they survive a reload that numbers the tables anew.
  std::map<std::string, std::set<wire::HostAddress>> additions_;
  std::size_t addition_count_ = 0;
  FoldThread folder_;
  std::optional<firewall::PolicyEditor> editor_;
  std::latch released_{1};
  std::vector<std::thread> threads_;
  bool stopped_ = false;
};

}  // namespace ringplane::control
