#include "port/dpdk_ports.h"

#include <dlfcn.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "frame/arena.h"

namespace ringplane::port {

#ifdef RINGPLANE_DPDK

base::Result<std::unique_ptr<DpdkPorts>> DpdkPorts::create(const frame::Arena& arena, const DpdkOptions& options) {
  // Never closed: DPDK's threads go on until the process ends. Found through the RUNPATH of the program.
  void* library = dlopen("libringplane_dpdk.so", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return base::fail(std::string("DPDK cannot be loaded (") + dlerror() +
                      "): install DPDK 22.11 (apt-get install dpdk) and libringplane_dpdk.so beside this program");
  }
  const auto* found = static_cast<const DpdkLibrary*>(dlsym(library, "ringplane_dpdk_library"));
  if (found == nullptr || found->version != RINGPLANE_BUILD) {
    return base::fail("libringplane_dpdk.so is of another build than this program: install both from the same build");
  }
  return found->create(arena, options);
}

#else

base::Result<std::unique_ptr<DpdkPorts>> DpdkPorts::create(const frame::Arena& /*arena*/,
                                                           const DpdkOptions& /*options*/) {
  return base::fail("this build has no DPDK: build with -DRINGPLANE_DPDK=ON (Debian package dpdk-dev)");
}

#endif

}  // namespace ringplane::port
