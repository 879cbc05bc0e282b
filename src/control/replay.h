// Replay: captures through the same pipeline, with no NIC and no root. Two pcap ports joined by a bridge; time is the
// captures'. One thread, the caller's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "firewall/policy.h"
#include "nlohmann/json_fwd.hpp"

namespace ringplane::control {

struct ReplayInput {
  std::string port;  ///< as the rules call it
  std::string path;  ///< pcap or pcapng
};

struct ReplayOptions {
  std::string rules_path;
  std::vector<ReplayInput> inputs;  ///< one or two, of different ports
  std::string peer;                 ///< with one input: the name of the other port; "": wan, or lan if the input is wan
  std::string out_dir;              ///< forwarded packets as OUT_DIR/<port>.pcap, by the port they leave by; "": none
  std::uint32_t flow_capacity = 1'000'000;  ///< `set limit states` goes first
};

struct ReplaySummary {
  std::uint64_t packets = 0, passed = 0, dropped = 0, rejected = 0;
  std::uint64_t flows_total = 0, flows_live = 0;
  std::uint64_t cut = 0;              ///< packets that the captures hold only in part
  std::vector<std::string> warnings;  ///< a capture that breaks off, and the like
};

/// Takes one JSON object per packet.
using ReplaySink = std::function<void(const nlohmann::ordered_json&)>;

/// Fails with every error of the rules, or a sentence about a capture or the output folder.
[[nodiscard]] base::Result<ReplaySummary> replay(const ReplayOptions& options, const ReplaySink& sink);

}  // namespace ringplane::control
