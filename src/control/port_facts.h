// AfXdpFacts on their way between processes, as text.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "control/config.h"
#include "port/af_xdp/af_xdp_port.h"

namespace ringplane::control {

[[nodiscard]] std::string to_text(const port::AfXdpFacts& facts);
[[nodiscard]] base::Result<port::AfXdpFacts> facts_from(const std::string& text);
/// How a port is opened, by its configuration; its slots are the same in every process.
[[nodiscard]] port::AfXdpOptions af_xdp_options(const PortConfig& config, base::PortId id, std::uint32_t queues);

}  // namespace ringplane::control
