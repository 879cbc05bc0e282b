#include "control/data_plane.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/mapped_memory.h"
#include "base/numa.h"
#include "base/random.h"
#include "base/result.h"
#include "control/config.h"
#include "control/estate.h"
#include "control/numa_plan.h"
#include "firewall/policy.h"
#include "firewall/prefix_set.h"
#include "firewall/ruleset.h"
#include "firewall/table_overlay.h"
#include "flow/flow_table.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/dpdk_ports.h"
#include "port/port.h"
#include "wire/ip_address.h"
#include "worker/flow_admission.h"
#include "worker/forwarding.h"
#include "worker/mailbox.h"
#include "worker/rule_counts.h"
#include "worker/rule_paths.h"
#include "worker/snapshot.h"
#include "worker/worker.h"
#include "worker/worker_tables.h"
#ifdef RINGPLANE_AF_XDP
#include "control/port_facts.h"
#include "port/af_xdp/af_xdp_port.h"
#include "port/af_xdp/umem.h"
#else
namespace ringplane::port {
class Umem {};
}  // namespace ringplane::port
#endif

namespace ringplane::control {
namespace {

constexpr std::uint32_t kMailboxSlots = 4096;
/// Two megabytes a worker. The main thread takes them twenty times a second, more often if there are many.
constexpr std::uint32_t kFlowRecordSlots = 16'384;

/// Waits until `done()`, looking every 20 us at first, then every 200. A worker that does not answer within the time is
/// stuck: a bug.
template <class Done>
bool wait_for(Done&& done) {
  constexpr int kTries = 50'000;  // 10 s
  constexpr int kSoon = 100;
  for (int i = 0; i < kTries; ++i) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::microseconds(i < kSoon ? 20 : 200));
  }
  return false;
}

void name_and_pin(std::thread& thread, std::size_t index, const std::vector<std::uint32_t>& cpus) {
  pthread_setname_np(thread.native_handle(), ("worker-" + std::to_string(index)).c_str());
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpus[index], &set);
  pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);  // checked in make_workers()
}

base::Result<void> check_cpus(const std::vector<std::uint32_t>& cpus) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (const std::uint32_t cpu : cpus) {
    if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed)) {
      return base::fail("workers.cpus names processor " + std::to_string(cpu) +
                            ", which this machine does not have or does not let us use",
                        base::ErrorKind::kBadConfiguration);
    }
  }
  return {};
}

}  // namespace

DataPlane::DataPlane(Config config, frame::Arena arena, base::HashSecret secret)
    : config_(std::move(config)), arena_(std::move(arena)), secret_(secret) {}

DataPlane::~DataPlane() {
  stop();
}

base::Result<std::unique_ptr<DataPlane>> DataPlane::create(const Config& config, const Estate& estate,
                                                           std::shared_ptr<const firewall::Policy> policy) {
  if (auto cpus = check_cpus(config.workers.cpus); !cpus) return std::unexpected(std::move(cpus.error()));
  auto arena = frame::Arena::create({.frame_count = config.memory.frames,
                                     .frame_bytes = config.memory.frame_bytes,
                                     .huge_pages = config.memory.huge_pages,
                                     .memory_file = estate.holdings.find("arena")});
  if (!arena) return std::unexpected(std::move(arena.error()));
  std::unique_ptr<DataPlane> plane(new DataPlane(config, std::move(*arena), estate.order.secret));
  plane->nodes_ = nodes_of_workers(config);
  plane->config_.flows.limit = estate.order.flow_limit;
  plane->config_.flows.sources = estate.order.source_limit;
  plane->states_per_worker_ = share(plane->config_.flows.limit, config.workers.count);
  if (auto opened = plane->open_ports(estate); !opened) return std::unexpected(std::move(opened.error()));
  plane->editor_.emplace(policy, &plane->folder_);
  auto snapshot = plane->next_snapshot(std::move(policy));
  if (!snapshot) return std::unexpected(std::move(snapshot.error()));
  plane->snapshot_ = std::move(*snapshot);
  if (auto made = plane->make_workers(estate); !made) return std::unexpected(std::move(made.error()));
  return plane;
}

