// Two questions that the kernel answers by netlink only.
#pragma once

#include <cstdint>
#include <span>

#include "doctor/kernel.h"

namespace ringplane::doctor {

/// rtnetlink, RTM_GETLINK.
[[nodiscard]] Asked<LinkDetails> ask_link_details(std::uint32_t index);
/// Generic netlink, family netdev, NETDEV_CMD_DEV_GET. ENOENT: a kernel before 6.3 has no such family.
[[nodiscard]] Asked<std::uint64_t> ask_xdp_features(std::uint32_t index);

/// The value of the first attribute `kind` in `attributes` (struct nlattr and its bytes, one after the other, padded to
/// four); empty if there is none, or the list is cut off before it.
[[nodiscard]] std::span<const std::uint8_t> attribute(std::span<const std::uint8_t> attributes, std::uint16_t kind);

}  // namespace ringplane::doctor
