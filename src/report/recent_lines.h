// RecentLines: the last EVE lines of this data process, for who looks on (GET /v1/logs): numbered from 1 on, at most
// kMost and kMostBytes of them; each new one pushes out the oldest. Main thread of the data process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace ringplane::report {

class RecentLines {
 public:
  static constexpr std::size_t kMost = 1'000;
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20;

  struct Question {
    std::uint64_t after = 0;  ///< lines with larger numbers
    std::size_t limit = kMost;
    std::string search{};  ///< those that hold this

    [[nodiscard]] static base::Result<Question> parse(const nlohmann::json& asked);
  };

  void add(std::string line);
  /// {"lines": [{"number", "line"}], "last", "overwritten"}: oldest first; `last` is what to ask for the lines `after`
  /// these; `overwritten` are those after the asked number that are not kept any more, whatever they held.
  [[nodiscard]] nlohmann::ordered_json after(const Question& question) const;

 private:
  std::deque<std::string> lines_;
  std::size_t bytes_ = 0;     ///< of lines_
  std::uint64_t newest_ = 0;  ///< number of the last line; 0: there was none yet
};

}  // namespace ringplane::report