base::Result<void> DataPlane::open_ports(const Estate& estate) {
  for (std::size_t i = 0; i < config_.ports.size(); ++i) {
    const base::PortId id{static_cast<std::uint8_t>(i)};
    auto opened = config_.ports[i].is_dpdk() ? open_dpdk_port(id) : open_af_xdp_port(id, estate);
    if (!opened) return std::unexpected(std::move(opened.error()));
    ports_.push_back(std::move(*opened));
  }
  return {};
}

#ifdef RINGPLANE_AF_XDP
base::Result<std::unique_ptr<port::Port>> DataPlane::open_af_xdp_port(base::PortId id, const Estate& estate) {
  if (umem_ == nullptr) umem_ = std::make_unique<port::Umem>(arena_);
  const PortConfig& wanted = config_.ports[id.value];
  const auto told = estate.order.ports.find(wanted.name);
  if (told == estate.order.ports.end()) return base::fail("port " + wanted.name + " was not handed over");
  const auto facts = facts_from(told->second);
  if (!facts) return std::unexpected(facts.error());
  auto adopted = port::AfXdpPort::adopt(*umem_, af_xdp_options(wanted, id, config_.workers.count), *facts,
                                        estate.holdings, "port/" + wanted.name + "/");
  if (!adopted) return std::unexpected(std::move(adopted.error()));
  af_xdp_ports_.push_back(adopted->get());
  return std::move(*adopted);
}

base::Result<void> DataPlane::take_over_ports() {
  for (port::AfXdpPort* port : af_xdp_ports_) {
    if (auto taken = port->take_over(); !taken) return taken;
  }
  return {};
}

bool DataPlane::is_held(std::uint64_t address) const noexcept {
  return std::ranges::any_of(af_xdp_ports_, [&](const port::AfXdpPort* port) { return port->holds(address); });
}
#else
base::Result<std::unique_ptr<port::Port>> DataPlane::open_af_xdp_port(base::PortId id, const Estate&) {
  return base::fail("port " + config_.ports[id.value].name + ": this build has no AF_XDP");
}

base::Result<void> DataPlane::take_over_ports() {
  return {};
}

bool DataPlane::is_held(std::uint64_t) const noexcept {
  return false;
}
#endif

base::Result<std::unique_ptr<port::Port>> DataPlane::open_dpdk_port(base::PortId id) {
  if (dpdk_ == nullptr) {
    // A PCI device is named by its address; looking for them costs time and needs rights.
    const bool pci = std::ranges::any_of(config_.ports, [](const PortConfig& each) {
      return each.is_dpdk() &&
             each.dpdk_device().substr(0, each.dpdk_device().find(',')).find(':') != std::string::npos;
    });
    auto loaded = port::DpdkPorts::create(
        arena_, {.pci = pci, .huge_pages = config_.memory.huge_pages, .log = [](std::string_view line) {
                   spdlog::warn("dpdk: {}", line);
                 }});
    if (!loaded) return std::unexpected(std::move(loaded.error()));
    dpdk_ = std::move(*loaded);
  }
  return dpdk_->open({.id = id, .device = config_.ports[id.value].dpdk_device(), .queues = config_.workers.count});
}

worker::Forwarding DataPlane::forwarding() const {
  worker::Forwarding forwarding;
  std::uint8_t domain = 1;
  for (const BridgeConfig& bridge : config_.bridges) {
    forwarding.add_bridge(base::PortId{static_cast<std::uint8_t>(bridge.first)},
                          base::PortId{static_cast<std::uint8_t>(bridge.second)}, domain++,
                          bridge.arp_only ? worker::NonIp::kArpOnly : worker::NonIp::kPass);
  }
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    forwarding.set_mtu(base::PortId{static_cast<std::uint8_t>(i)}, ports_[i]->mtu());
  }
  return forwarding;
}

base::Result<std::unique_ptr<worker::Snapshot>> DataPlane::next_snapshot(
    std::shared_ptr<const firewall::Policy> policy) {
  if (++generation_ == 0) generation_ = 1;
  return worker::make_snapshot(generation_, std::move(policy), forwarding(), states_per_worker_, config_.workers.count);
}

