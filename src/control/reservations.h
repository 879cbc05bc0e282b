// Reservations: what only one instance of ringplane on a machine may have, taken before anything is touched:
// interfaces, processors of pinned workers, PCI devices, the folder of the state. Each is a lock (flock(2)) on a small
// file that says who holds it. The descriptors are holdings, "reserved/NAME": both processes of an instance have them,
// so a reservation ends with the last of the two, whichever way that ends. Control process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/holdings.h"
#include "base/result.h"
#include "control/config.h"

namespace ringplane::control {

/// Where the locks lie, for all instances of a machine that may write there.
inline constexpr const char* kReservationFolder = "/run/ringplane";

/// One thing to have for oneself.
struct Exclusive {
  std::string what;  ///< for people: "interface eth1 (port lan)"
  std::string path;  ///< of its lock
  std::string remedy;
};

/// What `config` needs for itself. An interface is one of the calling thread's network namespace.
[[nodiscard]] std::vector<Exclusive> exclusives_of(const Config& config,
                                                   const std::string& folder = kReservationFolder);
/// Takes all of them into `holdings`. Fails with a sentence for each that somebody else has, which names the holder,
/// and then takes none. Returns a warning for each that cannot be locked at all, because the
/// folder may not be written: the kernel still refuses a second program on an interface.
[[nodiscard]] base::Result<std::vector<std::string>> reserve(const std::vector<Exclusive>& wanted, const Config& config,
                                                             base::Holdings& holdings);
/// A control process that came to a data process writes itself down as the holder.
void note_holder(const base::Holdings& holdings, const Config& config);
/// At a stop: removes the files of what is held. The locks themselves end with the processes.
void remove_reservations(const base::Holdings& holdings);

/// Fails with a sentence if the machine has less memory free than `wanted_bytes`; `what` tells what it is for.
[[nodiscard]] base::Result<void> check_memory(std::uint64_t wanted_bytes, bool huge_pages, const std::string& what,
                                              const std::string& meminfo_path = "/proc/meminfo");

}  // namespace ringplane::control
