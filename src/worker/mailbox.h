// Mailboxes: the only way into a worker. One ring per sender, so every ring has one producer and one consumer. From
// other workers come descriptors (frames whose flow this worker owns, and frames of its pool that ended elsewhere);
// from the control thread come messages. A worker that sleeps is woken through its event descriptor.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/file_descriptor.h"
#include "base/ids.h"
#include "firewall/table_overlay.h"
#include "flow/flow_table.h"
#include "frame/frame.h"
#include "frame/spsc_ring.h"
#include "wire/ip_address.h"
#include "worker/rule_paths.h"
#include "worker/snapshot.h"

namespace ringplane::worker {

/// kFrame: decide and forward it; kHome: the frame's buffer belongs to your pool.
struct PeerMessage {
  enum class Kind : std::uint8_t { kFrame, kHome };
  Kind kind = Kind::kFrame;
  frame::Frame frame;
};

/// An address that `overload` put into a table of the present snapshot.
struct TableAddition {
  firewall::TableId table = firewall::kNoTable;
  wire::HostAddress host;
  bool flush = false;       ///< end the host's flows too (`overload ... flush`)
  base::RuleId flush_rule;  ///< only those of this rule; none: of every rule (flush global)
};

struct TableHost {
  firewall::TableId table = firewall::kNoTable;
  wire::HostAddress host;
};

/// What one worker needs to go over to a new snapshot. Owned by the control thread, which keeps it until
/// `taken` is true, and the snapshot and paths until a later change is taken.
struct SnapshotChange {
  const Snapshot* snapshot = nullptr;
  RulePaths* paths = nullptr;
  /// All run-time additions, by the new snapshot's table ids.
  std::vector<TableAddition> additions;
  /// With kTables: hosts that are no run-time additions any more.
  std::vector<TableHost> withdrawn{};
  std::atomic<bool> taken{false};
};

/// A request to write out up to records.capacity() flows; the worker fills it over many turns: first those of `again`,
/// then, from record `cursor` of its table on, those that had a packet within `idle_ns`.
struct FlowDump {
  std::vector<flow::FlowDetails> records;  ///< reserved by the asker; never grows beyond its capacity
  std::vector<base::FlowId> again{};       ///< those that still live
  std::uint32_t again_seen = 0;            ///< the worker's: of these
  std::uint32_t cursor = 0;                ///< in the end: the record to go on with; 0 behind the last
  std::uint32_t most = UINT32_MAX;         ///< records to look at; in the end: how many were not
  std::uint64_t idle_ns = UINT64_MAX;
  std::atomic<bool> done{false};
};

class BurstObserver;

/// From now on `observer` looks on; nullptr: nobody. Owned by the control thread, which keeps the one before until
/// `taken`.
struct ObserverChange {
  BurstObserver* observer = nullptr;
  std::atomic<bool> taken{false};
};

/// kSnapshot: other rules. kTables: a snapshot of the same generation, with the same rules and paths and other contents
/// of tables; flows stay as they are. Taken when the withdrawn additions are gone too, which takes turns.
struct ControlMessage {
  enum class Kind : std::uint8_t { kSnapshot, kTables, kTableAddition, kFlowDump, kObserver };
  Kind kind = Kind::kSnapshot;
  SnapshotChange* change = nullptr;
  FlowDump* dump = nullptr;
  TableAddition addition;
  ObserverChange* observer = nullptr;
};

/// Wakes a worker that sleeps in poll(2); costs a sender one load when it does not sleep.
class WakeUp {
 public:
  WakeUp();
  [[nodiscard]] int descriptor() const noexcept { return event_.get(); }

  /// Sender, after pushing to a ring.
  void notify() noexcept;
  /// Owner: from now on notify() writes. Look at the rings once more before sleeping.
  void announce_sleep() noexcept { sleeping_.store(true, std::memory_order_seq_cst); }
  void end_sleep() noexcept;

 private:
  base::FileDescriptor event_;
  std::atomic<bool> sleeping_{false};
};

/// A worker's rings, one per sender.
struct Mailbox {
  Mailbox(std::uint32_t worker_count, std::uint32_t slots);

  std::vector<std::unique_ptr<frame::SpscRing<PeerMessage>>> from_peer;  ///< by WorkerId of the sender
  frame::SpscRing<ControlMessage> from_control;
  WakeUp wake_up;
};

}  // namespace ringplane::worker