base::Result<void> DataPlane::make_workers(const Estate& estate) {
  const std::uint32_t count = config_.workers.count;
  auto memory = base::MappedMemory::map_file(estate.holdings.find("counters"), count * sizeof(KeptCounters), false,
                                             "the counters", "lower workers.count");
  if (!memory) return std::unexpected(std::move(memory.error()));
  counters_memory_ = std::move(*memory);
  const std::span<KeptCounters> counters = counters_memory_->take<KeptCounters>(count);
  frames_per_worker_ = arena_.frame_count() / count;
  for (std::uint32_t i = 0; i < count; ++i) {
    const base::PreferNode near(node_of_worker(i));
    pools_.push_back(std::make_unique<frame::FramePool>(arena_, i * frames_per_worker_, frames_per_worker_));
    mailboxes_.push_back(std::make_unique<worker::Mailbox>(count, kMailboxSlots));
  }
  const auto rule_count = static_cast<std::uint32_t>(snapshot_->policy->rule_count());
  totals_ = worker::RuleTotals(rule_count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const base::PreferNode near(node_of_worker(i));
    paths_.push_back(std::make_unique<worker::RulePaths>(rule_count));
    worker::SnapshotChange first{.snapshot = snapshot_.get(), .paths = paths_.back().get(), .additions = {}};
    auto made = worker::Worker::create({.id = base::WorkerId{static_cast<std::uint8_t>(i)},
                                        .worker_count = count,
                                        .secret = secret_,
                                        .seed = base::os_random_seed(),
                                        .flow_capacity = states_per_worker_,
                                        .source_capacity = share(config_.flows.sources, count),
                                        .overlay_capacity = config_.flows.table_additions,
                                        .log_per_second = config_.log.per_second,
                                        .flow_record_slots = config_.wants_flow_records() ? kFlowRecordSlots : 0,
                                        .replies_per_second = config_.replies.per_second,
                                        .spin_turns = config_.workers.spin_turns,
                                        .huge_pages = config_.memory.huge_pages,
                                        .flow_memory = estate.holdings.find("flows/" + std::to_string(i)),
                                        .counters = &counters[i].worker},
                                       arena_, *pools_[i], frames_per_worker_, mailboxes_, first, base::monotonic_ns());
    if (!made) return std::unexpected(std::move(made.error()));
    workers_.push_back(std::move(*made));
  }
  return {};
}

void DataPlane::start() {
  folder_.start();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    threads_.emplace_back([this, each = workers_[i].get()] {
      released_.wait();
      each->run();
    });
    name_and_pin(threads_.back(), i, config_.workers.cpus);
  }
}

base::Result<void> DataPlane::take_over() {
  if (auto taken = take_over_ports(); !taken) return taken;
  for (const auto& pool : pools_) pool->leave_out([this](std::uint64_t address) { return is_held(address); });
  for (std::uint32_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->take_over(base::monotonic_ns());
    for (std::size_t port = 0; port < ports_.size(); ++port) {
      auto queue = ports_[port]->open_queue(i, *pools_[i]);
      if (!queue) return std::unexpected(std::move(queue.error()));
      workers_[i]->attach(base::PortId{static_cast<std::uint8_t>(port)}, std::move(*queue));
    }
  }
  released_.count_down();
  return {};
}

void DataPlane::post(std::size_t worker, const worker::ControlMessage& message) {
  worker::Mailbox& mailbox = *mailboxes_[worker];
  wait_for([&] { return mailbox.from_control.push(message); });
  mailbox.wake_up.notify();
}

base::Result<void> DataPlane::reload(std::shared_ptr<const firewall::Policy> policy) {
  const auto rule_count = static_cast<std::uint32_t>(policy->rule_count());
  auto made = next_snapshot(std::move(policy));
  if (!made) return std::unexpected(std::move(made.error()));
  const std::vector<worker::TableAddition> additions = additions_for((*made)->policy->ruleset());
  const worker::RuleSuccession succession(snapshot_->policy->ruleset(), (*made)->policy->ruleset());
  std::vector<std::unique_ptr<worker::RulePaths>> paths;
  std::vector<std::unique_ptr<worker::SnapshotChange>> changes;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const base::PreferNode near(node_of_worker(i));
    paths.push_back(std::make_unique<worker::RulePaths>(rule_count));
    changes.push_back(std::make_unique<worker::SnapshotChange>());
    changes[i]->snapshot = made->get();
    changes[i]->paths = paths[i].get();
    changes[i]->additions = additions;
    post(
        i,
        {.kind = worker::ControlMessage::Kind::kSnapshot, .change = changes[i].get(), .dump = nullptr, .addition = {}});
  }
  for (const auto& change : changes) {
    if (!wait_for([&] { return change->taken.load(std::memory_order_acquire); })) {
      // The worker may still read all of it: better to lose the memory than to free it under a running thread.
      for (auto& kept : changes) static_cast<void>(kept.release());
      for (auto& kept : paths) static_cast<void>(kept.release());
      static_cast<void>(made->release());
      return base::fail("a worker has not taken the new rules within 10 s");
    }
  }
  totals_.carry_over(succession, paths_);
  snapshot_ = std::move(*made);
  if (editor_->policy() != snapshot_->policy) editor_.emplace(snapshot_->policy, &folder_);
  paths_ = std::move(paths);
  return {};
}

