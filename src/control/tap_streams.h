// TapStreams: traces and captures on their way from the data process (taps.h) to clients of the API. Control process. A
// new data process is asked anew, so that both go on over a death.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "api/stream.h"
#include "base/result.h"
#include "control/data_link.h"

namespace ringplane::control {

class TapStreams {
 public:
  /// How often to pump().
  static constexpr int kTickMs = 5;

  /// `question` as Taps::open() takes it. Fails if the data process will not.
  [[nodiscard]] base::Result<std::shared_ptr<api::Stream>> open(const nlohmann::json& question, DataLink& link);
  /// Fetches what was seen and sends it on; ends what nobody reads. `link`: nullptr while there is no data process.
  void pump(DataLink* link);
  [[nodiscard]] bool empty() const noexcept { return open_.empty(); }

 private:
  struct Open {
    nlohmann::json question;
    std::uint32_t tap = 0;
    std::int32_t pid = 0;  // of the data process that has it
    std::uint32_t failures = 0;
    std::shared_ptr<api::Stream> stream;
  };
  [[nodiscard]] static base::Result<std::uint32_t> ask_for(const nlohmann::json& question, DataLink& link);
  /// False: over.
  [[nodiscard]] static bool pump(Open& each, DataLink& link);

  std::vector<Open> open_;
};

}  // namespace ringplane::control
