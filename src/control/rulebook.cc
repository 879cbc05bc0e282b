#include "control/rulebook.h"

#include <cstdint>
#include <expected>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/clock.h"
#include "base/holdings.h"
#include "base/memory_file.h"
#include "base/result.h"
#include "control/config.h"
#include "control/rule_difference.h"
#include "control/rule_history.h"
#include "control/rule_version.h"
#include "firewall/diagnostic.h"
#include "firewall/ruleset.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kGoBackAgainNs = 10 * base::kNanosPerSecond;
constexpr const char* kFilesStay =
    "the files on disk stay as they are: change them before the next apply or SIGHUP, which takes what is in them";

base::Result<Config> with_rules_of_now(const Config& running, std::vector<std::string>& warnings) {
  const ConfigResult now = read_config(running.path);
  if (!now.ok()) {
    std::string errors;
    for (const auto& diagnostic : now.diagnostics) {
      errors += (errors.empty() ? "" : "\n") + firewall::render(diagnostic);
    }
    return base::fail(std::move(errors), base::ErrorKind::kBadConfiguration);
  }
  if (now.config.text != running.text) {
    warnings.push_back(running.path +
                       " has changed: all but `rules` and `tests` takes effect when ringplane is stopped and started");
  }
  Config config = running;
  config.rules_path = now.config.rules_path;
  config.tests = now.config.tests;
  return config;
}

void count(VersionFacts& facts, const RuleDifference& difference) {
  facts.added = difference.added;
  facts.removed = difference.removed;
  facts.changed = difference.changed;
  facts.moved = difference.moved;
}

void log_all(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) spdlog::warn("{}", warning);
}

}  // namespace

Rulebook::Rulebook(const Config& config)
    : config_(config), history_(RuleHistory::open(config.control.state, config.control.versions)) {}

RuleVersion Rulebook::version_to_start_with(RuleVersion on_disk) {
  start_ = {.by = "start", .tests = on_disk.tests};
  if (history_.versions().empty()) return on_disk;
  const VersionFacts& newest = history_.versions().back();
  const std::string digest = digest_of(on_disk.packed);
  const VersionFacts* wanted = nullptr;
  if (newest.left == digest) {
    wanted = &newest;
  } else if (newest.number == history_.waiting() && newest.digest == digest) {
    wanted = version_before(newest.number);
  }
  if (wanted == nullptr) return on_disk;
  auto packed = history_.packed_of(wanted->number);
  auto version =
      packed ? unpack_version(config_, std::move(*packed)) : base::Result<RuleVersion>(std::unexpected(packed.error()));
  if (!version) {
    spdlog::warn("the rules on disk were gone back from, but are taken, since those gone back to cannot be: {}",
                 version.error().message);
    return on_disk;
  }
  spdlog::warn(
      "the rules on disk are not taken, since they were gone back from or never confirmed; version {} runs. "
      "Change them, or take them by `ringplane apply`",
      wanted->number);
  start_ = {.by = "expiry", .same_as = wanted->number, .left = digest};
  return std::move(*version);
}

void Rulebook::started(RuleVersion version, Doer& doer) {
  doer_ = &doer;
  std::vector<std::string> warnings = version.warnings;
  warnings.insert(warnings.end(), history_.trouble().begin(), history_.trouble().end());
  running_ = std::move(version);
  left_ = start_.left;
  start_.rules = running_.ruleset.rules.size();
  const bool known = !history_.versions().empty() && history_.versions().back().digest == digest_of(running_.packed);
  if (known) {
    running_number_ = history_.versions().back().number;
  } else {
    running_number_ = history_.next_number();
    if (const auto before = history_.versions().empty() ? base::Result<std::string>(base::fail(""))
                                                        : history_.packed_of(history_.versions().back().number)) {
      if (const auto old = unpack_version(config_, *before)) {
        count(start_, difference_of(old->ruleset, running_.ruleset, 0));
      }
    }
    add_to_history(start_, running_.packed, warnings);
  }
  set_waiting(std::nullopt, warnings);
  auto holdings = holdings_for(nullptr, running_number_, waiting_, left_);
  const auto kept =
      holdings ? doer_->keep(std::move(*holdings)) : base::Result<void>(std::unexpected(holdings.error()));
  if (!kept) warnings.push_back(kept.error().message);
  log_all(warnings);
}

