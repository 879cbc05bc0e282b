// `ringplane top`: what a running ringplane does, live.
#pragma once

#include "api/http_client.h"
#include "base/result.h"

namespace ringplane::top {

struct Options {
  double interval_s = 1;  ///< kLeastInterval..kMostInterval
  bool once = false;      ///< two samples as plain text; so it is too where there is no terminal
};

/// Until somebody quits, by key or by SIGINT, SIGTERM or SIGHUP. Fails with a sentence if nobody answers at the start;
/// later it goes on trying.
[[nodiscard]] base::Result<void> run(const api::HttpClient& client, const Options& options);

}  // namespace ringplane::top
