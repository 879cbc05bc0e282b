// Any bytes as a pf.conf: the parser must neither crash nor hang nor accept a text that it has errors about, and what
// it accepts is classified as the linear evaluator says, and prints to a text that is accepted again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <expected>
#include <string>

#include "base/ids.h"
#include "firewall/classifier.h"
#include "firewall/diagnostic.h"
#include "firewall/explain.h"
#include "firewall/linear.h"
#include "firewall/match_key.h"
#include "firewall/parser.h"
#include "firewall/random_rules.h"
#include "firewall/ruleset.h"
#include "wire/ip_address.h"

namespace {

using ringplane::firewall::TextFiles;

/// Every file is the text itself: includes loop, table files hold rules.
class SameText final : public TextFiles {
 public:
  explicit SameText(const std::string& text) : text_(text) {}
  std::expected<std::string, std::string> read(const std::string& path) override {
    if (path.size() > 40 || ++reads_ > 40) return std::unexpected("no such file");
    return text_;
  }

 private:
  const std::string& text_;
  int reads_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ringplane;
  using namespace ringplane::firewall;
  if (size > 4096) return 0;
  const std::string text(data, data + size);
  SameText files(text);
  Environment environment;
  environment.ports.push_back({.name = "lan", .id = base::PortId{0}});
  environment.ports.back().addresses.push_back({.host = *wire::parse_host_address("192.0.2.1"), .length = 24});
  environment.files = &files;
  environment.max_rules = 2000;
  const ParseResult parsed = parse({.name = "fuzz", .text = text}, environment);
  for (const Diagnostic& diagnostic : parsed.diagnostics) {
    if (render(diagnostic).empty()) std::abort();
  }
  if (!parsed.ok()) return 0;
  const Classifier classifier(parsed.ruleset);
  RandomRules packets(size);
  for (int i = 0; i < 8; ++i) {
    const MatchKey key = packets.packet(parsed.ruleset);
    if (classifier.classify(key, nullptr) != evaluate(parsed.ruleset, key, nullptr)) std::abort();
  }
  for (const Rule& rule : parsed.ruleset.rules) {
    if (text_of(parsed.ruleset, rule).empty()) std::abort();
  }
  static_cast<void>(parse_packet_line(text, parsed.ruleset));
  return 0;
}
