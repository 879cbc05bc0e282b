// pf.conf -> Ruleset. The language is that of OpenBSD's pf.conf(5); docs/reference/pf.conf.md says what is not in it.
//
// A text either gives a ruleset or at least one error. All errors are reported, not only the first; what is not
// supported is an error that names the feature ("not yet: ...", "does not apply here: ..."). Nothing is ignored: an
// option that is understood but has no effect gives a warning. Linear in the text plus the rules it expands to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "firewall/diagnostic.h"
#include "firewall/ruleset.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {

/// A port as rules know it.
struct KnownPort {
  std::string name;
  base::PortId id{};
  struct Address {
    wire::HostAddress host{};
    std::uint8_t length = 0;  ///< of the network the address lies in
  };
  std::vector<Address> addresses{};
  std::vector<std::string> groups{};
};

/// Where `include`, `table ... file` and `load anchor` read from.
class TextFiles {
 public:
  TextFiles() = default;
  TextFiles(const TextFiles&) = delete;
  TextFiles& operator=(const TextFiles&) = delete;
  virtual ~TextFiles() = default;
  /// The whole file, or a reason such as "No such file or directory".
  [[nodiscard]] virtual std::expected<std::string, std::string> read(const std::string& path) = 0;
};

/// The file system. Files above 64 MiB are refused.
class DiskFiles final : public TextFiles {
 public:
  [[nodiscard]] std::expected<std::string, std::string> read(const std::string& path) override;
};

struct Environment {
  std::vector<KnownPort> ports{};
  /// True: an interface that is not in `ports` is an error. False (a pf.conf alone): it is given the next free id.
  bool ports_are_complete = false;
  /// Override macros of the text (`-D name=value`).
  std::vector<std::pair<std::string, std::string>> macros{};
  /// nullptr: nothing can be read. Not owned; used during parse() only.
  TextFiles* files = nullptr;
  /// After expansion of lists; more is an error.
  std::size_t max_rules = 1'000'000;
};

struct SourceText {
  std::string name;  ///< as it shall appear in diagnostics; relative paths inside it start from its folder
  std::string text;
};

struct ParseResult {
  Ruleset ruleset;
  std::vector<Diagnostic> diagnostics;
  [[nodiscard]] bool ok() const noexcept {
    for (const Diagnostic& diagnostic : diagnostics) {
      if (diagnostic.severity == Severity::kError) return false;
    }
    return true;
  }
};

[[nodiscard]] ParseResult parse(const SourceText& source, const Environment& environment);
/// Reads `path` through environment.files (or the disk if there are none) and parses it.
[[nodiscard]] ParseResult parse_file(const std::string& path, const Environment& environment);

}  // namespace ringplane::firewall
