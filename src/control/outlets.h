// Outlets: the descriptors that the data process writes into and cannot open: the log (log_outlet.h) and the socket of
// the collector. Watches over them in the control process and makes new ones. Control thread.
#pragma once

#include <cstdint>

#include "base/holdings.h"
#include "base/result.h"
#include "control/config.h"
#include "report/log_outlet.h"

namespace ringplane::control {

class Outlets {
 public:
  explicit Outlets(const Config& config) : log_(config.log), ipfix_(config.ipfix) {}

  /// What can be opened now goes into `holdings`; what may come later is left out. Fails with a sentence if the log
  /// cannot be written.
  [[nodiscard]] base::Result<void> open(base::Holdings& holdings);
  /// Those that are to take the place of what `held` has; mostly none. Called every tick. What cannot be had is logged,
  /// and tried again later.
  [[nodiscard]] base::Holdings renew(const base::Holdings& held, std::uint64_t now_ns);
  /// The log again by its name.
  [[nodiscard]] base::Result<base::Holdings> reopen();
  /// Everybody writes into `fresh` now: it goes into `held`, and the log before it gets its end in order.
  static void settle(base::Holdings& held, base::Holdings fresh);

 private:
  void complain(const std::string& sentence);

  report::LogOutlet log_;
  report::IpfixConfig ipfix_;
  std::uint64_t ipfix_tried_ns_ = 0;
  std::string complaint_;  ///< the last one, so that it is said once
};

/// Those of `holdings` that are outlets, duplicated.
[[nodiscard]] base::Result<base::Holdings> outlets_of(const base::Holdings& holdings);

}  // namespace ringplane::control
