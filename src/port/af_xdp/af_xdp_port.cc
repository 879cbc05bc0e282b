#include "port/af_xdp/af_xdp_port.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/mapped_memory.h"
#include "base/memory_file.h"
#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame.h"
#include "frame/frame_pool.h"
#include "port/af_xdp/af_xdp_queue.h"
#include "port/af_xdp/interface.h"
#include "port/af_xdp/queue_books.h"
#include "port/af_xdp/redirect_maps.h"
#include "port/af_xdp/redirect_program.h"
#include "port/af_xdp/umem.h"
#include "port/af_xdp/xdp_socket.h"
#include "port/port.h"

namespace ringplane::port {
namespace {

constexpr std::uint32_t kEthernetAndTwoTagsBytes = 14 + 2 * 4;

base::Result<void> check_interface(const Interface& interface, const frame::Arena& arena) {
  if (!interface.up) {
    return base::fail("interface " + interface.name + " is down: type `ip link set " + interface.name + " up`");
  }
  const std::uint32_t most = arena.frame_bytes() - frame::kHeadroomBytes - kEthernetAndTwoTagsBytes;
  if (interface.mtu <= most) return {};
  return base::fail("the MTU of " + interface.name + " is " + std::to_string(interface.mtu) + ", but a frame of " +
                        std::to_string(arena.frame_bytes()) + " bytes holds packets up to MTU " + std::to_string(most) +
                        ": type `ip link set " + interface.name + " mtu " + std::to_string(most) + "`" +
                        (arena.frame_bytes() < 4096 ? " or set memory.frame_bytes to 4096" : ""),
                    base::ErrorKind::kBadConfiguration);
}

base::Result<void> check_queues(const Interface& interface, std::uint32_t queues) {
  const std::string wanted = std::to_string(queues);
  if (queues > RINGPLANE_MAX_XDP_QUEUES) {
    return base::fail(
        interface.name + ": at most " + std::to_string(RINGPLANE_MAX_XDP_QUEUES) + " queues, not " + wanted,
        base::ErrorKind::kBadConfiguration);
  }
  if (queues <= interface.rx_queues && queues <= interface.tx_queues) return {};
  return base::fail(interface.name + " has " + std::to_string(interface.rx_queues) + " receive and " +
                        std::to_string(interface.tx_queues) + " transmit queues, not " + wanted +
                        ": ask for fewer, or type `ethtool -L " + interface.name + " combined " + wanted + "` (`rx " +
                        wanted + " tx " + wanted + "` for veth)",
                    base::ErrorKind::kBadConfiguration);
}

base::Result<void> check_slots(const RingSlots& slots) {
  for (const std::uint32_t count : {slots.rx, slots.tx, slots.fill, slots.completion}) {
    if (!std::has_single_bit(count) || count < frame::Burst::kCapacity || count > 32768) {
      return base::fail("ring slots must be a power of two from 64 to 32768, not " + std::to_string(count),
                        base::ErrorKind::kBadConfiguration);
    }
  }
  return {};
}

}  // namespace

base::Result<std::unique_ptr<AfXdpPort>> AfXdpPort::create(Umem& umem, const AfXdpOptions& options) {
  base::Result<base::FileDescriptor> interface_socket = open_interface_socket();
  if (!interface_socket) return std::unexpected(std::move(interface_socket.error()));
  base::Result<Interface> interface = find_interface(interface_socket->get(), options.interface);
  if (!interface) return std::unexpected(std::move(interface.error()));
  const std::uint32_t queues = options.queues == 0 ? interface->rx_queues : options.queues;
  for (base::Result<void> checked :
       {check_interface(*interface, umem.arena()), check_queues(*interface, queues), check_slots(options.slots)}) {
    if (!checked) return std::unexpected(std::move(checked.error()));
  }
  // Ask for a socket first: its errors say more than those of loading a program.
  const base::FileDescriptor probe(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return base::fail(no_socket_reason(errno));

  base::Result<RedirectProgram> program = RedirectProgram::attach(*interface, options.kernel, options.mode);
  if (!program) return std::unexpected(std::move(program.error()));
  base::Result<base::FileDescriptor> promiscuous;
  if (options.promiscuous) promiscuous = open_promiscuous(*interface);
  if (!promiscuous) return std::unexpected(std::move(promiscuous.error()));
  AfXdpOptions settled = options;
  settled.queues = queues;
  std::unique_ptr<AfXdpPort> port(new AfXdpPort(umem, std::move(settled), *std::move(interface),
                                                *std::move(interface_socket), *std::move(promiscuous),
                                                *std::move(program)));
  if (auto opened = port->open_books(-1); !opened) return std::unexpected(std::move(opened.error()));
  return port;
}

base::Result<std::unique_ptr<AfXdpPort>> AfXdpPort::adopt(Umem& umem, const AfXdpOptions& options,
                                                          const AfXdpFacts& facts, const base::Holdings& holdings,
                                                          const std::string& prefix) {
  auto interface_socket = holdings.duplicate(prefix + "interface");
  if (!interface_socket) return std::unexpected(std::move(interface_socket.error()));
  base::FileDescriptor promiscuous;
  if (const int held = holdings.find(prefix + "promiscuous"); held >= 0) {
    auto copy = base::duplicate(held);
    if (!copy) return std::unexpected(std::move(copy.error()));
    promiscuous = std::move(*copy);
  }
  auto program = RedirectProgram::adopt(holdings, prefix, facts.native, facts.generic_reason);
  if (!program) return std::unexpected(std::move(program.error()));
  AfXdpOptions settled = options;
  settled.queues = facts.queues;
  std::unique_ptr<AfXdpPort> port(new AfXdpPort(umem, std::move(settled), facts.interface, std::move(*interface_socket),
                                                std::move(promiscuous), std::move(*program)));
  if (auto opened = port->open_books(holdings.find(prefix + "books")); !opened) {
    return std::unexpected(std::move(opened.error()));
  }
  port->copy_reason_ = facts.copy_reason;
  for (std::uint32_t i = 0; i < facts.queues; ++i) {
    auto bound = holdings.duplicate(prefix + "queue" + std::to_string(i));
    if (!bound) return std::unexpected(std::move(bound.error()));
    port->adopted_.push_back(std::move(*bound));
    ++(facts.zero_copy_queues > 0 ? port->zero_copy_queues_ : port->copy_queues_);
  }
  return port;
}

base::Result<void> AfXdpPort::take_over() {
  for (std::uint32_t i = 0; i < adopted_.size(); ++i) {
    auto socket = XdpSocket::adopt(std::move(adopted_[i]), options_.slots, zero_copy_queues_ > 0);
    if (!socket) return std::unexpected(std::move(socket.error()));
    books_[i].settle(*socket);
    sockets_[i].emplace(std::move(*socket));
  }
  adopted_.clear();
  return {};
}

base::Result<void> AfXdpPort::open_books(int file) {
  constexpr const char* kWhat = "the books of a port";
  constexpr const char* kRemedy = "lower memory.frames";
  const std::uint64_t bytes = queue_count_ * QueueBooks::bytes_for(umem_.arena());
  auto kept = file >= 0 ? base::duplicate(file) : base::make_memory_file(bytes, false, kWhat, kRemedy);
  if (!kept) return std::unexpected(std::move(kept.error()));
  books_file_ = std::move(*kept);
  auto memory = base::MappedMemory::map_file(books_file_.get(), bytes, false, kWhat, kRemedy);
  if (!memory) return std::unexpected(std::move(memory.error()));
  books_memory_ = std::move(*memory);
  for (std::uint32_t i = 0; i < queue_count_; ++i) books_.emplace_back(*books_memory_, umem_.arena());
  sockets_.resize(queue_count_);
  return {};
}

base::Result<void> AfXdpPort::bind_sockets() {
  for (std::uint32_t i = 0; i < queue_count_; ++i) {
    base::Result<XdpSocket> socket = open_socket(i);
    if (!socket) return std::unexpected(std::move(socket.error()));
    if (auto directed = program_.add_socket(i, socket->fd()); !directed) return directed;
    sockets_[i].emplace(std::move(*socket));
  }
  return {};
}

base::Result<void> AfXdpPort::share(base::Holdings& holdings, const std::string& prefix) const {
  std::vector<std::pair<std::string, int>> all{{"interface", interface_socket_.get()}, {"books", books_file_.get()}};
  if (promiscuous_.valid()) all.emplace_back("promiscuous", promiscuous_.get());
  for (std::uint32_t i = 0; i < queue_count_; ++i) all.emplace_back("queue" + std::to_string(i), sockets_[i]->fd());
  for (const auto& [name, descriptor] : all) {
    if (auto added = holdings.add_duplicate(prefix + name, descriptor); !added) return added;
  }
  return program_.share(holdings, prefix);
}

AfXdpFacts AfXdpPort::facts() const {
  return {.interface = interface_,
          .native = program_.native(),
          .generic_reason = program_.generic_reason(),
          .queues = queue_count_,
          .zero_copy_queues = zero_copy_queues_,
          .copy_reason = copy_reason_};
}

bool AfXdpPort::holds(std::uint64_t address) const noexcept {
  return std::ranges::any_of(books_, [&](const QueueBooks& books) { return books.held().contains(address); });
}

void AfXdpPort::note(const XdpSocket& socket) {
  ++(socket.zero_copy() ? zero_copy_queues_ : copy_queues_);
  if (!socket.copy_reason().empty()) copy_reason_ = socket.copy_reason();
}

base::Result<XdpSocket> AfXdpPort::open_socket(std::uint32_t index) {
  // Generic XDP runs after the driver has copied the packet into an skb: there is nothing left to be zero-copy.
  const bool try_zero_copy = options_.zero_copy && program_.native();
  base::Result<XdpSocket> socket = XdpSocket::open(umem_, interface_, index, options_.slots, try_zero_copy);
  if (socket) note(*socket);
  return socket;
}

AfXdpPort::AfXdpPort(Umem& umem, AfXdpOptions options, Interface interface, base::FileDescriptor interface_socket,
                     base::FileDescriptor promiscuous, RedirectProgram program)
    : umem_(umem),
      options_(std::move(options)),
      interface_(std::move(interface)),
      interface_socket_(std::move(interface_socket)),
      promiscuous_(std::move(promiscuous)),
      program_(std::move(program)),
      queue_count_(options_.queues) {}

base::Result<std::unique_ptr<Queue>> AfXdpPort::open_queue(std::uint32_t index, frame::FramePool& pool) {
  if (index >= queue_count_) return base::fail(interface_.name + " was not opened with queue " + std::to_string(index));
  const bool adopted = sockets_[index].has_value();
  base::Result<XdpSocket> socket = adopted ? base::Result<XdpSocket>(std::move(*sockets_[index])) : open_socket(index);
  if (!socket) return std::unexpected(std::move(socket.error()));
  sockets_[index].reset();
  const int fd = socket->fd();
  auto queue = std::make_unique<AfXdpQueue>(*std::move(socket), books_[index], umem_.arena(), pool, options_.id,
                                            options_.slots, gone_);
  if (adopted) return queue;
  // Last, so that the first packet finds a filled ring.
  base::Result<void> directed = program_.add_socket(index, fd);
  if (!directed) return std::unexpected(std::move(directed.error()));
  return queue;
}

std::string AfXdpPort::description() const {
  std::string text = "af_xdp " + interface_.name + (program_.native() ? " native" : " generic");
  if (copy_queues_ > 0) text += " copy";
  if (zero_copy_queues_ > 0) text += copy_queues_ > 0 ? "/zero-copy" : " zero-copy";
  text += ", " + std::to_string(queue_count_) + (queue_count_ == 1 ? " queue" : " queues");
  if (queue_count_ < interface_.rx_queues) text += " of " + std::to_string(interface_.rx_queues);
  std::string reasons = program_.generic_reason();
  if (!copy_reason_.empty()) reasons += (reasons.empty() ? "" : "; ") + copy_reason_;
  return reasons.empty() ? text : text + " (" + reasons + ")";
}

LinkState AfXdpPort::link_state() {
  if (gone_.load(std::memory_order_relaxed)) return LinkState::kGone;
  const LinkState state = link_state_of(interface_socket_.get(), interface_.index);
  if (state == LinkState::kGone) gone_.store(true, std::memory_order_relaxed);
  return state;
}

}  // namespace ringplane::port
