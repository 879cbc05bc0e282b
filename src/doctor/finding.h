// What a check says: how bad it is, what it found, and what to do about it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ringplane::doctor {

enum class Level : std::uint8_t {
  kOk,
  kSlow,     ///< ringplane runs, but slower, or with less to protect it, than it could
  kBroken,   ///< keeps ringplane from starting, or from forwarding what it should
  kUnknown,  ///< could not be looked at, or only a person can tell
};
/// "ok", "slow", "broken", "unknown".
[[nodiscard]] std::string_view name_of(Level level) noexcept;

struct Said {
  Level level = Level::kOk;
  std::string finding;
  /// "": nothing to do. "type: " and a command for sh(1), which makes the finding go away; else a sentence.
  std::string advice;
};
/// None: the question does not arise on this machine.
using Answer = std::optional<Said>;

struct Finding {
  std::string subject;  ///< a port, two of them, or a part of the machine
  std::string what;     ///< was looked at
  Said said;
};

[[nodiscard]] inline Said ok(std::string finding) {
  return {.level = Level::kOk, .finding = std::move(finding), .advice = ""};
}
[[nodiscard]] inline Said slow(std::string finding, std::string advice) {
  return {.level = Level::kSlow, .finding = std::move(finding), .advice = std::move(advice)};
}
[[nodiscard]] inline Said broken(std::string finding, std::string advice) {
  return {.level = Level::kBroken, .finding = std::move(finding), .advice = std::move(advice)};
}
[[nodiscard]] inline Said unknown(std::string finding, std::string advice = "") {
  return {.level = Level::kUnknown, .finding = std::move(finding), .advice = std::move(advice)};
}
[[nodiscard]] inline std::string type(const std::string& command) {
  return "type: " + command;
}
/// `name` as one word of sh(1).
[[nodiscard]] std::string word(std::string_view name);
/// kUnknown, for a file or call that failed with `error` (errno).
[[nodiscard]] Said not_told(int error);

/// Lines of at most 80 columns, but for a command, which is never broken; each with its newline.
[[nodiscard]] std::string text_of(const Finding& finding);

}  // namespace ringplane::doctor
