#include "bench/measure_compile.h"

#include <unistd.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/random.h"
#include "base/result.h"
#include "bench/report.h"
#include "bench/rig.h"
#include "bench/rule_source.h"
#include "firewall/policy.h"
#include "firewall/prefix_set.h"
#include "firewall/table.h"
#include "wire/ip_address.h"

namespace ringplane::bench {
namespace {

/// A file that ends with this object.
class TemporaryFile {
 public:
  static base::Result<TemporaryFile> create(std::string_view contents) {
    std::string path = (std::filesystem::temp_directory_path() / "ringplane-bench-XXXXXX").string();
    const base::FileDescriptor file(mkstemp(path.data()));
    if (!file.valid()) return base::fail("cannot make a temporary file such as " + path);
    TemporaryFile made(std::move(path));
    while (!contents.empty()) {
      const ssize_t written = write(file.get(), contents.data(), contents.size());
      if (written <= 0) return base::fail("cannot write " + made.path_);
      contents.remove_prefix(static_cast<std::size_t>(written));
    }
    return made;
  }
  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// Networks as block lists have them: mostly hosts.
std::string table_text(std::uint64_t entries, std::uint64_t seed) {
  base::Random random(seed);
  std::string text;
  text.reserve(entries * 18);
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::uint64_t bits = random();
    const bool network = (bits >> 32) % 8 == 0;
    text += std::to_string(1 + bits % 223) + "." + std::to_string(bits >> 8 & 255) + "." +
            std::to_string(bits >> 16 & 255) + "." + (network ? "0/24" : std::to_string(bits >> 24 & 255)) + "\n";
  }
  return text;
}

/// From text to policy.
struct Compiled {
  double seconds = 0;
  std::shared_ptr<const firewall::Policy> policy;
};

/// The policy is checked to have at least `rules` rules.
base::Result<Compiled> compile(const std::string& name, const std::string& text, std::size_t rules) {
  const std::uint64_t begin = base::monotonic_ns();
  auto policy = policy_of(name, text);
  const std::uint64_t end = base::monotonic_ns();
  if (!policy) return std::unexpected(policy.error());
  if ((*policy)->rule_count() < rules) return base::fail("rules are missing from the compiled policy");
  return Compiled{.seconds = static_cast<double>(end - begin) / 1e9, .policy = std::move(*policy)};
}

constexpr int kChanges = 1000;

/// Microseconds for a policy with one entry of table 0 more or less, a thousand times: each change is made to what the
/// one before has left, and is looked at.
base::Result<std::vector<double>> microseconds_to_change_table(std::shared_ptr<const firewall::Policy> policy,
                                                               std::uint64_t seed) {
  base::Random random(seed + 1);
  std::vector<double> taken;
  firewall::TableEntry entry;
  for (int i = 0; i < kChanges; ++i) {
    const bool takes_out = i % 3 == 2;
    if (!takes_out) {
      const auto address = wire::IpAddress::from_ipv4(static_cast<std::uint32_t>(random()) | 0xf000'0000);
      entry.prefix = wire::Prefix::of(wire::Family::kIpv4, address, 32);
    }
    const std::uint64_t begin = base::monotonic_ns();
    auto changed = takes_out ? policy->with_table_change(0, {&entry.prefix, 1}, {})
                             : policy->with_table_change(0, {}, {&entry, 1});
    taken.push_back(static_cast<double>(base::monotonic_ns() - begin) / 1e3);
    if (!changed) return std::unexpected(std::move(changed.error()));
    const firewall::AddressTable& table = (*changed)->ruleset().tables[0].addresses;
    if (table.contains(entry.prefix.family, entry.prefix.address) == takes_out) {
      return base::fail("a change of the table is not seen in it");
    }
    policy = std::move(*changed);
  }
  return taken;
}

/// Microseconds for a policy with one rule more, less or another, a thousand times likewise, from the rule's text on.
/// Where changes have piled up, the policy is folded, which is counted apart: it is done aside.
struct RuleChangeTimes {
  std::vector<double> change_us;
  std::vector<double> fold_us;
};
base::Result<RuleChangeTimes> microseconds_to_change_rules(std::shared_ptr<const firewall::Policy> policy,
                                                           std::uint64_t seed) {
  base::Random random(seed + 2);
  RuleChangeTimes taken;
  for (int i = 0; i < kChanges; ++i) {
    if (policy->wants_folding()) {
      const std::uint64_t begin = base::monotonic_ns();
      policy = policy->folded();
      taken.fold_us.push_back(static_cast<double>(base::monotonic_ns() - begin) / 1e3);
    }
    const std::size_t first = random.below(policy->rule_count());
    const std::size_t goes = i % 3 == 0 ? 0 : 1;  // add, remove, replace
    const std::size_t comes = i % 3 == 1 ? 0 : 1;
    const auto host = std::to_string(random.below(256)) + "." + std::to_string(random.below(256));
    const std::string text = comes == 0 ? "" : "block in quick proto tcp from 10." + host + ".0/24 to any port 22\n";
    const std::size_t expected = policy->rule_count() + comes - goes;
    const std::uint64_t begin = base::monotonic_ns();
    auto changed = with_rules_of_text(*policy, first, goes, text);
    taken.change_us.push_back(static_cast<double>(base::monotonic_ns() - begin) / 1e3);
    if (!changed) return std::unexpected(std::move(changed.error()));
    policy = std::move(*changed);
    if (policy->rule_count() != expected) return base::fail("a change of the rules is not seen in them");
  }
  return taken;
}

}  // namespace

base::Result<nlohmann::ordered_json> measure_compile(const CompileOptions& options) {
  auto source = find_rules(options.rules);
  if (!source) return std::unexpected(std::move(source.error()));
  auto file = TemporaryFile::create(table_text(options.table_entries, options.seed));
  if (!file) return std::unexpected(std::move(file.error()));
  const std::string table = "set limit table-entries " + std::to_string(options.table_entries + kChanges) +
                            "\ntable <many> persist file \"" + file->path() + "\"\nblock in from <many>\n";
  std::vector<double> compile_seconds;
  std::vector<double> load;
  std::vector<double> change;
  std::vector<double> rule_change;
  std::vector<double> fold;
  for (std::uint32_t repetition = 0; repetition < options.repetitions; ++repetition) {
    const auto compiled = compile(source->name, source->pf_conf, source->rules.size());
    if (!compiled) return std::unexpected(compiled.error());
    const auto loaded = compile("table", table, 1);
    if (!loaded) return std::unexpected(loaded.error());
    const auto changed = microseconds_to_change_table(loaded->policy, options.seed);
    if (!changed) return std::unexpected(changed.error());
    const auto changed_rules = microseconds_to_change_rules(compiled->policy, options.seed);
    if (!changed_rules) return std::unexpected(changed_rules.error());
    compile_seconds.push_back(compiled->seconds);
    load.push_back(loaded->seconds);
    change.insert(change.end(), changed->begin(), changed->end());
    rule_change.insert(rule_change.end(), changed_rules->change_us.begin(), changed_rules->change_us.end());
    fold.insert(fold.end(), changed_rules->fold_us.begin(), changed_rules->fold_us.end());
  }
  const Spread compile_spread = spread_of(std::move(compile_seconds));
  const Spread load_spread = spread_of(std::move(load));
  const Spread change_spread = spread_of(std::move(change));
  const Spread rule_spread = spread_of(std::move(rule_change));
  nlohmann::ordered_json report{{"bench", "compile"}, {"rules", options.rules}};
  report["text_bytes"] = source->pf_conf.size();
  report["compile_seconds"] = compile_spread.median;
  report["compile_seconds_spread"] = json_of(compile_spread);
  report["rule_change_us"] = rule_spread.median;
  report["rule_change_us_spread"] = json_of(rule_spread);
  if (!fold.empty()) report["fold_us_spread"] = json_of(spread_of(std::move(fold)));
  report["table_entries"] = options.table_entries;
  report["table_seconds"] = load_spread.median;
  report["table_seconds_spread"] = json_of(load_spread);
  report["table_change_us"] = change_spread.median;
  report["table_change_us_spread"] = json_of(change_spread);
  report["machine"] = machine_facts();
  return report;
}

}  // namespace ringplane::bench
