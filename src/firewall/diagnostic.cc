#include "firewall/diagnostic.h"

#include <cstddef>
#include <string>

#include <fmt/core.h>

namespace ringplane::firewall {

std::string render(const Diagnostic& diagnostic) {
  std::string text = fmt::format("{}:{}:{}: {}: {}", diagnostic.file, diagnostic.line, diagnostic.column,
                                 diagnostic.severity == Severity::kError ? "error" : "warning", diagnostic.sentence);
  if (diagnostic.column == 0) return text;
  // Control characters would move the caret or the terminal; tabs are kept so that the caret lines up.
  std::string line;
  std::string pad;
  for (std::size_t i = 0; i < diagnostic.source_line.size(); ++i) {
    const char c = diagnostic.source_line[i];
    line += static_cast<unsigned char>(c) < ' ' && c != '\t' ? '?' : c;
    if (i + 1 < diagnostic.column) pad += c == '\t' ? '\t' : ' ';
  }
  if (pad.size() + 1 < diagnostic.column) pad.resize(diagnostic.column - 1, ' ');
  return fmt::format("{}\n{}\n{}^", text, line, pad);
}

}  // namespace ringplane::firewall
