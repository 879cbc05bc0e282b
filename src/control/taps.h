// Taps: who is looking at packets right now (worker/packet_tap.h), as the data process's main thread keeps them. Each
// asker gets a number, asks again and again for what has come, and is forgotten when it stops asking.
//
// Traces are lines of JSON, captures are pcapng (draft-ietf-opsawg-pcapng) with the verdict as each packet's comment.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "control/data_plane.h"
#include "report/trace_line.h"
#include "worker/packet_tap.h"

namespace ringplane::control {

class Taps {
 public:
  static constexpr std::size_t kMost = 8;
  explicit Taps(DataPlane& plane);

  /// {"form": "trace"|"capture", "filter": text or "program": [[code, jt, jf, k], ...], "per_second": N, "snap":
  /// bytes}. The answer is {"tap": number}.
  [[nodiscard]] base::Result<nlohmann::ordered_json> open(const nlohmann::json& asked);
  /// What has come since, in its form; at most about a megabyte. Fails if there is no such tap.
  [[nodiscard]] base::Result<std::string> take(std::uint32_t tap);
  /// No error if there is no such tap.
  void close(std::uint32_t tap);
  /// Every now and then: closes those that nobody asks for any more.
  void forget_abandoned(std::uint64_t now_ns);

 private:
  struct Asker {
    bool captures = false;
    bool has_begun = false;
    std::uint64_t asked_ns = 0;
    std::uint64_t lost_told = 0;
    std::vector<std::unique_ptr<worker::PacketTap>> taps;  // by worker
  };
  [[nodiscard]] base::Result<void> tell_workers();

  DataPlane& plane_;
  std::vector<report::PortNames> ports_;
  std::map<std::uint32_t, Asker> askers_;
  std::vector<std::unique_ptr<worker::PacketTaps>> observers_;  // the workers'
  std::uint32_t next_ = 1;
};

}  // namespace ringplane::control
