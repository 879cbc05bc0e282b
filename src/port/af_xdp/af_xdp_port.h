// AfXdpPort: a network interface whose receive and transmit rings are mapped into this process (AF_XDP), while the
// kernel keeps what KernelServices says. Native XDP is tried first, then generic; zero-copy first, then copy;
// description() says what was got and why it was not better.
//
// Life in one process: create() checks the interface and attaches the XDP program; open_queue() binds one socket for
// each queue; closing a queue unbinds it (its packets then pass to the kernel); destroying the port detaches the
// program. So does the end of the process, even by SIGKILL.
//
// Life in two: one process, with the rights, does create(), bind_sockets() and share(); another, without, does adopt()
// with what it was handed, take_over() and open_queue(). If that one dies, the next does the same, and the frames that
// the kernel holds are found in the books. adopt() may be done ahead, while another drives the port. The program stays
// attached as long as any of them lives.
//
// Limits: a packet that does not fit a frame after 256 bytes of headroom never arrives, so create() refuses an MTU
// above frame_bytes - 278 (two VLAN tags): 1770 with frames of 2048 bytes. Offloads that make larger packets (LRO,
// hardware GRO, and TSO at the other end of a veth), that leave checksums open (TX checksum at the other end of a veth)
// or that take VLAN tags out of the packet (rxvlan) must be off: `ethtool -K`. Queues beyond the opened ones stay with
// the kernel.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/ids.h"
#include "base/mapped_memory.h"
#include "base/result.h"
#include "frame/frame_pool.h"
#include "port/af_xdp/interface.h"
#include "port/af_xdp/kernel_services.h"
#include "port/af_xdp/queue_books.h"
#include "port/af_xdp/redirect_program.h"
#include "port/af_xdp/umem.h"
#include "port/af_xdp/xdp_socket.h"
#include "port/port.h"

namespace ringplane::port {

struct AfXdpOptions {
  base::PortId id{0};        ///< Frame::port of what it receives
  std::string interface{};   ///< name, in the network namespace of the calling thread
  std::uint32_t queues = 0;  ///< from queue 0 on; 0: as many as the interface has
  XdpMode mode = XdpMode::kBest;
  bool zero_copy = true;    ///< try it
  bool promiscuous = true;  ///< take packets for any MAC address, as a bridge must
  RingSlots slots{};
  KernelServices kernel{};
};

/// What the process that opened a port knows of it; with the holdings, all that another needs.
struct AfXdpFacts {
  Interface interface{};
  bool native = false;
  std::string generic_reason{};
  std::uint32_t queues = 0;
  std::uint32_t zero_copy_queues = 0;  ///< all or none
  std::string copy_reason{};
};

class AfXdpPort final : public Port {
 public:
  /// `umem` is shared by all af_xdp ports of the process and outlives them.
  [[nodiscard]] static base::Result<std::unique_ptr<AfXdpPort>> create(Umem& umem, const AfXdpOptions& options);
  /// The port that another process created and shared under `prefix`; of `options` it takes the id and the slots.
  [[nodiscard]] static base::Result<std::unique_ptr<AfXdpPort>> adopt(Umem& umem, const AfXdpOptions& options,
                                                                      const AfXdpFacts& facts,
                                                                      const base::Holdings& holdings,
                                                                      const std::string& prefix);
  ~AfXdpPort() override = default;

  /// After adopt(), when nobody drives the sockets any more: maps their rings and settles the books.
  [[nodiscard]] base::Result<void> take_over();
  /// Binds the sockets of all queues, for whoever adopts the port to drive.
  [[nodiscard]] base::Result<void> bind_sockets();
  /// Adds duplicates of all its descriptors under `prefix`. After bind_sockets().
  [[nodiscard]] base::Result<void> share(base::Holdings& holdings, const std::string& prefix) const;
  [[nodiscard]] AfXdpFacts facts() const;
  /// While no process drives the sockets (redirect_program.h).
  [[nodiscard]] base::Result<void> set_bypass(Bypass bypass, std::uint32_t peer_index) {
    return program_.set_bypass(bypass, peer_index);
  }
  [[nodiscard]] std::uint32_t interface_index() const noexcept { return interface_.index; }
  /// Whether the kernel holds the frame at `address` for one of the queues. After take_over(), before open_queue().
  [[nodiscard]] bool holds(std::uint64_t address) const noexcept;

  [[nodiscard]] std::uint32_t queue_count() const noexcept override { return queue_count_; }
  /// Receive queues of the interface; packets of those that are not opened pass to the kernel.
  [[nodiscard]] std::uint32_t interface_queues() const noexcept { return interface_.rx_queues; }
  [[nodiscard]] base::Result<std::unique_ptr<Queue>> open_queue(std::uint32_t index, frame::FramePool& pool) override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] MacAddress mac() const noexcept override { return interface_.mac; }
  [[nodiscard]] std::uint32_t mtu() const noexcept override { return interface_.mtu; }
  /// A removed interface stays gone, and so do its queues, even if one of the same name appears.
  [[nodiscard]] LinkState link_state() override;

 private:
  AfXdpPort(Umem& umem, AfXdpOptions options, Interface interface, base::FileDescriptor interface_socket,
            base::FileDescriptor promiscuous, RedirectProgram program);
  [[nodiscard]] base::Result<void> open_books(int file);
  [[nodiscard]] base::Result<XdpSocket> open_socket(std::uint32_t index);
  void note(const XdpSocket& socket);

  Umem& umem_;
  const AfXdpOptions options_;
  const Interface interface_;
  const base::FileDescriptor interface_socket_;
  const base::FileDescriptor promiscuous_;
  RedirectProgram program_;
  const std::uint32_t queue_count_;
  base::FileDescriptor books_file_;
  std::optional<base::MappedMemory> books_memory_;
  std::vector<QueueBooks> books_;                  // by queue
  std::vector<base::FileDescriptor> adopted_;      // by queue: of sockets that are to be taken over
  std::vector<std::optional<XdpSocket>> sockets_;  // by queue: bound, and not yet a Queue
  std::uint32_t zero_copy_queues_ = 0;
  std::uint32_t copy_queues_ = 0;
  std::string copy_reason_;
  std::atomic<bool> gone_{false};
};

}  // namespace ringplane::port
