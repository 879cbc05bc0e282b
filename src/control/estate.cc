#include "control/estate.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/ids.h"
#include "base/memory_file.h"
#include "base/numa.h"
#include "base/random.h"
#include "base/result.h"
#include "base/unix_socket.h"
#include "control/config.h"
#include "control/numa_plan.h"
#include "control/outlets.h"
#include "control/reservations.h"
#include "control/start_order.h"
#include "control/table_journal.h"
#include "firewall/ruleset.h"
#include "flow/flow_table.h"
#include "frame/arena.h"
#ifdef RINGPLANE_AF_XDP
#include "control/port_facts.h"
#include "port/af_xdp/af_xdp_port.h"
#include "port/af_xdp/redirect_program.h"
#include "port/af_xdp/umem.h"
#endif

namespace ringplane::control {
namespace {

constexpr int kControlProcessesAtOnce = 4;

base::Result<void> add(base::Holdings& holdings, std::string name, base::Result<base::FileDescriptor> made) {
  if (!made) return std::unexpected(std::move(made.error()));
  holdings.add(std::move(name), std::move(*made));
  return {};
}

/// Warns of each node that the kernel refuses.
std::vector<int> nodes_for(const Config& config) {
  std::vector<int> nodes = nodes_of_workers(config);
  for (const int node : std::set<int>(nodes.begin(), nodes.end())) {
    const std::string refusal = base::PreferNode(node).refusal();
    if (refusal.empty()) continue;
    spdlog::warn("{}: it comes from anywhere; in a container, allow set_mempolicy(2)", refusal);
  }
  return nodes;
}

base::Result<void> take_memory(const Config& config, base::Holdings& holdings) {
  const frame::ArenaOptions arena{.frame_count = config.memory.frames, .frame_bytes = config.memory.frame_bytes};
  const std::uint32_t flows = share(config.flows.limit, config.workers.count);
  const std::uint64_t flow_bytes = config.workers.count * flow::FlowTable::bytes_for(flows);
  if (auto enough = check_memory(arena.bytes() + flow_bytes, config.memory.huge_pages,
                                 "frames " + std::to_string(arena.bytes() >> 20U) + " MiB, flow tables " +
                                     std::to_string(flow_bytes >> 20U) + " MiB");
      !enough) {
    return enough;
  }
  const std::vector<int> nodes = nodes_for(config);
  const std::uint64_t share_bytes =
      arena.bytes() / config.memory.frames * (config.memory.frames / config.workers.count);
  if (auto taken = add(holdings, "arena",
                       base::make_memory_file(arena.bytes(), config.memory.huge_pages, "the frames",
                                              "lower memory.frames", nodes, share_bytes));
      !taken) {
    return taken;
  }
  for (std::uint32_t i = 0; i < config.workers.count; ++i) {
    if (auto taken = add(holdings, "flows/" + std::to_string(i),
                         base::make_memory_file(
                             flow::FlowTable::bytes_for(flows), config.memory.huge_pages, "the flow table",
                             "lower flows.limit or `set limit states`",
                             std::span(nodes).subspan(std::min<std::size_t>(i, nodes.size()), nodes.empty() ? 0 : 1),
                             flow::FlowTable::bytes_for(flows)));
        !taken) {
      return taken;
    }
  }
  return add(holdings, "counters",
             base::make_memory_file(config.workers.count * sizeof(KeptCounters), false, "the counters",
                                    "lower workers.count"));
}

std::string prefix_of(const PortConfig& port) {
  return "port/" + port.name + "/";
}

#ifdef RINGPLANE_AF_XDP
base::Result<void> open_ports(const Config& config, Estate& estate) {
  const auto arena = frame::Arena::create({.frame_count = config.memory.frames,
                                           .frame_bytes = config.memory.frame_bytes,
                                           .huge_pages = config.memory.huge_pages,
                                           .memory_file = estate.holdings.find("arena")});
  if (!arena) return std::unexpected(arena.error());
  port::Umem umem(*arena);
  // All together until the last is open: sockets share the registration of the memory.
  std::vector<std::unique_ptr<port::AfXdpPort>> opened;
  for (std::size_t i = 0; i < config.ports.size(); ++i) {
    const PortConfig& wanted = config.ports[i];
    if (wanted.is_dpdk()) continue;
    const base::PortId id{static_cast<std::uint8_t>(i)};
    auto port = port::AfXdpPort::create(umem, af_xdp_options(wanted, id, config.workers.count));
    if (!port) return std::unexpected(std::move(port.error()));
    if (const std::uint32_t queues = (*port)->interface_queues(); queues > config.workers.count) {
      return base::fail(wanted.interface + " has " + std::to_string(queues) + " receive queues for " +
                            std::to_string(config.workers.count) +
                            " worker(s), and packets of the others would go past the firewall: set workers.count = " +
                            std::to_string(queues) + ", or type: ethtool -L " + wanted.interface + " combined " +
                            std::to_string(config.workers.count),
                        base::ErrorKind::kBadConfiguration);
    }
    if (auto bound = (*port)->bind_sockets(); !bound) return bound;
    if (auto shared = (*port)->share(estate.holdings, prefix_of(wanted)); !shared) return shared;
    estate.order.ports[wanted.name] = to_text((*port)->facts());
    opened.push_back(std::move(*port));
  }
  return {};
}
#else
base::Result<void> open_ports(const Config& config, Estate&) {
  for (const PortConfig& port : config.ports) {
    if (port.is_dpdk()) continue;
    return base::fail("port " + port.name +
                      ": this build has no AF_XDP: build with -DRINGPLANE_AF_XDP=ON, or use ringplane replay");
  }
  return {};
}
#endif

/// All but the rules; in the order in which others would be disturbed.
base::Result<void> fill(Estate& estate, const Config& config) {
  const auto reserved = reserve(exclusives_of(config), config, estate.holdings);
  if (!reserved) return std::unexpected(reserved.error());
  if (auto taken = Outlets(config).open(estate.holdings); !taken) return taken;
  if (auto taken = take_memory(config, estate.holdings); !taken) return taken;
  if (auto taken = TableJournal::add_files(estate.holdings); !taken) return taken;
  if (auto taken = open_ports(config, estate); !taken) return taken;
  for (const std::string& warning : *reserved) spdlog::warn("{}", warning);  // of a start that fails one says enough
  return add(estate.holdings, "listener",
             base::listen_at(listener_path(config), S_IRUSR | S_IWUSR, kControlProcessesAtOnce));
}

}  // namespace

std::uint32_t share(std::uint32_t whole, std::uint32_t parts) noexcept {
  return (whole + parts - 1) / parts;
}

void settle_limits(Config& config, const firewall::Options& options) {
  const firewall::Limits& limits = options.limits;
  if (limits.states_set) config.flows.limit = limits.states;
  if (limits.src_nodes_set) config.flows.sources = limits.src_nodes;
}

void replace_rules(Estate& estate, base::Holdings rules) {
  for (const char* name : {"rules", "rules_state"}) {
    if (rules.find(name) >= 0) estate.holdings.add(name, rules.take(name));
  }
  estate.holdings.remove("rules_before");
  if (rules.find("rules_before") >= 0) estate.holdings.add("rules_before", rules.take("rules_before"));
}

std::string listener_path(const Config& config) {
  return config.control.socket + ".data";
}

base::Result<Estate> take_estate(const Config& config, const firewall::Options& options, base::FileDescriptor rules) {
  Config settled = config;
  settle_limits(settled, options);
  base::Random random(base::os_random_seed());
  Estate estate{.order = {.version = RINGPLANE_VERSION,
                          .config_path = config.path,
                          .config_text = config.text,
                          .secret = {{random(), random(), random(), random()}},
                          .flow_limit = settled.flows.limit,
                          .source_limit = settled.flows.sources,
                          .ports = {}},
                .holdings = {}};
  estate.holdings.add("rules", std::move(rules));
  if (auto taken = fill(estate, settled); !taken) {
    remove_reservations(estate.holdings);
    return std::unexpected(std::move(taken.error()));
  }
  return estate;
}

#ifdef RINGPLANE_AF_XDP
std::vector<std::string> set_bypass(const Estate& estate, const Config& config, bool nobody_lives) {
  std::vector<std::string> failures;
  for (const BridgeConfig& bridge : config.bridges) {
    const std::array<const PortConfig*, 2> sides{&config.ports[bridge.first], &config.ports[bridge.second]};
    for (std::size_t i = 0; i < 2; ++i) {
      const auto facts = estate.order.ports.find(sides[i]->name);
      const auto peer_facts = estate.order.ports.find(sides[1 - i]->name);
      if (facts == estate.order.ports.end()) continue;  // of DPDK: it is gone with the data process
      const auto peer = peer_facts == estate.order.ports.end() ? base::Result<port::AfXdpFacts>(port::AfXdpFacts{})
                                                               : facts_from(peer_facts->second);
      const bool open = bridge.fail_open && peer && peer->interface.index != 0;
      const port::Bypass bypass = !nobody_lives ? port::Bypass::kNone
                                  : open        ? port::Bypass::kPeer
                                                : port::Bypass::kDrop;
      auto program = port::RedirectProgram::adopt(estate.holdings, prefix_of(*sides[i]), true, "");
      const auto told = program ? program->set_bypass(bypass, open ? peer->interface.index : 0)
                                : base::Result<void>(std::unexpected(program.error()));
      if (!told) failures.push_back("port " + sides[i]->name + ": " + told.error().message);
    }
  }
  return failures;
}
#else
std::vector<std::string> set_bypass(const Estate&, const Config&, bool) {
  return {};
}
#endif

}  // namespace ringplane::control
