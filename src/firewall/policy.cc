#include "firewall/policy.h"

#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"

namespace ringplane::firewall {

Policy::Policy(Ruleset ruleset) : ruleset_(std::move(ruleset)), classifier_(ruleset_) {}

base::Result<std::shared_ptr<const Policy>> Policy::create(ParseResult parsed) {
  if (!parsed.ok()) {
    std::string errors;
    for (const Diagnostic& diagnostic : parsed.diagnostics) {
      if (diagnostic.severity == Severity::kError) errors += (errors.empty() ? "" : "\n") + render(diagnostic);
    }
    return base::fail(std::move(errors), base::ErrorKind::kBadConfiguration);
  }
  return std::make_shared<const Policy>(std::move(parsed.ruleset));
}

std::shared_ptr<const Policy> Policy::pass_all() {
  Ruleset ruleset;
  ruleset.tags.emplace_back();
  return std::make_shared<const Policy>(std::move(ruleset));
}

}  // namespace ringplane::firewall