void Rulebook::found(const base::Holdings& holdings, Doer& doer) {
  doer_ = &doer;
  log_all(history_.trouble());
  auto packed = base::read_memory_file(holdings.find("rules"));
  auto version =
      packed ? unpack_version(config_, std::move(*packed)) : base::Result<RuleVersion>(std::unexpected(packed.error()));
  if (version) {
    running_ = std::move(*version);
  } else {
    spdlog::warn("what the rules were is not understood, so what changes is not told: {}", version.error().message);
  }
  const auto text = base::read_memory_file(holdings.find("rules_state"));
  const auto state = nlohmann::json::parse(text.value_or(""), nullptr, false);
  if (state.is_object()) {
    running_number_ = state.value("version", 0U);
    left_ = state.value("left", "");
    auto before = base::read_memory_file(holdings.find("rules_before"));
    if (const std::uint64_t deadline_ns = state.value("deadline_ns", std::uint64_t{0}); deadline_ns != 0 && before) {
      waiting_ = Waiting{.deadline_ns = deadline_ns, .before = state.value("before", 0U), .packed = std::move(*before)};
    }
  }
  if (history_.find(running_number_) == nullptr) {  // it could not be written, or this is another folder
    std::vector<std::string> warnings;
    VersionFacts facts{.by = "start", .rules = running_.ruleset.rules.size()};
    history_.begin_numbers_at(running_number_);
    add_to_history(facts, running_.packed, warnings);
    running_number_ = history_.versions().back().number;
    log_all(warnings);
  }
}

bool Rulebook::wants(const RuleVersion& on_disk) const {
  return !waiting_ && on_disk.packed != running_.packed && digest_of(on_disk.packed) != left_;
}

base::Result<Json> Rulebook::apply(const ApplyWish& wish) {
  auto answer = try_apply(wish);
  if (!answer && !wish.dry_run) {
    spdlog::error("the rules stay as they are, since the new ones cannot be taken:\n{}", answer.error().message);
  }
  return answer;
}

base::Result<Json> Rulebook::try_apply(const ApplyWish& wish) {
  if (wish.confirm_s != 0 && (wish.confirm_s < kLeastConfirmSeconds || wish.confirm_s > kMostConfirmSeconds)) {
    return base::fail(fmt::format("a confirmation may be waited for from {} to {} seconds", kLeastConfirmSeconds,
                                  kMostConfirmSeconds));
  }
  if (waiting_ && !wish.dry_run) {
    return base::fail(
        fmt::format("version {} of the rules waits for a confirmation, {} s more: type `ringplane confirm` "
                    "or `ringplane rollback` first",
                    running_number_, seconds_left()));
  }
  std::vector<std::string> warnings;
  const auto config = with_rules_of_now(config_, warnings);
  if (!config) return std::unexpected(config.error());
  auto version = read_version(*config);
  if (!version) return std::unexpected(std::move(version.error()));
  warnings.insert(warnings.end(), version->warnings.begin(), version->warnings.end());
  const firewall::Limits& limits = version->ruleset.options.limits;
  if (limits.states_set && limits.states != doer_->flow_room()) {
    warnings.push_back(fmt::format(
        "set limit states takes effect at the next start; until then there is room for {} flows", doer_->flow_room()));
  }
  if (wish.dry_run) {
    return Json{{"applied", false},
                {"rules", version->ruleset.rules.size()},
                {"tests", version->tests},
                {"difference", to_json(difference_of(running_.ruleset, version->ruleset))},
                {"warnings", warnings}};
  }
  config_.rules_path = config->rules_path;
  config_.tests = config->tests;
  return put_in_force(std::move(*version),
                      {.by = wish.by, .confirm_s = wish.confirm_s, .warnings = std::move(warnings)});
}

