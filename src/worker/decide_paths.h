// The rules' word on a burst of packets, or of flows to be judged anew: what decide_path() says of each
// (path_decision.h), in passes over all of them.
#pragma once

#include "worker/questions.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

/// Fills in decisions[n] for each question: ingress side, and egress side of those that pass.
void decide_paths(Questions& questions, const WorkerTables& tables) noexcept;

/// Then fills in paths[n]: the pair of rules, made when new (none: no room for another pair). The counters of the pairs
/// are on their way into the cache.
void find_paths(Questions& questions, WorkerTables& tables) noexcept;

}  // namespace ringplane::worker
