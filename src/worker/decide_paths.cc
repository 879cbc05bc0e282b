#include "worker/decide_paths.h"

#include <cstdint>
#include <span>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "firewall/decision.h"
#include "firewall/key_block.h"
#include "worker/path_decision.h"
#include "worker/questions.h"
#include "worker/rule_paths.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

void ask_ingress(Questions& questions, const WorkerTables& tables) noexcept {
  tables.policy().classify_block(questions.keys, questions.answers, tables.overlay.get());
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    PathDecision& decision = questions.decisions[n];
    decision.in = questions.answers[n];
    decision.blocked_at_egress = false;
    if (!passes_ingress(decision, questions.keys.keys[n])) decision.out = firewall::Decision{};
  }
}

void ask_egress(Questions& questions, const WorkerTables& tables) noexcept {
  firewall::KeyBlock& keys = questions.asked_keys;
  keys.clear();
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    const PathDecision& decision = questions.decisions[n];
    if (decision.reason != base::DropReason::none) continue;
    questions.asked[keys.count] = n;
    keys.add(egress_key(questions.keys.keys[n], questions.egress[n], decision.in));
  }
  tables.policy().classify_block(keys, questions.answers, tables.overlay.get());
  for (std::uint32_t i = 0; i < keys.count; ++i) {
    PathDecision& decision = questions.decisions[questions.asked[i]];
    decision.out = questions.answers[i];
    decision.reason = firewall::drop_reason_of(decision.out, keys.keys[i]);
    decision.blocked_at_egress = decision.reason != base::DropReason::none;
  }
}

/// The rules look at nothing in which the two sides of a packet differ: what let it in lets it out.
void repeat_ingress(Questions& questions) noexcept {
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    PathDecision& decision = questions.decisions[n];
    if (decision.reason == base::DropReason::none) decision.out = decision.in;
  }
}

}  // namespace

void decide_paths(Questions& questions, const WorkerTables& tables) noexcept {
  ask_ingress(questions, tables);
  if (tables.snapshot->same_both_ways) {
    repeat_ingress(questions);
  } else {
    ask_egress(questions, tables);
  }
}

void find_paths(Questions& questions, WorkerTables& tables) noexcept {
  RulePaths& paths = *tables.paths;
  // With many rules the pairs are spread over memory: all misses of the burst at once.
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    paths.prefetch_slot(questions.decisions[n].in.rule, questions.decisions[n].out.rule);
  }
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    paths.prefetch_pair(questions.decisions[n].in.rule, questions.decisions[n].out.rule);
  }
  for (std::uint32_t n = 0; n < questions.count; ++n) {
    const PathDecision& decision = questions.decisions[n];
    questions.paths[n] = paths.find(decision.in.rule, decision.out.rule, tables.policy().ruleset());
  }
}

}  // namespace ringplane::worker
