// DpdkPorts: the door to DPDK. What lies behind it (port/dpdk) is a library of its own, libringplane_dpdk.so, which is
// loaded when the first port asks for it: a ringplane without DPDK ports neither loads DPDK nor waits for it, and runs
// on machines that do not have it.
//
// Life: create() loads the library, brings DPDK up (once in a process; it cannot be brought down and up again) and
// makes a DPDK header for every frame of the arena. It outlives its ports, these outlive their queues. Control thread
// only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "frame/arena.h"
#include "port/port.h"

namespace ringplane::port {

struct DpdkOptions {
  bool pci = false;        ///< look for PCI devices: a port is named by a PCI address
  bool huge_pages = true;  ///< for the headers of the frames
  /// Gets DPDK's warnings and errors, a line each without its end, from any thread; at most 100 in a second.
  void (*log)(std::string_view line) = nullptr;
};

struct DpdkPortOptions {
  base::PortId id{0};        ///< Frame::port of what it receives
  std::string device{};      ///< as DPDK names it, with its arguments: "net_memif0,role=client", "0000:01:00.0"
  std::uint32_t queues = 1;  ///< each has to be opened before any of them moves packets
  bool promiscuous = true;   ///< take packets for any MAC address, as a bridge must
};

class DpdkPorts {
 public:
  /// Fails with a sentence when the build or the machine has no DPDK. `arena` outlives it.
  [[nodiscard]] static base::Result<std::unique_ptr<DpdkPorts>> create(const frame::Arena& arena,
                                                                       const DpdkOptions& options);
  DpdkPorts() = default;
  DpdkPorts(const DpdkPorts&) = delete;
  DpdkPorts& operator=(const DpdkPorts&) = delete;
  virtual ~DpdkPorts() = default;

  /// The device is made or found, configured, and started when its last queue is opened.
  [[nodiscard]] virtual base::Result<std::unique_ptr<Port>> open(const DpdkPortOptions& options) = 0;
};

/// What the library exports as `ringplane_dpdk_library`, in C so that its name is its name.
struct DpdkLibrary {
  std::string_view version;  ///< of ringplane; both sides must be of one build
  base::Result<std::unique_ptr<DpdkPorts>> (*create)(const frame::Arena& arena, const DpdkOptions& options);
};

}  // namespace ringplane::port
