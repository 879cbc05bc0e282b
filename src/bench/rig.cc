#include "bench/rig.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/drop_reason.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "firewall/parser.h"
#include "firewall/policy.h"
#include "flow/flow_table.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/pair/pair_port.h"
#include "port/port.h"
#include "worker/forwarding.h"
#include "worker/mailbox.h"
#include "worker/rule_counts.h"
#include "worker/rule_paths.h"
#include "worker/snapshot.h"
#include "worker/worker.h"

namespace ringplane::bench {
namespace {

constexpr std::uint32_t kFrameRoomBytes = 2048;
constexpr std::uint32_t kNeverSleep = 0xffff'ffff;
constexpr std::uint32_t kFlowRecordSlots = 16'384;

firewall::ParseResult parse_for_rig(const std::string& name, const std::string& text) {
  firewall::Environment environment;
  environment.ports = {{.name = "lan", .id = kLan, .addresses = {}, .groups = {}},
                       {.name = "wan", .id = kWan, .addresses = {}, .groups = {}}};
  environment.ports_are_complete = true;
  return firewall::parse({.name = name, .text = text}, environment);
}

}  // namespace

base::Result<std::shared_ptr<const firewall::Policy>> policy_of(const std::string& name, const std::string& text) {
  return firewall::Policy::create(parse_for_rig(name, text));
}

base::Result<std::shared_ptr<const firewall::Policy>> with_rules_of_text(const firewall::Policy& policy,
                                                                         std::size_t first, std::size_t count,
                                                                         const std::string& text) {
  return policy.with_rules(first, count, parse_for_rig("change", text));
}

void Endpoint::read_mail() {
  if (mailbox_ == nullptr) return;
  for (const auto& ring : mailbox_->from_peer) {
    worker::PeerMessage message;
    while (ring->pop(message)) pool_->give(message.frame.address);
  }
}

void Endpoint::close() {
  read_mail();
  for (const auto& queue : queues_) queue->close();
}

Rig::Rig(const RigOptions& options, frame::Arena arena) : options_(options), arena_(std::move(arena)) {}

base::Result<std::unique_ptr<Rig>> Rig::create(const RigOptions& options,
                                               std::shared_ptr<const firewall::Policy> policy, std::uint64_t now_ns) {
  const std::uint32_t pool_count = options.own_pools ? 2 * options.workers : options.workers;
  auto arena = frame::Arena::create(
      {.frame_count = pool_count * options.frames_per_worker, .frame_bytes = kFrameRoomBytes, .huge_pages = true});
  if (!arena) return std::unexpected(std::move(arena.error()));
  std::unique_ptr<Rig> rig(new Rig(options, std::move(*arena)));
  for (std::uint32_t i = 0; i < pool_count; ++i) {
    rig->pools_.push_back(
        std::make_unique<frame::FramePool>(rig->arena_, i * options.frames_per_worker, options.frames_per_worker));
    rig->mailboxes_.push_back(std::make_unique<worker::Mailbox>(options.workers, options.frames_per_worker));
  }
  if (auto added = rig->add_snapshot(std::move(policy)); !added) return std::unexpected(std::move(added.error()));
  rig->totals_ = worker::RuleTotals(rig->snapshot().policy->rule_count());
  const port::PairOptions pair{
      .first_id = kLan, .second_id = kLan, .queues = options.workers, .ring_slots = options.ring_slots};
  port::PortPair lan = port::make_pair_ports(pair);
  port::PortPair wan = port::make_pair_ports(
      {.first_id = kWan, .second_id = kWan, .queues = options.workers, .ring_slots = options.ring_slots});
  const base::HashSecret secret = base::secret_from_seed(options.seed);
  for (std::uint8_t i = 0; i < options.workers; ++i) {
    auto worker = worker::Worker::create({.id = base::WorkerId{i},
                                          .worker_count = options.workers,
                                          .secret = secret,
                                          .seed = options.seed + i,
                                          .flow_capacity = options.flows_per_worker,
                                          .flow_record_slots = options.flow_records ? kFlowRecordSlots : 0,
                                          .spin_turns = kNeverSleep},
                                         rig->arena_, *rig->pools_[i], options.frames_per_worker, rig->mailboxes_,
                                         *rig->changes_[i], now_ns);
    if (!worker) return std::unexpected(std::move(worker.error()));
    const std::uint32_t far_pool = options.own_pools ? options.workers + i : i;
    std::array<std::unique_ptr<port::Queue>, 4> queues;
    std::size_t opened = 0;
    for (const auto& [port, pool] : {std::pair{lan.first.get(), std::uint32_t{i}},
                                     {wan.first.get(), i},
                                     {lan.second.get(), far_pool},
                                     {wan.second.get(), far_pool}}) {
      auto queue = port->open_queue(i, *rig->pools_[pool]);
      if (!queue) return std::unexpected(std::move(queue.error()));
      queues[opened++] = std::move(*queue);
    }
    (*worker)->attach(kLan, std::move(queues[0]));
    (*worker)->attach(kWan, std::move(queues[1]));
    rig->workers_.push_back(std::move(*worker));
    rig->endpoints_.emplace_back(rig->arena_, *rig->pools_[far_pool],
                                 options.own_pools ? rig->mailboxes_[far_pool].get() : nullptr, std::move(queues[2]),
                                 std::move(queues[3]));
  }
  return rig;
}

base::Result<void> Rig::add_snapshot(std::shared_ptr<const firewall::Policy> policy) {
  worker::Forwarding forwarding;
  forwarding.add_bridge(kLan, kWan, 1, worker::NonIp::kPass);
  const auto rules = static_cast<std::uint32_t>(policy->rule_count());
  auto snapshot = worker::make_snapshot(static_cast<std::uint16_t>(snapshots_.size() + 1), std::move(policy),
                                        forwarding, options_.flows_per_worker, options_.workers);
  if (!snapshot) return std::unexpected(std::move(snapshot.error()));
  snapshots_.push_back(std::move(*snapshot));
  changes_.clear();
  paths_.emplace_back();
  for (std::uint32_t i = 0; i < options_.workers; ++i) {
    paths_.back().push_back(std::make_unique<worker::RulePaths>(rules));
    changes_.push_back(std::make_unique<worker::SnapshotChange>());
    changes_.back()->snapshot = snapshots_.back().get();
    changes_.back()->paths = paths_.back().back().get();
  }
  return {};
}

base::Result<void> Rig::reload(std::shared_ptr<const firewall::Policy> policy) {
  if (auto added = add_snapshot(std::move(policy)); !added) return added;
  succession_.emplace(snapshots_[snapshots_.size() - 2]->policy->ruleset(), snapshot().policy->ruleset());
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    worker::ControlMessage message{};
    message.kind = worker::ControlMessage::Kind::kSnapshot;
    message.change = changes_[i].get();
    if (!mailboxes_[i]->from_control.push(message)) return base::fail("a worker's mailbox is full");
    mailboxes_[i]->wake_up.notify();
  }
  return {};
}

