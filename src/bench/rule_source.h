// Where the rules and headers of a measurement come from, by what people write after --rules and --trace.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bench/classbench.h"

namespace ringplane::bench {

struct RuleSource {
  std::string name;                   ///< for messages
  std::string pf_conf;                ///< the rules as text
  std::vector<ClassBenchRule> rules;  ///< as they were, of a ClassBench set; empty for a pf.conf
  std::string trace_stem;             ///< of a set in files: what comes before ".u.trace.xz"
  std::uint64_t seed = 0;             ///< of a synthetic set
};

/// `word`: a pf.conf; a ClassBench file, plain or .xz; the name of a set such as acl1_100k in the folder that
/// RINGPLANE_CLASSBENCH names (default ../shared/data/classbench); synth:N or synth:N:SEED.
[[nodiscard]] base::Result<RuleSource> find_rules(const std::string& word);

/// `word`: a trace file, plain or .xz; u, p or x for the trace that belongs to the rules (u or x of synthetic ones).
[[nodiscard]] base::Result<std::vector<TraceHeader>> find_trace(const std::string& word, const RuleSource& rules);

}  // namespace ringplane::bench
