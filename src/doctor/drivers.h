// What is known of network drivers, for kernels that do not tell it themselves (before 6.3).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "doctor/machine.h"

namespace ringplane::doctor {

struct DriverFacts {
  std::string_view name;
  std::optional<KernelVersion> native;     ///< XDP in the driver since; none: not at all
  std::optional<KernelVersion> zero_copy;  ///< AF_XDP without a copy since
  std::uint32_t xdp_mtu = 0;               ///< largest with native XDP, x86, one page a packet; 0: not known
  bool is_virtual = false;                 ///< whether frames for other addresses come is up to a hypervisor
};

/// nullptr: not in the table.
[[nodiscard]] const DriverFacts* facts_of(std::string_view driver) noexcept;

}  // namespace ringplane::doctor
