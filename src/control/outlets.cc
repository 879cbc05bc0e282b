#include "control/outlets.h"

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"
#include "report/collector.h"
#include "report/log_outlet.h"

namespace ringplane::control {
namespace {

constexpr const char* kLog = "log";
constexpr const char* kIpfix = "ipfix";
constexpr std::uint64_t kTryAgainNs = 5 * base::kNanosPerSecond;

}  // namespace

base::Result<void> Outlets::open(base::Holdings& holdings) {
  auto log = log_.open();
  if (!log) return std::unexpected(std::move(log.error()));
  if (log->valid()) holdings.add(kLog, std::move(*log));
  holdings.add_all(renew(holdings, base::monotonic_ns()));
  return {};
}

base::Holdings Outlets::renew(const base::Holdings& held, std::uint64_t now_ns) {
  base::Holdings fresh;
  if (const int log = held.find(kLog); log_.is_due(log, now_ns)) {
    if (auto next = log_.next(log)) {
      fresh.add(kLog, std::move(*next));
      complaint_.clear();
    } else {
      complain(next.error().message);
    }
  }
  if (!ipfix_.collector.empty() && held.find(kIpfix) < 0 &&
      (ipfix_tried_ns_ == 0 || now_ns - ipfix_tried_ns_ > kTryAgainNs)) {
    ipfix_tried_ns_ = now_ns;
    if (auto socket = report::connect_to_collector(ipfix_.collector)) {
      fresh.add(kIpfix, std::move(*socket));
    } else {
      complain(socket.error().message);
    }
  }
  return fresh;
}

base::Result<base::Holdings> Outlets::reopen() {
  auto log = log_.reopen();
  if (!log) return std::unexpected(std::move(log.error()));
  base::Holdings fresh;
  fresh.add(kLog, std::move(*log));
  return fresh;
}

void Outlets::settle(base::Holdings& held, base::Holdings fresh) {
  if (fresh.find(kLog) >= 0) report::cut_to_whole_lines(held.find(kLog));
  held.add_all(std::move(fresh));
}

void Outlets::complain(const std::string& sentence) {
  if (sentence != complaint_) spdlog::warn("{}", sentence);
  complaint_ = sentence;
}

base::Result<base::Holdings> outlets_of(const base::Holdings& holdings) {
  base::Holdings outlets;
  for (const char* name : {kLog, kIpfix}) {
    if (holdings.find(name) < 0) continue;
    if (auto added = outlets.add_duplicate(name, holdings.find(name)); !added) {
      return std::unexpected(std::move(added.error()));
    }
  }
  return outlets;
}

}  // namespace ringplane::control
