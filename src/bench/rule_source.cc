#include "bench/rule_source.h"

#include <cstdint>
#include <cstdlib>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/count_text.h"
#include "base/result.h"
#include "bench/classbench.h"

namespace ringplane::bench {
namespace {

constexpr std::string_view kSynthetic = "synth:";
constexpr std::uint64_t kMaxSynthetic = 1'000'000;
/// The right answers of a synthetic trace come from a walk over all rules.
constexpr std::uint64_t kSyntheticHeaders = 20'000;

base::Result<RuleSource> synthetic(const std::string& word) {
  const std::string_view text = std::string_view(word).substr(kSynthetic.size());
  const std::size_t colon = text.find(':');
  const auto count = base::parse_count(text.substr(0, colon));
  const auto seed =
      colon == std::string_view::npos ? std::optional<std::uint64_t>(1) : base::parse_count(text.substr(colon + 1));
  if (!count || *count == 0 || *count > kMaxSynthetic || !seed) {
    return base::fail("'" + word +
                      "' is not of the form synth:N or synth:N:SEED with at most 1M rules, such as synth:100k");
  }
  RuleSource source{
      .name = word, .pf_conf = {}, .rules = synthetic_rules(*count, *seed), .trace_stem = {}, .seed = *seed};
  auto text_of_rules = pf_conf_of(source.rules);
  if (!text_of_rules) return std::unexpected(std::move(text_of_rules.error()));
  source.pf_conf = std::move(*text_of_rules);
  return source;
}

std::string folder_of_sets() {
  const char* given = std::getenv("RINGPLANE_CLASSBENCH");
  return given != nullptr ? given : "../shared/data/classbench";
}

}  // namespace

base::Result<RuleSource> find_rules(const std::string& word) {
  if (word.starts_with(kSynthetic)) return synthetic(word);
  std::string path = word;
  if (!std::filesystem::exists(path)) {
    path = folder_of_sets() + "/" + word + ".rules.xz";
    if (word.find('/') != std::string::npos || !std::filesystem::exists(path)) {
      return base::fail("'" + word + "' is neither a file nor a set in " + folder_of_sets() +
                        "; name a pf.conf, a ClassBench file, or synth:100k for generated rules");
    }
  }
  auto text = read_text(path);
  if (!text) return std::unexpected(std::move(text.error()));
  RuleSource source{.name = word, .pf_conf = {}, .rules = {}, .trace_stem = {}, .seed = 0};
  if (!text->starts_with('@')) {
    source.pf_conf = std::move(*text);
    return source;
  }
  auto rules = parse_classbench(path, *text);
  if (!rules) return std::unexpected(std::move(rules.error()));
  source.rules = std::move(*rules);
  auto translated = pf_conf_of(source.rules);
  if (!translated) return base::fail(path + ": " + translated.error().message);
  source.pf_conf = std::move(*translated);
  const std::size_t ending = path.rfind(".rules");
  if (ending != std::string::npos) source.trace_stem = path.substr(0, ending);
  return source;
}

base::Result<std::vector<TraceHeader>> find_trace(const std::string& word, const RuleSource& rules) {
  std::string path = word;
  if (word == "u" || word == "p" || word == "x") {
    if (rules.rules.empty()) return base::fail("a pf.conf has no trace of its own; name a file after --trace");
    if (rules.trace_stem.empty()) {
      if (word == "p") return base::fail("generated rules have the traces u and x");
      return synthetic_trace(rules.rules, kSyntheticHeaders, word == "x", rules.seed);
    }
    path = rules.trace_stem + "." + word + ".trace.xz";
  }
  auto text = read_text(path);
  if (!text) return std::unexpected(std::move(text.error()));
  return parse_trace(path, *text);
}

}  // namespace ringplane::bench
