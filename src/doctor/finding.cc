#include "doctor/finding.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace ringplane::doctor {
namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kFindingColumn = 28;
constexpr std::size_t kAdviceColumn = 10;

/// `text` from where `line` ends on; further lines begin at `column`.
void append_wrapped(std::string& out, std::size_t at, std::size_t column, std::string_view text) {
  bool first = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view next = text.substr(0, end);
    if (!first && at + 1 + next.size() > kColumns) {
      out += '\n' + std::string(column, ' ');
      at = column;
    } else if (!first) {
      out += ' ';
      ++at;
    }
    out += next;
    at += next.size();
    first = false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  out += '\n';
}

}  // namespace

std::string_view name_of(Level level) noexcept {
  switch (level) {
    case Level::kOk: return "ok";
    case Level::kSlow: return "slow";
    case Level::kBroken: return "broken";
    case Level::kUnknown: return "unknown";
  }
  return "";
}

std::string word(std::string_view name) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:@%+=,/-";
  if (!name.empty() && name.front() != '-' && name.find_first_not_of(kPlain) == std::string_view::npos)
    return std::string(name);
  std::string quoted = "'";
  for (const char c : name) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

Said not_told(int error) {
  switch (error) {
    case EACCES:
    case EPERM: return unknown("only root may look at it", "ask again as root");
    case ENOENT:
    case ENOTDIR: return unknown("the kernel does not tell here");
    case EOPNOTSUPP: return unknown("the driver does not tell");
    case EBADMSG: return unknown("what the kernel says makes no sense");
    default: return unknown(fmt::format("could not be looked at: {}", std::strerror(error)));
  }
}

std::string text_of(const Finding& finding) {
  std::string text = fmt::format("{:<8}{} {}", name_of(finding.said.level), finding.subject, finding.what);
  if (text.size() + 1 >= kFindingColumn) {
    text += ' ';
  } else {
    text.resize(kFindingColumn, ' ');
  }
  append_wrapped(text, text.size(), kFindingColumn, finding.said.finding);
  if (finding.said.advice.empty()) return text;
  text += std::string(kAdviceColumn, ' ');
  if (finding.said.advice.starts_with("type: ")) return text + finding.said.advice + '\n';
  append_wrapped(text, kAdviceColumn, kAdviceColumn, finding.said.advice);
  return text;
}

}  // namespace ringplane::doctor
