// What flows and rules move now, out of counters that know only the whole of their lives: each question for it looks at
// the counters, and what they have gained since the look before is the rate. Looks come from whoever asks; two that are
// less than kSoonNs apart are one, and what was seen longer than kForgetNs ago is no measure of now.
//
// Flows: no question walks over millions of records. A look takes the next kRecords of each worker's table, of which
// those that had a packet lately are listed, kRoom at most, and the kAgain busiest that the look before knew. So of a
// table with up to kRecords flows all are known at once, of a larger one after as many looks as it has kRecords. A flow
// that is seen for the first time has the mean of its life as its rate.
//
// Data process, its main thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "control/data_plane.h"
#include "flow/flow_table.h"
#include "wire/flow_key.h"
#include "worker/rule_counts.h"

namespace ringplane::control {

inline constexpr std::uint64_t kSoonNs = 100'000'000;
inline constexpr std::uint64_t kForgetNs = 70'000'000'000;  // `ringplane top` looks every 60 s at the least

struct Rate {
  std::uint64_t packets_per_s = 0;
  std::uint64_t bytes_per_s = 0;
};

class FlowRates {
 public:
  static constexpr std::uint32_t kRecords = 131'072;
  static constexpr std::uint32_t kRoom = 16'384;
  static constexpr std::uint32_t kAgain = 4'096;

  struct Rated {
    DataPlane::ListedFlow flow;
    Rate rate;
  };

  /// Looks, unless somebody just did.
  void look(DataPlane& plane, std::uint64_t now_ns);
  /// What is to be asked of each of `workers` tables, and what came of it.
  [[nodiscard]] std::vector<DataPlane::FlowLook> plan(std::size_t workers, std::uint64_t now_ns);
  void take(const std::vector<DataPlane::ListedFlow>& seen, const std::vector<DataPlane::FlowLook>& looks,
            std::uint16_t generation, std::uint64_t now_ns);
  /// Somebody just looked, and the rules of what was seen are those of this snapshot.
  [[nodiscard]] bool is_fresh(std::uint16_t generation, std::uint64_t now_ns) const noexcept {
    return looked_ns_ != 0 && now_ns - looked_ns_ < kSoonNs && generation == generation_;
  }

  /// Of the last look, in no order.
  [[nodiscard]] const std::vector<Rated>& rated() const noexcept { return rated_; }

 private:
  struct Known {
    wire::FlowKey key;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t at_ns = 0;
  };
  [[nodiscard]] Rate rate_of(const flow::FlowDetails& flow, const Known* before, std::uint64_t since_ns) const noexcept;

  std::vector<Rated> rated_;
  std::unordered_map<std::uint64_t, Known> known_;  // by worker and record
  std::vector<std::uint32_t> cursors_;              // by worker
  std::uint16_t generation_ = 0;                    // of the rules of rated_
  std::uint64_t looked_ns_ = 0;                     // 0: never
};

class RuleRates {
 public:
  /// `counts` by rule of the snapshot `generation`: rules of another one begin again.
  void take(const std::vector<worker::RuleCounts>& counts, std::uint16_t generation, std::uint64_t now_ns);
  /// By rule.
  [[nodiscard]] const std::vector<Rate>& rates() const noexcept { return rates_; }

 private:
  std::vector<worker::RuleCounts> before_;
  std::vector<Rate> rates_;
  std::uint16_t generation_ = 0;
  std::uint64_t looked_ns_ = 0;
};

/// What is kept between two questions.
struct Rates {
  FlowRates flows;
  RuleRates rules;
};

}  // namespace ringplane::control
