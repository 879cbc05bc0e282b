// RedirectProgram: our XDP program, loaded and attached to one interface. It is attached by a BPF link, which the
// kernel removes with the last descriptor of it, so nothing stays behind when the process ends, however it ends.
// Control thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "port/af_xdp/interface.h"
#include "port/af_xdp/kernel_services.h"

struct bpf_object;

namespace ringplane::port {

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
  [[nodiscard]] int map_fd(const char* name) const noexcept;

  std::unique_ptr<bpf_object, Close> object_;
  base::FileDescriptor link_;
  bool native_ = false;
  std::string generic_reason_;
};

}  // namespace ringplane::port
