// What is wrong with a configuration text, and where: one sentence, the line it is about and a caret.
#pragma once

#include <cstdint>
#include <string>

namespace ringplane::firewall {

enum class Severity : std::uint8_t { kError, kWarning };

struct Diagnostic {
  Severity severity = Severity::kError;
  std::string file;
  std::uint32_t line = 0;    ///< from 1
  std::uint32_t column = 0;  ///< from 1, in bytes
  std::string sentence;
  std::string source_line{};
};

/// "file:line:column: error: sentence", the source line, and a caret below the column; no newline at the end.
[[nodiscard]] std::string render(const Diagnostic& diagnostic);

}  // namespace ringplane::firewall