base::Result<void> DataPlane::change_table(TableChange change) {
  spread_overloads();
  auto made = change.replaces ? editor_->replace_table(change.table, std::exchange(change.added, {}))
                              : editor_->change_table(change.table, change.removed, change.added);
  if (!made) return std::unexpected(std::move(made.error()));
  return go_over(*made, withdraw(change));
}

void DataPlane::take_folded() {
  editor_->take_folded();
  if (editor_->policy() == snapshot_->policy) return;
  if (const auto done = go_over(editor_->policy(), {}); !done) spdlog::error("{}", done.error().message);
}

base::Result<void> DataPlane::go_over(const std::shared_ptr<const firewall::Policy>& policy,
                                      const std::vector<worker::TableHost>& withdrawn) {
  if (!worker::have_same_rules(*policy, *snapshot_->policy)) return reload(policy);
  auto next = worker::with_tables_of(*snapshot_, policy);
  if (!released_.try_wait()) {  // the workers' threads have not begun
    for (const auto& each : workers_) each->adopt_tables(*next);
    snapshot_ = std::move(next);
    return {};
  }
  std::vector<std::unique_ptr<worker::SnapshotChange>> changes;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    changes.push_back(std::make_unique<worker::SnapshotChange>());
    changes[i]->snapshot = next.get();
    changes[i]->withdrawn = withdrawn;
    post(i,
         {.kind = worker::ControlMessage::Kind::kTables, .change = changes[i].get(), .dump = nullptr, .addition = {}});
  }
  for (const auto& change : changes) {
    if (wait_for([&] { return change->taken.load(std::memory_order_acquire); })) continue;
    for (auto& kept : changes) static_cast<void>(kept.release());  // as in reload()
    static_cast<void>(next.release());
    return base::fail("a worker has not taken the table within 10 s");
  }
  snapshot_ = std::move(next);
  return {};
}

std::vector<worker::TableHost> DataPlane::withdraw(const TableChange& change) {
  std::vector<worker::TableHost> withdrawn;
  const auto known = additions_.find(snapshot_->policy->ruleset().tables[change.table].name);
  if (known == additions_.end()) return withdrawn;
  std::set<wire::HostAddress>& hosts = known->second;
  if (change.replaces) {
    for (const wire::HostAddress& host : hosts) withdrawn.push_back({.table = change.table, .host = host});
  } else {
    const auto take = [&](const wire::Prefix& prefix) {
      const wire::HostAddress host{.family = prefix.family, .address = prefix.address};
      if (prefix.length == wire::address_bits(prefix.family) && hosts.contains(host))
        withdrawn.push_back({.table = change.table, .host = host});
    };
    for (const wire::Prefix& prefix : change.removed) take(prefix);
    for (const firewall::TableEntry& entry : change.added) {
      if (entry.negated) take(entry.prefix);
    }
  }
  for (const worker::TableHost& each : withdrawn) addition_count_ -= hosts.erase(each.host);
  return withdrawn;
}

std::vector<wire::HostAddress> DataPlane::additions_to(firewall::TableId table) const {
  const auto known = additions_.find(snapshot_->policy->ruleset().tables[table].name);
  if (known == additions_.end()) return {};
  return {known->second.begin(), known->second.end()};
}

std::vector<worker::TableAddition> DataPlane::additions_for(const firewall::Ruleset& ruleset) const {
  std::vector<worker::TableAddition> additions;
  for (const auto& [name, hosts] : additions_) {
    const auto table = ruleset.find_table(name);
    if (!table) continue;
    for (const wire::HostAddress& host : hosts)
      additions.push_back({.table = *table, .host = host, .flush = false, .flush_rule = {}});
  }
  return additions;
}

