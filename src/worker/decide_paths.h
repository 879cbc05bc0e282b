// The rules' word on a burst of packets, or of flows to be judged anew: what decide_path() says of each
// (path_decision.h), in passes over all of them.
#pragma once

#include "worker/questions.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

/// Fills in decisions[n] and paths[n] for each question: ingress side, egress side of those that pass, and the pair of
/// rules, made when new (none: no room for another pair). The counters of the pairs are on their way into the cache.
void decide_paths(Questions& questions, WorkerTables& tables) noexcept;

}  // namespace ringplane::worker