base::Result<Json> Rulebook::put_in_force(RuleVersion version, Entry entry) {
  const RuleDifference difference = difference_of(running_.ruleset, version.ruleset);
  const bool unchanged = version.packed == running_.packed;
  const std::uint32_t number = unchanged ? running_number_ : history_.next_number();
  const std::string left = entry.same_as == 0 ? "" : unchanged ? left_ : digest_of(running_.packed);
  std::optional<Waiting> waiting;
  if (entry.confirm_s != 0 && unchanged) {
    entry.warnings.emplace_back("nothing has changed, so there is nothing to confirm");
  } else if (entry.confirm_s != 0) {
    waiting = Waiting{.deadline_ns = base::monotonic_ns() + (entry.confirm_s * base::kNanosPerSecond),
                      .before = running_number_,
                      .packed = running_.packed};
  }
  auto holdings = holdings_for(&version.packed, number, waiting, left);
  if (!holdings) return std::unexpected(std::move(holdings.error()));
  const auto generation = doer_->go_over(std::move(*holdings));
  if (!generation) return std::unexpected(generation.error());

  if (!unchanged) {
    VersionFacts facts{.by = entry.by,
                       .same_as = entry.same_as,
                       .left = left,
                       .rules = version.ruleset.rules.size(),
                       .tests = version.tests};
    count(facts, difference);
    add_to_history(std::move(facts), version.packed, entry.warnings);
  }
  running_ = std::move(version);
  running_number_ = number;
  left_ = left;
  set_waiting(std::move(waiting), entry.warnings);
  spdlog::info("reloaded: {} rules, generation {}: version {} by {}; {} added, {} removed, {} changed, {} moved",
               running_.ruleset.rules.size(), *generation, number, entry.by, difference.added, difference.removed,
               difference.changed, difference.moved);
  log_all(entry.warnings);
  Json answer{{"applied", true},           {"version", number},
              {"unchanged", unchanged},    {"rules", running_.ruleset.rules.size()},
              {"tests", running_.tests},   {"difference", to_json(difference)},
              {"warnings", entry.warnings}};
  if (entry.same_as != 0) answer["same_as"] = entry.same_as;
  if (waiting_) {
    answer["confirm_s"] = seconds_left();
    answer["before"] = waiting_->before;
    spdlog::info("version {} comes back in {} s unless somebody types `ringplane confirm`", waiting_->before,
                 seconds_left());
  }
  return answer;
}

base::Result<Json> Rulebook::confirm() {
  if (!waiting_) return base::fail("no rules wait for a confirmation");
  auto holdings = holdings_for(nullptr, running_number_, std::nullopt, left_);
  if (!holdings) return std::unexpected(std::move(holdings.error()));
  if (auto kept = doer_->keep(std::move(*holdings)); !kept) return std::unexpected(std::move(kept.error()));
  std::vector<std::string> warnings;
  set_waiting(std::nullopt, warnings);
  spdlog::info("version {} of the rules is confirmed", running_number_);
  log_all(warnings);
  return Json{{"version", running_number_}, {"warnings", warnings}};
}

base::Result<Json> Rulebook::rollback(std::uint32_t to) {
  if (to == running_number_) return base::fail(fmt::format("version {} is the one that runs", to));
  if (waiting_ && (to == 0 || to == waiting_->before)) return go_back(waiting_->before, waiting_->packed, "rollback");
  if (to == 0) {
    const VersionFacts* before = version_before(running_number_);
    if (before == nullptr) return base::fail("there is no version of the rules before this one");
    to = before->number;
  }
  auto packed = history_.packed_of(to);
  if (!packed) return std::unexpected(std::move(packed.error()));
  return go_back(to, std::move(*packed), "rollback");
}

base::Result<Json> Rulebook::go_back(std::uint32_t to, std::string packed, std::string by) {
  auto version = unpack_version(config_, std::move(packed));
  if (!version) {
    return base::fail(
        fmt::format("version {} of the rules does not fit the present configuration:\n{}", to, version.error().message),
        version.error().kind);
  }
  return put_in_force(std::move(*version), {.by = std::move(by), .same_as = to, .warnings = {kFilesStay}});
}