void DataPlane::spread_overloads() {
  for (std::size_t from = 0; from < workers_.size(); ++from) {
    worker::OverloadEvent event;
    while (workers_[from]->tables().overloads->pop(event)) {
      if (event.generation != snapshot_->generation) continue;
      const std::string& table = snapshot_->policy->ruleset().tables[event.addition.table].name;
      std::set<wire::HostAddress>& hosts = additions_[table];
      const bool known = hosts.contains(event.addition.host);
      const bool fits = addition_count_ < config_.flows.table_additions;
      if (!known && fits) addition_count_ += hosts.insert(event.addition.host).second ? 1 : 0;
      // An address that is known, or one too many, is news only for its flows.
      if ((known || !fits) && !event.addition.flush) continue;
      for (std::size_t to = 0; to < workers_.size(); ++to) {
        worker::TableAddition addition = event.addition;
        // Where it comes from it may have been withdrawn since; its flows are being ended there.
        if (to == from) addition.flush = false;
        post(to, {.kind = worker::ControlMessage::Kind::kTableAddition,
                  .change = nullptr,
                  .dump = nullptr,
                  .addition = addition});
      }
    }
  }
}

base::Result<void> DataPlane::observe(const std::vector<worker::BurstObserver*>& observers) {
  std::vector<std::unique_ptr<worker::ObserverChange>> changes;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    changes.push_back(std::make_unique<worker::ObserverChange>());
    changes[i]->observer = observers.empty() ? nullptr : observers[i];
    worker::ControlMessage message;
    message.kind = worker::ControlMessage::Kind::kObserver;
    message.observer = changes[i].get();
    post(i, message);
  }
  for (const auto& change : changes) {
    if (wait_for([&] { return change->taken.load(std::memory_order_acquire); })) continue;
    for (auto& kept : changes) static_cast<void>(kept.release());  // the worker may still look at it
    return base::fail("a worker has not answered within 10 s");
  }
  return {};
}

std::vector<DataPlane::ListedFlow> DataPlane::dump_flows(std::uint32_t limit) {
  std::vector<FlowLook> looks;
  for (const auto& worker : workers_) looks.push_back({.room = std::min(limit, worker->tables().flows->size() + 64)});
  return look_at_flows(looks);
}

std::vector<DataPlane::ListedFlow> DataPlane::look_at_flows(std::vector<FlowLook>& looks) {
  std::vector<std::unique_ptr<worker::FlowDump>> dumps;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    auto dump = std::make_unique<worker::FlowDump>();
    dump->records.resize(looks[i].room);  // the pages are touched here: twenty times the work, were it the worker's
    dump->records.clear();
    dump->again = std::move(looks[i].again);
    dump->cursor = looks[i].cursor;
    dump->most = looks[i].most;
    dump->idle_ns = looks[i].idle_ns;
    post(i, {.kind = worker::ControlMessage::Kind::kFlowDump, .change = nullptr, .dump = dump.get(), .addition = {}});
    dumps.push_back(std::move(dump));
  }
  std::vector<ListedFlow> all;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (!wait_for([&] { return dumps[i]->done.load(std::memory_order_acquire); })) {
      static_cast<void>(dumps[i].release());  // the worker may still write to it
      continue;
    }
    looks[i].cursor = dumps[i]->cursor;
    for (const flow::FlowDetails& details : dumps[i]->records) {
      const base::RulePathId path = details.path;
      all.push_back({.details = details,
                     .rule = path.valid() ? worker::deciding_rule(paths_[i]->at(path)) : base::RuleId{},
                     .worker = base::WorkerId{static_cast<std::uint8_t>(i)}});
    }
  }
  return all;
}

void DataPlane::halt() {
  for (const auto& each : workers_) each->stop();
  if (!released_.try_wait()) released_.count_down();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::uint32_t DataPlane::stop() {
  if (std::exchange(stopped_, true)) return 0;
  halt();
  std::vector<frame::FramePool*> pools;
  for (const auto& pool : pools_) pools.push_back(pool.get());
  for (const auto& each : workers_) each->close(pools);
  std::uint32_t missing = 0;
  for (const auto& pool : pools_) missing += pool->total() - pool->free_count();
  return missing;
}

}  // namespace ringplane::control