void Rig::carry_over() {
  totals_.carry_over(*succession_, paths_[paths_.size() - 2]);
}

bool Rig::reloaded() const noexcept {
  return std::ranges::all_of(changes_,
                             [](const auto& change) { return change->taken.load(std::memory_order_acquire); });
}

std::uint64_t Rig::dropped() const noexcept {
  std::uint64_t count = 0;
  for (const auto& worker : workers_) {
    for (const auto& counter : worker->tables().counters.dropped) count += counter.get();
  }
  return count;
}

std::string Rig::drops_text() const {
  std::string text;
  for (std::size_t i = 0; i < base::kDropReasonCount; ++i) {
    std::uint64_t count = 0;
    for (const auto& worker : workers_) count += worker->tables().counters.dropped[i].get();
    if (count == 0) continue;
    text += (text.empty() ? "" : ", ") + std::string(base::name_of(static_cast<base::DropReason>(i))) + " " +
            std::to_string(count);
  }
  return text.empty() ? "none" : text;
}

std::uint64_t Rig::live_flows() const noexcept {
  std::uint64_t count = 0;
  for (const auto& worker : workers_) count += worker->tables().flows->size();
  return count;
}

std::uint64_t Rig::flow_table_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const auto& worker : workers_) bytes += worker->tables().flows->memory_bytes();
  return bytes;
}

std::uint64_t Rig::packets_by_rule() const noexcept {
  std::uint64_t packets = 0;
  for (const auto& paths : paths_.back()) {
    for (std::uint32_t i = 0; i < paths->size(); ++i) packets += paths->at(base::RulePathId{i}).packets.get();
  }
  return packets;
}

std::uint64_t Rig::packets_by_flow(std::uint64_t now_ns) {
  std::uint64_t packets = 0;
  for (const auto& worker : workers_) {
    flow::FlowTable& flows = *worker->tables().flows;
    std::uint32_t cursor = 0;
    do {
      cursor = flows.visit_slice(cursor, 1U << 20, [&](base::FlowId id) {
        const flow::FlowDetails details = flows.details(id, now_ns);
        packets += details.packets[0] + details.packets[1];
      });
    } while (cursor != 0);
  }
  return packets;
}

std::uint32_t Rig::missing_frames() {
  std::vector<frame::FramePool*> pools;
  for (const auto& pool : pools_) pools.push_back(pool.get());
  for (const auto& worker : workers_) worker->close(pools);
  for (Endpoint& endpoint : endpoints_) endpoint.close();
  for (Endpoint& endpoint : endpoints_) endpoint.read_mail();
  std::uint32_t missing = 0;
  for (const auto& pool : pools_) missing += pool->total() - pool->free_count();
  return missing;
}

}  // namespace ringplane::bench