void Rulebook::watch_deadline(std::uint64_t now_ns) {
  if (!waiting_ || now_ns < waiting_->deadline_ns || now_ns < try_again_ns_) return;
  spdlog::warn("version {} of the rules was not confirmed in time: version {} comes back", running_number_,
               waiting_->before);
  if (const auto back = go_back(waiting_->before, waiting_->packed, "expiry"); !back) {
    try_again_ns_ = now_ns + kGoBackAgainNs;
    spdlog::error("it does not, and is tried again: {}", back.error().message);
  }
}

Json Rulebook::history() const {
  Json list = Json::array();
  for (const VersionFacts& facts : history_.versions()) {
    Json version = to_json(facts);
    version["running"] = facts.number == running_number_;
    if (waiting_ && facts.number == running_number_) version["waiting_s"] = seconds_left();
    list.push_back(std::move(version));
  }
  return list;
}

base::Result<Json> Rulebook::history_of(std::uint32_t number) const {
  auto packed = history_.packed_of(number);
  if (!packed) return std::unexpected(std::move(packed.error()));
  const auto version = unpack_version(config_, std::move(*packed));
  if (!version) return std::unexpected(version.error());
  firewall::Ruleset nothing;
  auto before = base::Result<RuleVersion>(RuleVersion{.ruleset = std::move(nothing), .packed = {}, .warnings = {}});
  if (const VersionFacts* facts = version_before(number)) {
    auto packed_before = history_.packed_of(facts->number);
    if (!packed_before) return std::unexpected(std::move(packed_before.error()));
    before = unpack_version(config_, std::move(*packed_before));
    if (!before) return std::unexpected(before.error());
  }
  Json answer = to_json(*history_.find(number));
  answer["difference"] = to_json(difference_of(before->ruleset, version->ruleset));
  return answer;
}

base::Result<base::Holdings> Rulebook::holdings_for(const std::string* rules, std::uint32_t number,
                                                    const std::optional<Waiting>& waiting,
                                                    const std::string& left) const {
  base::Holdings holdings;
  const auto add = [&holdings](const char* name, const std::string& text) -> base::Result<void> {
    auto file = base::make_text_file(text, "the rules");
    if (!file) return std::unexpected(std::move(file.error()));
    holdings.add(name, std::move(*file));
    return {};
  };
  nlohmann::json state{{"version", number}, {"left", left}};
  if (waiting) {
    state["deadline_ns"] = waiting->deadline_ns;
    state["before"] = waiting->before;
    if (auto added = add("rules_before", waiting->packed); !added) return std::unexpected(std::move(added.error()));
  }
  if (auto added = add("rules_state", state.dump()); !added) return std::unexpected(std::move(added.error()));
  if (rules != nullptr) {
    if (auto added = add("rules", *rules); !added) return std::unexpected(std::move(added.error()));
  }
  return holdings;
}

void Rulebook::add_to_history(VersionFacts facts, const std::string& packed, std::vector<std::string>& warnings) {
  facts.time_s = base::wall_clock_ns() / base::kNanosPerSecond;
  if (auto added = history_.add(facts, packed); !added) warnings.push_back(std::move(added.error().message));
}

void Rulebook::set_waiting(std::optional<Waiting> waiting, std::vector<std::string>& warnings) {
  waiting_ = std::move(waiting);
  try_again_ns_ = 0;
  if (auto noted = history_.set_waiting(waiting_ ? running_number_ : 0); !noted) {
    warnings.push_back(std::move(noted.error().message));
  }
}

const VersionFacts* Rulebook::version_before(std::uint32_t number) const noexcept {
  const auto at = std::ranges::lower_bound(history_.versions(), number, {}, &VersionFacts::number);
  return at == history_.versions().begin() ? nullptr : &*std::prev(at);
}

std::uint64_t Rulebook::seconds_left() const noexcept {
  const std::uint64_t now_ns = base::monotonic_ns();
  if (!waiting_ || now_ns >= waiting_->deadline_ns) return 0;
  return (waiting_->deadline_ns - now_ns + base::kNanosPerSecond - 1) / base::kNanosPerSecond;
}

}  // namespace ringplane::control
