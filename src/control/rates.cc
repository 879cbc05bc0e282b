#include "control/rates.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "control/data_plane.h"
#include "flow/flow_table.h"
#include "flow/timeouts.h"
#include "worker/rule_counts.h"

namespace ringplane::control {
namespace {

/// `amount` in `ns`, a second.
std::uint64_t a_second(std::uint64_t amount, std::uint64_t ns) noexcept {
  const double rate = static_cast<double>(amount) * static_cast<double>(base::kNanosPerSecond);
  return ns == 0 ? 0 : static_cast<std::uint64_t>(std::llround(rate / static_cast<double>(ns)));
}

std::uint64_t place_of(const DataPlane::ListedFlow& flow) noexcept {
  return (std::uint64_t{flow.worker.value} << 32) | flow.details.id.value;
}

}  // namespace

void FlowRates::look(DataPlane& plane, std::uint64_t now_ns) {
  const std::uint16_t generation = plane.snapshot().generation;
  if (is_fresh(generation, now_ns)) return;
  std::vector<DataPlane::FlowLook> looks = plan(plane.workers().size(), now_ns);
  const std::vector<DataPlane::ListedFlow> seen = plane.look_at_flows(looks);
  take(seen, looks, generation, now_ns);
}

std::vector<DataPlane::FlowLook> FlowRates::plan(std::size_t workers, std::uint64_t now_ns) {
  if (looked_ns_ != 0 && now_ns - looked_ns_ > kForgetNs) *this = {};
  cursors_.resize(workers);
  const std::uint64_t since_ns = looked_ns_ == 0 ? 0 : now_ns - looked_ns_;
  std::vector<DataPlane::FlowLook> looks;
  for (const std::uint32_t cursor : cursors_) {
    looks.push_back({.room = kRoom + kAgain,
                     .cursor = cursor,
                     .most = kRecords,
                     .idle_ns = std::max(since_ns, base::kNanosPerSecond)});
  }
  std::vector<std::uint32_t> busy;  // places: what lies there is large
  for (std::uint32_t i = 0; i < rated_.size(); ++i) {
    if (rated_[i].rate.packets_per_s > 0) busy.push_back(i);
  }
  std::ranges::sort(busy, std::ranges::greater(), [&](std::uint32_t i) { return rated_[i].rate.bytes_per_s; });
  for (const std::uint32_t i : busy) {
    const DataPlane::ListedFlow& flow = rated_[i].flow;
    std::vector<base::FlowId>& again = looks[flow.worker.value].again;
    if (again.size() < kAgain) again.push_back(flow.details.id);
  }
  return looks;
}

void FlowRates::take(const std::vector<DataPlane::ListedFlow>& seen, const std::vector<DataPlane::FlowLook>& looks,
                     std::uint16_t generation, std::uint64_t now_ns) {
  const std::uint64_t since_ns = looked_ns_ == 0 ? base::kNanosPerSecond : now_ns - looked_ns_;
  std::unordered_map<std::uint64_t, Known> known;
  rated_.clear();
  for (const DataPlane::ListedFlow& each : seen) {
    const flow::FlowDetails& flow = each.details;
    const Known now{.key = flow.key,
                    .packets = flow.packets[0] + flow.packets[1],
                    .bytes = flow.bytes[0] + flow.bytes[1],
                    .at_ns = flow.at_ns};
    if (!known.emplace(place_of(each), now).second) continue;  // looked at again, and in its turn
    const auto before = known_.find(place_of(each));
    rated_.push_back(
        {.flow = each, .rate = rate_of(flow, before == known_.end() ? nullptr : &before->second, since_ns)});
  }
  known_ = std::move(known);
  for (std::size_t i = 0; i < looks.size(); ++i) cursors_[i] = looks[i].cursor;
  looked_ns_ = now_ns;
  generation_ = generation;
}

Rate FlowRates::rate_of(const flow::FlowDetails& flow, const Known* before, std::uint64_t since_ns) const noexcept {
  const std::uint64_t packets = flow.packets[0] + flow.packets[1];
  const std::uint64_t bytes = flow.bytes[0] + flow.bytes[1];
  if (before != nullptr && before->key == flow.key && before->packets <= packets && before->bytes <= bytes) {
    const std::uint64_t elapsed_ns = flow.at_ns - before->at_ns;
    // Else another flow of the same key has come meanwhile.
    if (elapsed_ns > 0 && flow.age_ns + 2 * flow::kTickNs >= elapsed_ns)
      return {.packets_per_s = a_second(packets - before->packets, elapsed_ns),
              .bytes_per_s = a_second(bytes - before->bytes, elapsed_ns)};
  }
  const std::uint64_t life_ns = std::max(flow.age_ns, since_ns);
  return {.packets_per_s = a_second(packets, life_ns), .bytes_per_s = a_second(bytes, life_ns)};
}

void RuleRates::take(const std::vector<worker::RuleCounts>& counts, std::uint16_t generation, std::uint64_t now_ns) {
  const std::uint64_t elapsed_ns = now_ns - looked_ns_;
  const bool goes_on = looked_ns_ != 0 && generation == generation_ && counts.size() == before_.size();
  if (goes_on && elapsed_ns < kSoonNs) return;
  rates_.assign(counts.size(), {});
  for (std::size_t i = 0; goes_on && elapsed_ns <= kForgetNs && i < counts.size(); ++i) {
    if (counts[i].packets < before_[i].packets || counts[i].bytes < before_[i].bytes) continue;
    rates_[i] = {.packets_per_s = a_second(counts[i].packets - before_[i].packets, elapsed_ns),
                 .bytes_per_s = a_second(counts[i].bytes - before_[i].bytes, elapsed_ns)};
  }
  before_ = counts;
  generation_ = generation;
  looked_ns_ = now_ns;
}

}  // namespace ringplane::control
