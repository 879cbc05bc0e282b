// RedirectProgram: our XDP program, loaded and attached to one interface. It is attached by a BPF link, which the
// kernel removes with the last descriptor of it, so nothing stays behind when the process ends, however it ends.
// Control thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"
#include "port/af_xdp/interface.h"
#include "port/af_xdp/kernel_services.h"

struct bpf_object;

namespace ringplane::port {

/// What becomes of packets that would go to the sockets, while no process drives these.
enum class Bypass : std::uint8_t {
  kNone,  ///< the sockets are driven
  kDrop,  ///< fail closed
  kPeer,  ///< fail open: straight to the other interface, unseen
};

enum class XdpMode : std::uint8_t {
  kBest,     ///< native, else generic
  kNative,   ///< in the driver, before the kernel has made an skb
  kGeneric,  ///< after it: any interface, slower
};

class RedirectProgram {
 public:
  /// Loads, tells it what the kernel keeps, attaches. Fails with a sentence that says what to do.
  [[nodiscard]] static base::Result<RedirectProgram> attach(const Interface& interface, const KernelServices& services,
                                                            XdpMode wanted);

  /// Packets of `queue` go to this AF_XDP socket from now on, until the socket closes.
  [[nodiscard]] base::Result<void> add_socket(std::uint32_t queue, int socket_fd);

  /// `peer_index`: the interface for Bypass::kPeer.
  [[nodiscard]] base::Result<void> set_bypass(Bypass bypass, std::uint32_t peer_index);

  /// Adds duplicates of the attached link and the maps, under `prefix`. Whoever has them keeps the program attached.
  [[nodiscard]] base::Result<void> share(base::Holdings& holdings, const std::string& prefix) const;
  /// The program that another process attached and shared.
  [[nodiscard]] static base::Result<RedirectProgram> adopt(const base::Holdings& holdings, const std::string& prefix,
                                                           bool native, std::string generic_reason);

  [[nodiscard]] bool native() const noexcept { return native_; }
  /// Why it is not native though that was tried; else empty.
  [[nodiscard]] const std::string& generic_reason() const noexcept { return generic_reason_; }

 private:
  struct Close {
    void operator()(bpf_object* object) const noexcept;
  };
  RedirectProgram() = default;
  [[nodiscard]] base::Result<void> load();
  [[nodiscard]] base::Result<void> keep(const KernelServices& services);
  /// Returns 0 or errno.
  [[nodiscard]] int try_attach(const Interface& interface, bool native);
  [[nodiscard]] base::Result<void> keep_maps();
  [[nodiscard]] int map_fd(const char* name) const noexcept;

  std::unique_ptr<bpf_object, Close> object_;  // until it is attached: then the link and the maps are enough
  base::FileDescriptor link_;
  base::FileDescriptor sockets_map_;
  base::FileDescriptor bypass_map_;
  base::FileDescriptor peer_map_;
  bool native_ = false;
  std::string generic_reason_;
};

}  // namespace ringplane::port
